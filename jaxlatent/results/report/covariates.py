"""Checks of covariates: collinear, or far from unit scale for a network."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from jaxlatent.data.arrays import split
from jaxlatent.errors import listed
from jaxlatent.masks import widen
from jaxlatent.results.report.finding import Finding

#: Covariates are collinear if an eigenvalue of their correlation matrix is smaller.
_MIN_EIGENVALUE = 1e-3
#: Minimum absolute coefficient of a covariate in a collinear combination.
_PART = 0.1
#: Rules of thumb for a network: the minimum standard deviation, which is also one over the maximum, and the maximum distance of the mean
#: from zero, in standard deviations.
_NEAR, _FAR = 1e-2, 10.0


def same_covariates(data: dict[str, Any], observed: Collection[str]) -> Iterator[Finding]:
    """Collinear covariates."""
    by_length: dict[int, dict[str, np.ndarray]] = {}
    for name, entry in data.items():
        if name not in observed:
            for label, column in _columns(name, entry):
                by_length.setdefault(len(column), {})[label] = column
    for columns in by_length.values():
        names = list(columns)
        values, directions = np.linalg.eigh(np.corrcoef(list(columns.values())).reshape(len(names), -1))
        for direction in directions.T[values < _MIN_EIGENVALUE]:
            same = tuple(name for name, part in zip(names, np.abs(direction), strict=True) if part > _PART)
            yield Finding(
                "duplicate predictor",
                same,
                f"The covariates {listed(same)} are collinear: one of them is a linear combination of the other"
                f"{'s' if len(same) > 2 else ''}, and their effects cannot be separated.",
                "Leave one of them out.",
            )


def unstandardised(data: Any, params: Collection[str]) -> Iterator[Finding]:
    """Data that are too large, too small or too far from zero for the initial weights of a network."""
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
            f"({label}: mean {np.mean(x):.4g}, standard deviation {np.std(x):.4g}): layers start saturated or dead, and may stay so "
            "whatever the status.",
            "Standardise covariates and observations, and keep means and standard deviations for predictions.",
        )


def _columns(name: str, entry: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The non-constant columns of an entry over its unmasked rows; columns are the last axis, a vector is one column."""
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
