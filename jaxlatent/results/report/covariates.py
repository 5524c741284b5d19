"""What is wrong with covariates."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from jaxlatent.data.arrays import split
from jaxlatent.errors import listed
from jaxlatent.masks import widen
from jaxlatent.results.report.finding import Finding

#: The share of a covariate's variance that does not follow from the others, below which it says the same.
_LEFT = 1e-3
#: The least part of a column in a combination that is constant.
_PART = 0.1
#: Rules of thumb: the least standard deviation, and one over the largest, and how many of them from zero, where a network that starts from
#: weights near one neither saturates nor sees one value in all.
_NEAR, _FAR = 1e-2, 10.0


def same_covariates(data: dict[str, Any], observed: Collection[str]) -> Iterator[Finding]:
    """Covariates of which one follows from the others."""
    by_length: dict[int, dict[str, np.ndarray]] = {}
    for name, entry in data.items():
        if name not in observed:
            for label, column in _columns(name, entry):
                by_length.setdefault(len(column), {})[label] = column
    for columns in by_length.values():
        names = list(columns)
        values, directions = np.linalg.eigh(np.corrcoef(list(columns.values())).reshape(len(names), -1))
        for direction in directions.T[values < _LEFT]:
            same = tuple(name for name, part in zip(names, np.abs(direction), strict=True) if part > _PART)
            yield Finding(
                "duplicate predictor",
                same,
                f"The covariates {listed(same)} say the same: one of them follows from the other"
                f"{'s' if len(same) > 2 else ''}, and their effects cannot be told apart.",
                "Leave one of them out.",
            )


def unscaled(data: Any, params: Collection[str]) -> Iterator[Finding]:
    """Data too large, too small or too far from zero for the weights that a network among the parameters starts from."""
    if not isinstance(data, Mapping) or not any(name.endswith(".kernel") for name in params):
        return
    columns = [(label, column) for name, entry in data.items() for label, column in _columns(name, entry)]
    far = [
        (label, x) for label, x in columns if not _NEAR < np.std(x) < 1 / _NEAR or abs(np.mean(x)) > _FAR * np.std(x)
    ]
    if far:
        label, x = far[0]
        yield Finding(
            "data far from unit scale",
            tuple(label for label, _ in far),
            f"A network starts from weights for data near unit scale, and {listed([label for label, _ in far])} are far from it "
            f"({label}: mean {np.mean(x):.4g}, standard deviation {np.std(x):.4g}): layers that meet them as they are start saturated "
            "or dead, and may stay so whatever the status.",
            "Subtract the mean and divide by the standard deviation, of observations too, and keep both for predictions.",
        )


def _columns(name: str, entry: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The columns of an entry that vary, over the rows that were seen: an array's last axis, and a vector is one."""
    values, mask = (None if part is None else np.asarray(part) for part in split(entry))
    if values is None or values.dtype.kind not in "fiu" or values.ndim == 0:
        return
    single = values.ndim == 1 or (mask is not None and mask.ndim == values.ndim)
    rows = values.reshape(-1, 1) if single else values.reshape(-1, values.shape[-1])
    if mask is not None:
        leading = values.shape if single else values.shape[:-1]
        rows = rows[np.broadcast_to(widen(mask, len(leading)), leading).ravel()]
    for i, column in enumerate(rows.T.astype(float)):
        if len(column) > 2 and np.ptp(column) > 0:
            axes = ":, " if values.ndim == 2 else "..., "
            yield name if single else f"{name}[{axes}{i}]", column
