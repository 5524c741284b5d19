"""The model of a study: a ready family with its parts by name, or a function of the user's."""

import importlib
import inspect
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jaxlatent as jl
from jaxlatent import models
from jaxlatent.cli.study import schema
from jaxlatent.cli.study.data import Loaded
from jaxlatent.cli.study.place import Place
from jaxlatent.cli.study.values import Setting, choose, read_table, settings_of, shown
from jaxlatent.models.interfaces import Emission, Transitions, Weights

#: Ready families, and the kind of data that they read.
FAMILIES = {
    "hmm": "sequences",
    "mixture": "table",
    "gaussian_mixture": "table",
    "regression_mixture": "table",
    "mixture_of_experts": "table",
    "mixture_density_network": "table",
}
_EMISSIONS = {name: getattr(models.emissions, name) for name in models.emissions.__all__}
#: Parts by the annotation of the argument that takes them.
PARTS: Mapping[Any, Mapping[str, type]] = {
    Emission: _EMISSIONS,
    Transitions: {"Stationary": models.Stationary, "InputDriven": models.InputDriven},
    Weights: {"Constant": models.Constant, "Gate": models.Gate},
    models.Initial: {"Initial": models.Initial},
    models.Gate: {"Gate": models.Gate},
}
#: The table that makes the regressions of a family differ between groups.
_HIERARCHICAL = "hierarchical"
#: What the data tell.
_INFERRED = ("num_inputs", "num_outputs", "num_classes", "dim")


class Models(NamedTuple):
    """The models of a study.

    Attributes:
        build: the model of a candidate.
        candidates: of a choice; None where there is one model.
        executed: what code of the user's is executed; None for ready families.
    """

    build: Callable[[Any], jl.Model]
    candidates: tuple[Any, ...] | None
    executed: str | None = None


def read_family(table: Mapping[str, Any], loaded: Loaded, place: Place) -> Models:
    """A ready family, of one size or of several.

    Args:
        table: ``[model]`` with ``family`` and the arguments of the family.
        loaded: the data, which tell numbers of inputs and classes.
        place: of the table.

    Raises:
        InputError: for unknown names and settings, and parts that need what the data do not have, or do not read what they have.
    """
    family = table["family"]
    rest = {name: value for name, value in table.items() if name != "family"}
    if loaded.section.kind != choose(family, FAMILIES, place.at("family")):
        raise place.at("family").error(
            f'{family!r}, and data.kind = "{loaded.section.kind}"',
            f'data.kind = "{FAMILIES[family]}"',
            "change data.kind, or the family.",
        )
    make: Callable[..., jl.Model] = getattr(models, family)
    known = settings_of(make)
    size = next(iter(known))
    known |= {size: Setting(int | tuple[int, ...], True), _HIERARCHICAL: Setting(Any, False)}
    read: set[str] = set()
    special = {
        annotation: lambda value, at, kinds=kinds: _read_part(value, kinds, loaded, at, read)
        for annotation, kinds in PARTS.items()
    }
    arguments = read_table(rest, known, place, special, _INFERRED)
    arguments |= _infer(known, arguments, "x", loaded, place, read)
    _require_read(loaded, read, family, place)
    levels = _levels(arguments.pop(_HIERARCHICAL, None), loaded, place.at(_HIERARCHICAL))
    sizes = arguments.pop(size)
    candidates = sizes if isinstance(sizes, tuple) else None
    if candidates is not None and (not candidates or len(set(candidates)) < len(candidates)):
        raise place.at(size).error(
            shown(list(candidates)), "at least one number, each once", "write for instance [1, 2, 3]."
        )
    build: Callable[[Any], jl.Model] = lambda candidate: levels(
        make(sizes if candidate is None else candidate, **arguments)
    )
    with place.explained(known):
        for candidate in candidates or (None,):
            build(candidate)
    return Models(build, candidates)


def _levels(table: Any, loaded: Loaded, place: Place) -> Callable[[jl.Model], jl.Model]:
    """What makes a model hierarchical over the groups of the data, by the settings in ``table``; None changes nothing."""
    group = loaded.section.group
    if table is None:
        if group is None:
            return lambda model: model
        raise place.error(
            "nothing, and data.group", "a table such as {scale = 1.0}", "add it, or leave data.group out."
        )
    # The others are known from the data, or are functions.
    known = {"scale": settings_of(models.hierarchical)["scale"]}
    settings = read_table(table, known, place)
    if group is None:
        raise place.error(
            "no data.group",
            "the column that labels groups of sequences",
            'add it under [data], as in group = "animal".',
        )
    num_groups = len(loaded.data.coords[group])

    def levels(model: jl.Model) -> jl.Model:
        with place.explained(known):
            return models.hierarchical(model, group, num_groups, **settings)

    return levels


