"""A ready family's model as the call that made it, in values that JSON holds, so that a store can make it again.

Unlike a pickle, reading a recipe runs nothing but the families and parts of this package.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from inspect import isfunction
from typing import Any

from jaxlatent.model.model import Model

#: Where families, their parts and coordinates live.
_ROOMS = ("jaxlatent.models", "jaxlatent.sklearn", "jaxlatent.distributions", "jaxlatent.model.fixing")


def recipe_of(model: Model) -> dict[str, Any] | None:
    """The call that made a model; None if it was written by hand, or has arguments that are neither plain values nor parts."""
    try:
        recipe: dict[str, Any] = _written(model)
        return recipe
    except TypeError:
        return None


def model_of(recipe: Mapping[str, Any] | None) -> Model | None:
    """The model of a recipe; None where there is none, or where this version has no such family or part, or one with other arguments."""
    try:
        made = _read(recipe)
    except (ImportError, AttributeError, TypeError):
        return None
    return made if isinstance(made, Model) else None


def _written(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return {"tuple": [_written(each) for each in value]}
    call = value.__dict__.get("_call") if isinstance(value, Model) else None
    if call is not None:
        made, args, kwargs = call
        return {"call": _name(made), "args": _written(args), "kwargs": {k: _written(v) for k, v in kwargs.items()}}
    if is_dataclass(value) and not isinstance(value, Model | type):
        given = {field.name: _written(getattr(value, field.name)) for field in fields(value) if field.init}
        return {"call": _name(type(value)), "args": {"tuple": []}, "kwargs": given}
    if isfunction(value):
        return {"name": _name(value)}
    raise TypeError(f"{value!r} has no recipe")


def _read(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "tuple" in value:
        return tuple(_read(each) for each in value["tuple"])
    if "name" in value:
        return _named(value["name"])
    make = _named(value["call"])
    return make(*_read(value["args"]), **{name: _read(each) for name, each in value["kwargs"].items()})


def _name(value: Any) -> str:
    name = f"{value.__module__}:{value.__qualname__}"
    if _named(name) is not value:
        raise TypeError(f"{name} is another object")
    return name


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not any(module == room or module.startswith(f"{room}.") for room in _ROOMS):
        raise TypeError(f"{name} is no part of a family")
    found = vars(import_module(module)).get(attribute)
    # What is defined there, not what it imports.
    if getattr(found, "__module__", None) != module or not (is_dataclass(found) or isfunction(found)):
        raise TypeError(f"{name} is no part of a family")
    return found
