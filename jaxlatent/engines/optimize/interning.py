"""Optax optimisers that do the same are the same.

``optax.adam(1e-3)`` makes new functions at every call, and JAX compiles afresh for each new function. Engines therefore take the first
optimiser of its kind that they saw: the same code, around the same values.
"""

from functools import partial
from types import CellType, FunctionType
from typing import Any

import optax

_SEEN: dict[Any, optax.GradientTransformation] = {}


def interned(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The first optimiser that was made of equal code and equal values; itself if there was none."""
    return _SEEN.setdefault(_key(optimizer, ()), optimizer)


def _key(value: Any, inside: tuple[int, ...]) -> Any:
    """What two values have in common that behave alike; what is not understood is like itself only."""
    if id(value) in inside:
        return "itself", inside.index(id(value))
    inner = (*inside, id(value))
    if isinstance(value, FunctionType):
        cells = tuple(_inside(cell, inner) for cell in value.__closure__ or ())
        return value.__code__, cells, _key(value.__defaults__, inner), _key(value.__kwdefaults__, inner)
    if isinstance(value, partial):
        return "partial", _key(value.func, inner), _key(value.args, inner), _key(value.keywords, inner)
    if isinstance(value, tuple | list):
        return type(value), tuple(_key(one, inner) for one in value)
    if isinstance(value, dict):
        return dict, tuple((name, _key(one, inner)) for name, one in value.items())
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        # 1 and True are equal, and so are 0.0 and -0.0, but do not behave alike.
        return type(value), repr(value)
    # The optimiser that is kept keeps the object alive, and its number its own.
    return "object", id(value)


def _inside(cell: CellType, inside: tuple[int, ...]) -> Any:
    try:
        return _key(cell.cell_contents, inside)
    except ValueError:  # a variable that was never set
        return "empty"
