"""Checks of the arguments that studies share, and the options of `jaxlatent.fit` that they hand on."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.execute.fit import fit
from jaxlatent.model.model import Model

#: Options of `jaxlatent.fit` that are handed on.
_OPTIONS = tuple(
    name
    for name, parameter in inspect.signature(fit).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and name != "shard"
)


def check_model(study: str, model: Any, reason: str, argument: str = "model") -> None:
    """Raise `InputError` unless ``model`` is a `Model`; ``reason`` says what a study needs it for."""
    if not isinstance(model, Model):
        raise InputError(
            f"{study}({argument}, ...)",
            got=type(model).__name__,
            expected=f"a jaxlatent.Model, {reason}",
            remedy="declare the model as a jl.Model.",
        )


def check_options(study: str, options: Mapping[str, Any], own: Sequence[str], parts: str) -> None:
    """Raise `InputError` for what is no option of `jaxlatent.fit`.

    Args:
        study: the caller, for messages.
        options: that it was given.
        own: names of the caller's own settings.
        parts: what a shard would lack some of.
    """
    for name in options:
        if name not in _OPTIONS:
            raise InputError(
                f"{study}({name}=...)",
                got=f"a shard, which lacks some of the {parts}" if name == "shard" else "an unknown option",
                expected=f"{', '.join(f'`{one}`' for one in own)}, or an option of jl.fit: {', '.join(_OPTIONS)}",
                remedy="leave it out." if name == "shard" else did_you_mean(name, [*_OPTIONS, *own]),
            )


def check_point_engine(study: str, engine: Engine) -> None:
    """Raise `InputError` for an engine that draws."""
    if engine.kind != "point":
        raise InputError(
            f"{study}(engine=...)",
            got=f"{type(engine).__name__}, which draws",
            expected="an engine of point fits",
            remedy="use jl.Optimize() or jl.EM(); what draws tell of uncertainty is in their summary() already.",
        )


def options_of(options: Mapping[str, Any], part: Any) -> dict[str, Any]:
    """Options of `jaxlatent.fit` for one part of a study: a ``store`` has one subfolder a part, and ``init`` may be a function of it."""
    own = dict(options)
    if callable(own.get("init")):
        own["init"] = own["init"](part)
    if own.get("store") is not None:
        own["store"] = f"{str(own['store']).rstrip('/')}/{part}"
    return own
