"""Conversion of numbers (NumPy, pandas, torch, lists) to arrays in JAX's precision, with an error or a warning for any loss."""

import warnings
from datetime import date
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxlatent.errors import InputError

#: Remedy for missing values.
MISSING = (
    "in an observation, a name that the likelihood returns, mark them with jl.Masked(values, mask); in a covariate, drop those rows, "
    "mask them in the observations too, or impute them: give the covariate a distribution in the likelihood, and missing entries a prior."
)
_KINDS = {
    "M": "dates are times since an origin: (t - t.min()) / np.timedelta64(1, 'D').",
    "m": "durations in a unit: t / np.timedelta64(1, 'h').",
    "c": "give real and imaginary parts as two entries.",
}
_CODES = "encode categories as integers 0, 1, ...: labels, codes = np.unique(values, return_inverse=True)."
_WIDER = "or compute in 64 bits: jax.config.update('jax_enable_x64', True) before anything else."
#: Relative rounding error that gives a warning, as a fraction of the range of the values: always, or if it makes half of them coincide.
_COARSE, _COARSE_IF_TIED = 3e-4, 3e-6


def read(what: str, value: Any) -> np.ndarray:
    """Read booleans, integers or floats of any width as a NumPy array.

    Args:
        what: the entry, for messages.
        value: anything that NumPy turns into an array of numbers.

    Raises:
        InputError: for values that are not numbers, or missing.
    """
    if str(getattr(value, "dtype", "")) == "category":
        raise InputError(
            what,
            got="a categorical",
            expected="numbers",
            remedy="give its codes, as in frame['group'].cat.codes; the code -1 stands for a missing value.",
        )
    try:
        array = np.asarray(value)
    except Exception as error:
        raise InputError(
            what,
            got=f"{type(value).__name__}, which NumPy cannot read: {error}",
            expected="a rectangular array of numbers or booleans, or a list of arrays that differ in length only",
            remedy="pass NumPy arrays.",
        ) from error
    array = _from_objects(what, array) if array.dtype == object else array
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    if array.dtype.kind not in "biu":
        raise InputError(
            what,
            got=f"{type(value).__name__} of dtype {array.dtype}",
            expected="a rectangular array of numbers or booleans, or a list of arrays that differ in length only",
            remedy=_KINDS.get(_kind(array), _CODES),
        )
    return array


def narrow(what: str, array: np.ndarray) -> np.ndarray:
    """Convert an array of `read` to JAX's default precision.

    Small and unsigned integers become the default signed ones, since their differences would overflow.

    Raises:
        InputError: for integers or floats out of range.
    """
    if array.dtype.kind in "iu":
        return _narrow_integers(what, array)
    if array.dtype == np.float64 and jnp.result_type(float) == np.float32:
        return _narrow_floats(what, array)
    return array


def check_finite(what: str, array: np.ndarray, fine: np.ndarray | np.bool) -> None:
    """Raise `InputError` for the first entry that is not ``fine``."""
    if not fine.all():
        where = tuple(int(i) for i in np.argwhere(~fine)[0])
        raise InputError(
            what,
            got=f"{np.sum(~fine)} of {array.size} values not finite, the first at index {where}: {array[where]}",
            expected="finite values only",
            remedy=MISSING,
        )


def _kind(array: np.ndarray) -> str:
    return "M" if array.dtype == object and any(isinstance(item, date) for item in array.flat) else array.dtype.kind


def _from_objects(what: str, array: np.ndarray) -> np.ndarray:
    """Convert an object array of Python numbers."""
    items = array.ravel().tolist()
    # None, pandas.NA and pandas.NaT.
    missing = [item is None or type(item).__name__ in ("NAType", "NaTType") for item in items]
    if any(missing):
        where = tuple(int(i) for i in np.unravel_index(missing.index(True), array.shape))
        raise InputError(
            what,
            got=f"{sum(missing)} of {len(items)} values missing, the first at index {where}",
            expected="numbers",
            remedy=MISSING,
        )
    if items and all(isinstance(item, Integral) for item in items):
        widest = max(items, key=abs)
        if abs(widest) >= 2**63:
            raise _too_wide(what, widest, np.dtype(np.int64))
        return np.array([int(item) for item in items], np.int64).reshape(array.shape)
    if items and all(isinstance(item, Real | Decimal) for item in items):
        return np.array([float(item) for item in items]).reshape(array.shape)
    return array


def _narrow_integers(what: str, array: np.ndarray) -> np.ndarray:
    default = np.dtype(jnp.result_type(int))
    to = array.dtype if array.dtype == np.int32 else default
    limits = np.iinfo(to)
    for extreme in (array.max(initial=0), array.min(initial=0)):
        if not limits.min <= int(extreme) <= limits.max:
            raise _too_wide(what, int(extreme), default)
    return array.astype(to)


def _too_wide(what: str, value: int, to: np.dtype) -> InputError:
    bits = 8 * to.itemsize
    return InputError(
        what,
        got=f"{value}, which does not fit {bits} bits",
        expected=f"integers from {np.iinfo(to).min} to {np.iinfo(to).max}",
        remedy="encode identifiers as 0, 1, ... (labels, codes = np.unique(values, return_inverse=True)), subtract an origin, "
        + (_WIDER if bits == 32 else "or give them as floats."),
    )


def _narrow_floats(what: str, array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        narrowed = array.astype(np.float32)
    if not np.isfinite(narrowed).all():
        raise InputError(
            what,
            got=f"{array[~np.isfinite(narrowed)].flat[0]:.4g}, which is infinite in 32 bits",
            expected=f"values up to {np.finfo(np.float32).max:.4g}",
            remedy=f"give the values in a larger unit, {_WIDER}",
        )
    error, spread = np.max(np.abs(array - narrowed), initial=0.0), np.ptp(array) if array.size else 0.0
    if error > _COARSE * spread > 0 or (error > _COARSE_IF_TIED * spread > 0 and _coincide(array, narrowed)):
        warnings.warn(
            f"{what}: values from {array.min():.6g} to {array.max():.6g}, {spread:.4g} apart, lose up to {error:.2g} each in 32 bits. "
            f"Subtract an origin or their mean, {_WIDER}",
            stacklevel=2,
        )
    return narrowed


def _coincide(array: np.ndarray, narrowed: np.ndarray) -> bool:
    return np.unique(narrowed).size < np.unique(array).size / 2
