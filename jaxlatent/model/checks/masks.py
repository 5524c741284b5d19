"""Masked entries that are read all the same: what stands there is zero, which is not what was lost."""

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
    "what was lost a prior, and read data.at[lost].set(imputed)."
)
_OBSERVATION = (
    "split sequences at the gap, mask what reads it too, or impute it: give what was lost a prior, and read "
    "data.at[lost].set(imputed)."
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
    """No prior and no value that was seen depends on a masked entry.

    Told by what happens when something else stands there. Padding is masked in the observations too, and passes; so does a model that
    takes care of gaps itself.

    Args:
        model: the declaration.
        params: makes any values with nothing special about them.
        data: of one dataset.
        purpose: what they are for. To predict, where no observation tells which rows matter, what is masked at the end is padding, but
            where none of ``whole`` is longer: there is nothing to pad to.
        reading: what the model reads.
        whole: all datasets, stacked; ``data`` itself where there is one.
        label: put before names in messages.

    Raises:
        InputError: naming the entry, and who reads it.
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
                f"{' and '.join(changed)} reads what stands there",
                expected="nothing that was seen to depend on an entry that was not",
                remedy=_OBSERVATION if name in reading.observations else _COVARIATE,
            )


@compiled("model", "purpose")
def _terms(model: Model, params: Params, data: Data, purpose: Purpose) -> dict[str, Any]:
    return terms(model, params, data, purpose)


def _length(value: Masked) -> int:
    """Steps up to the last that was seen anywhere."""
    seen = np.asarray(value.mask)
    return int(np.flatnonzero(seen.reshape(-1, seen.shape[-1]).any(0)).max(initial=-1)) + 1 if seen.ndim else 0


def _filled(value: Masked, longest: int) -> Masked | None:
    """With another value in place of zero at masked entries: the largest that was seen, or one; None if there is no such entry.

    What is masked at the end of the first ``longest`` steps is padding, and left alone.
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
    """To the last digits; where nothing is finite, nothing can be told."""
    return all(map(_close, jax.tree.leaves(one), jax.tree.leaves(other)))


def _close(one: Array, other: Array) -> bool:
    a, b = np.asarray(one), np.asarray(other)
    # What does not depend on the entry is computed alike: sums of many may be taken in another order, no more.
    few = 8 * float(jnp.finfo(a.dtype).eps) if a.dtype.kind == "f" else 0.0
    return bool(np.allclose(a, b, rtol=few, atol=few, equal_nan=True))
