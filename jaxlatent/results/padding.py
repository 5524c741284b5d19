"""`unpadded`: what follows from one dataset of a ragged batch, without the rows that only the longer datasets have.

They are no observations: predictions there are at inputs of zero, and ArviZ would count log likelihoods of zero.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import numpy as np

from jaxlatent.data.arrays import Masked, shape_of


def unpadded(
    values: Mapping[str, Any], leading: int, data: Any, observed: Callable[[], Collection[str]]
) -> dict[str, Any]:
    """Cut the last rows (and steps) of values if all entries of the data with as many are masked there, covariates included.

    A row whose observation alone is masked is a missing value, and stays.

    Args:
        values: by name, of one dataset, for its rows: entries of its data, or what follows from them.
        leading: number of axes before those of the rows.
        data: of that dataset.
        observed: gives the names of the observations; the other entries are covariates.
    """
    lengths = _lengths(data, observed) if isinstance(data, Mapping) else {}
    if not lengths:
        return dict(values)

    def cut(x: Any, axes: int) -> Any:
        own = [slice(lengths.get(place, place[1])) for place in enumerate(x.shape[leading : leading + axes])]
        return x[(slice(None),) * leading + tuple(own)]

    axes = {name: len(shape_of(data[name])) if name in data else 1 for name in values}
    return {name: jax.tree.map(lambda x, name=name: cut(x, axes[name]), value) for name, value in values.items()}


def _lengths(data: Mapping[str, Any], observed: Callable[[], Collection[str]]) -> dict[tuple[int, int], int]:
    """By axis and padded length, the length without padding; only where there is padding."""
    found: dict[tuple[int, int], int] = {}
    for value in data.values():
        for axis, length in enumerate(shape_of(value)):
            found[axis, length] = max(found.get((axis, length), 0), _own(value, axis, length))
    found = {place: own for place, own in found.items() if 0 < own < place[1]}
    names = observed() if found else ()
    covariates = {place for name, value in data.items() if name not in names for place in enumerate(shape_of(value))}
    return {place: own for place, own in found.items() if place in covariates}


def _own(value: Any, axis: int, length: int) -> int:
    """The length of an entry up to its last unmasked place on an axis."""
    if not isinstance(value, Masked) or np.ndim(value.mask) <= axis:
        return length
    others = tuple(other for other in range(np.ndim(value.mask)) if other != axis)
    seen = np.flatnonzero(np.asarray(value.mask).any(others))
    return int(seen[-1]) + 1 if len(seen) else 0
