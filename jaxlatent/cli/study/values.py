"""Values of TOML checked against annotations: those of the sections of a study, of engines and of the parts of models.

TOML has no null: ``"none"`` stands for None where an annotation allows it.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints

from jaxlatent.cli.study.place import Place
from jaxlatent.errors import did_you_mean

#: What stands for None.
NONE = "none"

#: Makes a value of an annotation that is not one of plain values.
Special: TypeAlias = Callable[[Any, Place], Any]

_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    NoneType: f'"{NONE}"',
}


_PLURALS: dict[Any, str] = {int: "integers", str: "texts"}


class Setting(NamedTuple):
    """A key that a table may have.

    Attributes:
        annotation: of its value.
        required: whether it has no default.
    """

    annotation: Any
    required: bool


def settings_of(made: Callable[..., Any]) -> dict[str, Setting]:
    """The keyword arguments of a function or class by name, but for ``**more``."""
    hints = get_type_hints(made)
    return {
        name: Setting(hints.get(name, Any), parameter.default is parameter.empty)
        for name, parameter in inspect.signature(made).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }


def read_table(
    table: Any,
    known: Mapping[str, Setting],
    place: Place,
    special: Mapping[Any, Special] | None = None,
    inferred: Collection[str] = (),
) -> dict[str, Any]:
    """Check the values of a table.

    Args:
        table: as `tomllib` reads it.
        known: its keys.
        place: of the table.
        special: by annotation.
        inferred: keys that may be missing although they have no default.

    Raises:
        InputError: for anything but a table, unknown keys, missing ones, and values that do not fit.
    """
    if not isinstance(table, dict):
        raise place.error(
            shown(table), f"a table with {', '.join(known)}", "write it in braces, {key = value}, or under a heading."
        )
    for name in table:
        if name not in known:
            raise place.at(name).error("an unknown key", f"one of {', '.join(known)}", did_you_mean(name, known))
    for name, setting in known.items():
        if setting.required and name not in table and name not in inferred:
            what = "a table with its kind" if setting.annotation in (special or {}) else words(setting.annotation)
            raise place.at(name).error("nothing", what, f"add {name} = ...")
    return {name: read_value(value, known[name].annotation, place.at(name), special) for name, value in table.items()}


def read_value(value: Any, annotation: Any, place: Place, special: Mapping[Any, Special] | None = None) -> Any:
    """A value of TOML as its annotation wants it.

    Raises:
        InputError: if it does not fit.
    """
    members = _members(annotation)
    for member in members:
        if member in (special or {}):
            return (special or {})[member](value, place)
    for member in members:
        if _fits(value, member):
            return _converted(value, member, place, special)
    offered = [choice for member in members if get_origin(member) is Literal for choice in get_args(member)]
    remedy = did_you_mean(value, offered) if isinstance(value, str) and offered else ""
    if not remedy.startswith("did") and len(offered) < 2:
        remedy = "change this value."
    if any(get_origin(member) is Callable or (inspect.isclass(member) and member not in _WORDS) for member in members):
        remedy = "leave it out; in Python any value can be given."
    raise place.error(shown(value), words(annotation), remedy)


def shown(value: Any) -> str:
    """A value as in TOML, shortened."""
    if isinstance(value, dict):
        return f"a table with {', '.join(map(repr, value)) or 'nothing'}"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def choose(value: Any, known: Mapping[str, Any], place: Place) -> Any:
    """What a name stands for.

    Raises:
        InputError: for another name, or none.
    """
    if isinstance(value, str) and value in known:
        return known[value]
    got = "nothing" if value is None else shown(value)
    raise place.error(got, f"one of {', '.join(known)}", did_you_mean(str(value), known))


def given(annotation: Any) -> Any:
    """An annotation without None, for keys that are left out instead."""
    return Union[tuple(member for member in _members(annotation) if member is not NoneType)]  # noqa: UP007


def words(annotation: Any) -> str:
    """What an annotation accepts, in words."""
    return " or ".join(dict.fromkeys(_words(member) for member in _members(annotation)))


def _words(member: Any) -> str:
    origin, arguments = get_origin(member), get_args(member)
    if origin is Literal:
        return " or ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in arguments)
    if origin is tuple:
        return f"a list of {_PLURALS.get(arguments[0], words(arguments[0]))}"
    if origin is dict or is_dataclass(member):
        return "a table" if origin is dict else f"a table with {', '.join(one.name for one in fields(member))}"
    return _WORDS.get(member, f"a {getattr(member, '__name__', member)} of Python")


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _fits(value: Any, member: Any) -> bool:
    """Whether a value is of the kind of one member of a union; its items are checked when it is converted."""
    origin = get_origin(member)
    if member is Any:
        return True
    if member is NoneType:
        return bool(value == NONE)
    if origin is Literal:
        return value in get_args(member)
    if origin is tuple:
        return isinstance(value, list)
    if origin is dict or is_dataclass(member):
        return isinstance(value, dict)
    if member in (int, float):
        return isinstance(value, int if member is int else int | float) and not isinstance(value, bool)
    return member in (bool, str) and isinstance(value, member)


def _converted(value: Any, member: Any, place: Place, special: Mapping[Any, Special] | None) -> Any:
    origin, arguments = get_origin(member), get_args(member)
    if member is NoneType:
        return None
    if origin is tuple:
        return tuple(read_value(item, arguments[0], place.at(i), special) for i, item in enumerate(value))
    if origin is dict:
        return {name: read_value(item, arguments[1], place.at(name), special) for name, item in value.items()}
    if is_dataclass(member):
        made: Any = member
        with place.explained(value):
            return made(**read_table(value, settings_of(made), place, special))
    return float(value) if member is float else value
