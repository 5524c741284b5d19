"""Checks of the settings of parts and families, where these are written."""

from numbers import Real
from typing import Any

import numpy as np

from jaxlatent.errors import require


def require_count(what: str, value: Any, least: int = 1) -> None:
    """Raise `InputError` unless ``value`` is a whole number of at least ``least``."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    require(whole and value >= least, what, got=value, expected=f"a whole number, at least {least}")


def require_dim(what: str, value: Any) -> None:
    """Raise `InputError` unless ``value`` is a number of entries, or None for scalar observations."""
    if value is not None:
        require_count(what, value)


def require_positive(what: str, value: Any) -> None:
    """Raise `InputError` unless ``value`` is a finite number above zero."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    require(number and 0 < value < float("inf"), what, got=value, expected="a positive number")
