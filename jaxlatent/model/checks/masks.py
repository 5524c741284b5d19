"""Check for masked entries that the model reads, although they hold a placeholder of zero."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import Masked
from jaxlatent.errors import InputError
from jaxlatent.masks import widen
from jaxlatent.model.checks.terms import Purpose, Reading, terms
from jaxlatent.model.model import Model
from jaxlatent.typing import Array, Data, Params

_COVARIATE = (
    "mask the same entries in the observations too, drop those rows, or impute them: give the entry a distribution in the likelihood and "
    "its missing values a prior, and read data.at[missing].set(imputed)."
)
_OBSERVATION = (
    "split sequences at the gap, mask the values that depend on it too, or impute it: give the missing values a prior, and read "
    "data.at[missing].set(imputed)."
)


def check_masks(
    model: Model,
    params: Callable[[], Params],
    data: Data,
    purpose: Purpose,
    reading: Reading,
    whole: Data,
    label: str = "",
) -> None:
    """Check that no prior and no term of an unmasked value depends on a masked entry.

    The model is evaluated with another value in its place. Padding passes, since it is masked in the observations too, and so does a model
    that handles gaps itself.

    Args:
        model: the declaration.
        params: returns generic values of the parameters.
        data: of one dataset.
        purpose: of the data. For "predict", where no observation shows which rows matter, trailing masked steps are padding up to the
            longest dataset of ``whole``.
        reading: what the model reads.
        whole: all datasets, stacked; ``data`` itself if there is only one.
        label: prefix of names in messages.

    Raises:
        InputError: naming the entry, and the terms that read it.
    """
    for name, value in data.items():
        readers = [
            what for what, read in reading.reads.items() if f"data {name}" in read and not what.startswith("derived")
        ]
        if not isinstance(value, Masked) or not readers or (purpose == "predict" and name in reading.observations):
            continue
        filled = _filled(value, longest=_length(whole[name]) if purpose == "predict" else 0)
        if filled is None:
            continue
        before, after = (_terms(model, params(), one, purpose) for one in (data, {**data, name: filled}))
        changed = [what for what in before if not _equal(before[what], after[what])]
        if changed:
            lost = np.argwhere(~np.asarray(value.mask))
            raise InputError(
                f"{label}data {name!r}",
                got=f"{len(lost)} of {value.mask.size} entries masked, the first at index {tuple(map(int, lost[0]))}, and "
                f"{' and '.join(changed)} reads their placeholders",
                expected="no dependence of observed values on masked entries",
                remedy=_OBSERVATION if name in reading.observations else _COVARIATE,
            )


@compiled("model", "purpose")
def _terms(model: Model, params: Params, data: Data, purpose: Purpose) -> dict[str, Any]:
    return terms(model, params, data, purpose)


def _length(value: Masked) -> int:
    """The number of steps up to the last one that is unmasked anywhere."""
    seen = np.asarray(value.mask)
    return int(np.flatnonzero(seen.reshape(-1, seen.shape[-1]).any(0)).max(initial=-1)) + 1 if seen.ndim else 0


def _filled(value: Masked, longest: int) -> Masked | None:
    """Fill masked entries with the largest unmasked value, or one; None if there are none.

    Trailing masked entries within the first ``longest`` steps are padding, and not filled.
    """
    values, mask = np.asarray(value.values), np.asarray(value.mask)
    lost = ~mask
    if longest:
        before_end = np.flip(np.logical_or.accumulate(np.flip(mask, -1), -1), -1)
        lost &= before_end | (np.arange(mask.shape[-1]) >= longest)
    if not lost.any():
        return None
    seen = values[mask]
    other = seen.flat[np.argmax(np.abs(seen))] if seen.size else 0
    return Masked(
        jnp.asarray(np.where(widen(lost, values.ndim), other if other else np.ones((), values.dtype), values)),
        value.mask,
    )


def _equal(one: Any, other: Any) -> bool:
    """Whether all terms are equal up to rounding."""
    return all(map(_close, jax.tree.leaves(one), jax.tree.leaves(other)))


def _close(one: Array, other: Array) -> bool:
    a, b = np.asarray(one), np.asarray(other)
    # Terms that do not depend on the entry differ at most by the order of summation.
    few = 8 * float(jnp.finfo(a.dtype).eps) if a.dtype.kind == "f" else 0.0
    return bool(np.allclose(a, b, rtol=few, atol=few, equal_nan=True))