def _read_part(value: Any, kinds: Mapping[str, type], loaded: Loaded, place: Place, read: set[str]) -> Any:
    """A part of a model by its ``kind`` and settings; adds the inputs that it reads."""
    if not isinstance(value, dict):
        example = f'{{kind = "{value if value in list(kinds) else next(iter(kinds))}"}}'
        raise place.error(shown(value), f"a table such as {example}", "write it in braces, or under a heading.")
    kind: Any = value.get("kind", next(iter(kinds)) if len(kinds) == 1 else None)
    made = choose(kind, kinds, place.at("kind"))
    known = settings_of(made)
    # The inputs of an autoregression are the last values of y: the data cannot say how many.
    told = () if made is models.emissions.Autoregression else _INFERRED
    settings = read_table({k: v for k, v in value.items() if k != "kind"}, known, place, inferred=told)
    if told:
        settings |= _infer(known, settings, "u" if made is models.InputDriven else "x", loaded, place, read)
    with place.explained(known):
        part = made(**settings)
        part.prior(1)
    vector = loaded.length() is not None
    if made in _EMISSIONS.values() and vector != (part.event_dim == 1):
        raise place.error(
            f"{kind}, and data.y of {loaded.length()} columns" if vector else f"{kind}, and data.y of one column",
            "one column" if vector else "a list of columns",
            "change data.y, or choose another part.",
        )
    return part


def _infer(
    known: Mapping[str, Setting], given: Mapping[str, Any], inputs: str, loaded: Loaded, place: Place, read: set[str]
) -> dict[str, Any]:
    """The settings that the data tell; what is given must agree with them."""
    found: dict[str, Any] = {}
    if "num_inputs" in known:
        read.add(inputs)
        if (width := loaded.width(inputs)) is None:
            raise place.error(
                f"a part that reads inputs, and no data.{inputs}",
                f"data.{inputs}, a list of columns or a formula",
                f"add it under [data], or choose a part that reads no {inputs}.",
            )
        found["num_inputs"] = width
    if "num_outputs" in known:
        found["num_outputs"] = loaded.length() or 1
    if "num_classes" in known:
        classes = loaded.classes() or given.get("num_classes")
        if classes is None:
            raise place.at("num_classes").error(
                "nothing, and a column of numbers, which may not hold every class",
                "the number of classes, counted from 0",
                "add num_classes = ..., or name the column in data.categories.",
            )
        found["num_classes"] = classes
    if "dim" in known:
        found["dim"] = loaded.length()
    for name, value in found.items():
        if name in given and given[name] != value:
            raise place.at(name).error(shown(given[name]), f"{value}, as the data have", "leave it out.")
    return found


def _require_read(loaded: Loaded, read: set[str], family: str, place: Place) -> None:
    """Raise `InputError` for data that no part reads."""
    data = Place(place.file, "data")
    if isinstance(loaded.section.y, dict):
        raise data.at("y").error(
            shown(loaded.section.y), "one column or a list", "ready families have one observation, y."
        )
    for name, part in (("x", "a regression, such as BernoulliRegression"), ("u", "InputDriven transitions")):
        if loaded.width(name) is not None and name not in read:
            raise data.at(name).error(
                f"inputs, which no part of the {family} reads", f"a part that reads {name}: {part}", "leave it out."
            )
    if loaded.section.columns:
        name = next(iter(loaded.section.columns))
        raise (
            data.at("columns")
            .at(name)
            .error(f"an entry of the data, which the {family} does not read", "roles alone", "leave it out.")
        )


def read_function(section: schema.Function, candidates: tuple[Any, ...] | None, folder: Path, place: Place) -> Models:
    """A function of the user's, which is executed.

    Args:
        section: ``[model]``.
        candidates: what it is called with, one after the other; None to call it once without.
        folder: of the study file.
        place: of the section.

    Raises:
        InputError: where there is no such function, or it does not return a model.
    """
    place = place.at("function")
    where, _, name = section.function.rpartition(":")
    if not where:
        raise place.error(shown(section.function), '"file.py:function" or "module:function"', "name both.")
    if where.endswith(".py"):
        if not (folder / where).is_file():
            raise place.error(f"{where}, which is not in {folder}", "a file", "paths are relative to the study file.")
        found = runpy.run_path(str(folder / where)).get(name)
    else:
        try:
            found = getattr(importlib.import_module(where), name, None)
        except ImportError as error:
            raise place.error(
                f"{where}: {error}", "a module that can be imported", 'install it, or write "file.py:function".'
            ) from error
    if not callable(found):
        raise place.error(f"no function {name!r} in {where}", "a function that returns a jl.Model", "check the name.")
    function: Callable[..., Any] = found

    def build(candidate: Any) -> jl.Model:
        positional = () if candidate is None else (candidate,)
        try:
            inspect.signature(function).bind(*positional, **section.arguments)
        except TypeError as error:
            called = ", ".join([*map(repr, positional), *(f"{k}={v!r}" for k, v in section.arguments.items())])
            raise place.error(
                f"{name}({called}): {error}",
                f"arguments of {name}{inspect.signature(function)}",
                "see model.arguments.",
            ) from None
        model = function(*positional, **section.arguments)
        if not isinstance(model, jl.Model):
            raise place.error(f"{type(model).__name__} from {name}", "a jl.Model", "return one.")
        return model

    for candidate in candidates or (None,):
        build(candidate)
    return Models(build, candidates, section.function)
