"""`without_padding`: the groups of one dataset of a ragged batch without the rows that only the longer datasets have.

ArviZ would count a padded entry as an observation with a log likelihood of zero.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlatent.data.arrays import Masked, shape_of

if TYPE_CHECKING:
    import xarray as xr

#: Number of axes before those of the data.
_LEADING = {"observed_data": 0, "constant_data": 0, "log_likelihood": 2, "posterior_predictive": 2}


def without_padding(
    groups: Mapping[str, "xr.Dataset"], data: Any, observed: Collection[str]
) -> dict[str, "xr.Dataset"]:
    """Cut the last rows (and steps) if all entries of the data with as many are masked there, covariates included.

    A row whose observation alone is masked is a missing value, and stays.

    Args:
        groups: of one dataset, by name.
        data: of that dataset.
        observed: names of the observations; the other entries are covariates.
    """
    lengths = _lengths(data, observed) if isinstance(data, Mapping) else {}
    if not lengths:
        return dict(groups)
    return {
        name: _cut(group, _LEADING[name], data, lengths) if name in _LEADING else group
        for name, group in groups.items()
    }


def _lengths(data: Mapping[str, Any], observed: Collection[str]) -> dict[tuple[int, int], int]:
    """By axis and padded length, the length without padding; only where there is padding."""
    found: dict[tuple[int, int], int] = {}
    for value in data.values():
        for axis, length in enumerate(shape_of(value)):
            found[axis, length] = max(found.get((axis, length), 0), _own(value, axis, length))
    covariates = {place for name, value in data.items() if name not in observed for place in enumerate(shape_of(value))}
    return {place: own for place, own in found.items() if 0 < own < place[1] and place in covariates}


def _own(value: Any, axis: int, length: int) -> int:
    """The length of an entry up to its last unmasked place on an axis."""
    if not isinstance(value, Masked) or np.ndim(value.mask) <= axis:
        return length
    others = tuple(other for other in range(np.ndim(value.mask)) if other != axis)
    seen = np.flatnonzero(np.asarray(value.mask).any(others))
    return int(seen[-1]) + 1 if len(seen) else 0


def _cut(
    group: "xr.Dataset", leading: int, data: Mapping[str, Any], lengths: Mapping[tuple[int, int], int]
) -> "xr.Dataset":
    wanted: dict[Any, int] = {}
    for name, variable in group.data_vars.items():
        for axis, dim in enumerate(variable.dims[leading:]):
            length = variable.sizes[dim]
            own = lengths.get((axis, length), length) if name in data else length
            wanted[dim] = max(wanted.get(dim, 0), own)
    return group.isel({dim: slice(own) for dim, own in wanted.items()})
