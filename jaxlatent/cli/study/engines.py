"""The engine of a study, by name and settings."""

import inspect
from collections.abc import Mapping
from typing import Any

import optax

from jaxlatent import engines
from jaxlatent.cli.study.place import Place
from jaxlatent.cli.study.values import Setting, choose, read_table, settings_of, shown
from jaxlatent.engines.base import Engine

_OPTIMIZERS = ("adam", "adamw", "adabelief", "lion")


def read_engine(table: Any, place: Place) -> Engine:
    """An engine from ``kind`` and its settings, as in ``{kind = "EM", restarts = 20}``.

    An ``optimizer`` is one of Optax by name, as in ``{kind = "adam", learning_rate = 1e-3}``.

    Raises:
        InputError: for unknown names and settings.
    """
    made, known, rest = _named(table, {name: getattr(engines, name) for name in engines.__all__}, place)
    with place.explained(known):
        engine: Engine = made(**read_table(rest, known, place, {optax.GradientTransformation: _optimizer}))
    return engine


def _optimizer(table: Any, place: Place) -> optax.GradientTransformation:
    """An optimiser of Optax; its settings that are numbers or flags."""
    made, _, rest = _named(table, {name: getattr(optax, name) for name in _OPTIMIZERS}, place)
    known = {
        name: Setting(float | bool, parameter.default is parameter.empty)
        for name, parameter in inspect.signature(made).parameters.items()
        if parameter.default is parameter.empty or isinstance(parameter.default, int | float)
    }
    optimizer: optax.GradientTransformation = made(**read_table(rest, known, place))
    return optimizer


def _named(table: Any, kinds: Mapping[str, Any], place: Place) -> tuple[Any, Any, dict[str, Any]]:
    """The class or function that ``kind`` names, its settings, and the rest of the table."""
    if not isinstance(table, dict):
        raise place.error(shown(table), "a table with kind and settings", 'write {kind = "..."}, or a heading.')
    made = choose(table.get("kind"), kinds, place.at("kind"))
    return made, settings_of(made), {name: value for name, value in table.items() if name != "kind"}
