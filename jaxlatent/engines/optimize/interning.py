"""Interning of Optax optimisers, so that equal ones share compiled programs.

``optax.adam(1e-3)`` makes new closures at every call, and JAX compiles anew for each. Engines therefore replace an optimiser by the first
one seen with the same code and the same captured values.
"""

from functools import partial
from types import CellType, FunctionType
from typing import Any

import optax

_SEEN: dict[Any, optax.GradientTransformation] = {}


def interned(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The first optimiser seen with equal code and captured values, or ``optimizer`` itself."""
    return _SEEN.setdefault(_key(optimizer, ()), optimizer)


def _key(value: Any, inside: tuple[int, ...]) -> Any:
    """A hashable key, equal for values that behave alike; objects of other types are compared by identity."""
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
        # 1 == True and 0.0 == -0.0, but they do not behave alike.
        return type(value), repr(value)
    # The interned optimiser keeps the object alive, so its id is not reused.
    return "object", id(value)


def _inside(cell: CellType, inside: tuple[int, ...]) -> Any:
    try:
        return _key(cell.cell_contents, inside)
    except ValueError:  # a variable that was never set
        return "empty"
