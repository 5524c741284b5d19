"""Alignment of the labels of draws with each other or with a target.

Parameters are matched by a squared distance, summed over labels and over the entries of all parameters, with each
entry in units of its spread within labels. Spread and match are updated alternately, as if draws were normal around the
centre of their label with one variance per entry. So units drop out, and entries that separate labels outweigh those
that do not. With the spread over all labels, which needs no alternation, eight entries of noise besides one that separated
three labels perfectly misaligned every second draw.

Of a parameter with several label axes only the diagonal is used, such as the self-transition probabilities. Off-diagonal
entries belong to two labels; with them the cost of one label would depend on the places of all others, a quadratic
assignment problem, which is NP-hard.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from jaxlatent.diagnostics.relabelling.assignment import assign
from jaxlatent.diagnostics.relabelling.checking import Axes, check_finite
from jaxlatent.errors import InputError
from jaxlatent.typing import ArrayLike

#: Number of starts of each kind: typical draws, and entries to sort by.
_STARTS = 10

#: Minimum spread within labels of an entry, as a fraction of that over all labels, as a few draws may agree by chance.
_LEAST_SPREAD = 0.01


def align(features: np.ndarray, target: np.ndarray | None, max_iter: int) -> tuple[np.ndarray, int, bool]:
    """Match all draws to a target, or without one to their own mean, in units of the spread about it.

    Args:
        features: standardised, ``(N, K, F)``.
        target: ``(K, F)`` or None.
        max_iter: maximum number of rounds.

    Returns:
        The permutations ``(N, K)``, the number of rounds and whether the last one changed nothing.
    """
    if max_iter < 1:
        raise InputError("max_iter", got=str(max_iter), expected="at least 1", remedy="allow one round of matching.")
    perm = min(_starts(features, target), key=lambda perm: _moments(features, perm, target)[2])
    for iteration in range(1, max_iter + 1):
        center, spread, _ = _moments(features, perm, target)
        previous, perm = perm, _match(features, center, spread)
        if np.array_equal(perm, previous):
            return perm, iteration, True
    return perm, max_iter, False


def _starts(features: np.ndarray, target: np.ndarray | None) -> Iterator[np.ndarray]:
    """Starting permutations ``(N, K)``, which do not depend on the given order of labels."""
    ordered = np.sort(features, 1)
    deviation = np.square(ordered - ordered.mean(0))
    typical = np.argsort(deviation.sum((1, 2)), kind="stable")[:_STARTS]
    separating = np.argsort(deviation.sum((0, 1)), kind="stable")[:_STARTS]
    for center in features[typical] if target is None else [target]:
        yield _match(features, center, np.ones(center.shape[-1]))
    for entry in separating:
        order = np.argsort(features[..., entry], 1, kind="stable")
        yield order if target is None else order[:, np.argsort(np.argsort(target[:, entry]))]


def _moments(
    features: np.ndarray, perm: np.ndarray, target: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.floating]:
    """The centre of aligned draws, their spread within labels, and minus their log likelihood per draw and label."""
    aligned = np.take_along_axis(features, perm[..., None], 1)
    center = aligned.mean(0) if target is None else target
    variance = np.square(aligned - center).mean((0, 1))
    spread = np.maximum(np.sqrt(variance), _LEAST_SPREAD)
    return center, spread, (np.log(spread) + variance / spread**2 / 2).sum()


def _match(features: np.ndarray, center: np.ndarray, spread: np.ndarray) -> np.ndarray:
    # only the cross term of the squared distance depends on the order
    return assign(-np.einsum("kf,nlf->nkl", center / spread**2, features, optimize=True))


def features_of(params: Mapping[str, ArrayLike], axes: Axes, name: str, leading: int) -> np.ndarray:
    """The entries of one parameter that belong to a single label, ``(*leading, K, F)``."""
    value = np.asarray(params[name])
    value = value if np.issubdtype(value.dtype, np.floating) else value.astype(float)
    check_finite(f"parameter {name!r}", value)
    count = len(axes[name])
    value = np.moveaxis(value, [leading + axis for axis in axes[name]], range(leading, leading + count))
    *lead, labels = value.shape[: leading + 1]
    diagonal = value[(slice(None),) * leading + (np.arange(labels),) * count]
    return diagonal.reshape(*lead, labels, math.prod(diagonal.shape[leading + 1 :]))


def standardiser(features: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The map that centres and scales each entry of features ``(N, K, F)`` by its moments over draws and labels."""
    origin, size = features[0, 0].astype(float), np.abs(features).max((0, 1))
    # relative to the first draw: a constant then has spread exactly zero, and a large offset costs no precision
    mean, spread = (features - origin).mean((0, 1)), (features - origin).std((0, 1))
    # entries that are constant up to rounding do not inform labels
    known = spread > 8 * np.finfo(features.dtype).eps * size
    scale = np.where(known, 1 / np.where(known, spread, 1), 0)
    return lambda values: (values - origin - mean) * scale
