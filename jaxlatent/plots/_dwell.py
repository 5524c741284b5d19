"""Dwell times: how many steps in a row a path stays in a state, with visits that the end of a sequence cuts.

Of a visit that lasts to the last step of its sequence it is known only that it lasts at least that long. To drop it would favour short
visits, to count it as ended would do so too. The product-limit estimate (Kaplan and Meier 1958) uses what is known: a visit of length ``n``
is at risk of ending after each of its steps; a cut one after each but its last.
"""

from typing import NamedTuple

import numpy as np


class Visits(NamedTuple):
    """Visits of states.

    Attributes:
        state: of each.
        length: in steps, at least 1.
        cut: whether the sequence ended with it.
    """

    state: np.ndarray
    length: np.ndarray
    cut: np.ndarray


def visits(paths: np.ndarray) -> Visits:
    """The visits in paths ``(..., T)`` of integers, -1 past the end of a sequence; none goes on into the next sequence."""
    ended = np.concatenate([paths, np.full((*paths.shape[:-1], 1), -1, paths.dtype)], -1).ravel()
    starts = np.flatnonzero(np.append(True, ended[1:] != ended[:-1]))
    state, length = ended[starts], np.diff(np.append(starts, ended.size))
    cut = np.append(state[1:], -1) < 0
    inside = state >= 0
    return Visits(state[inside], length[inside], cut[inside])


def survival(length: np.ndarray, cut: np.ndarray, longest: int) -> np.ndarray:
    """The product-limit estimate of the share of visits that last longer than 0, 1, ..., ``longest`` steps, ``(longest + 1,)``.

    After the longest visit that is known, it stays as it is; without visits it is NaN.
    """
    if not length.size:
        return np.full(longest + 1, np.nan)
    ended = np.bincount(length[~cut], minlength=longest + 1)[: longest + 1]
    # Cut visits are at risk of ending after each step but their last.
    known = np.bincount(length - cut, minlength=longest + 1)
    at_risk = np.cumsum(known[::-1])[::-1][: longest + 1]
    return np.cumprod(1 - ended / np.maximum(at_risk, 1))


def bins(longest: int) -> np.ndarray:
    """Edges of bins of dwell times whose width doubles, 1, 2, 4, 8, ..., the last beyond ``longest``."""
    return 2 ** np.arange(int(np.log2(max(longest, 1))) + 2)
