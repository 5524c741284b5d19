"""Rows of consecutive sequences, told apart by their ``lengths`` as in hmmlearn, as padded arrays and back."""

from typing import Any

import numpy as np

from jaxlatent.data import Masked
from jaxlatent.errors import InputError
from jaxlatent.execute.padding import round_up

#: Fewer rows are padded to so many, so that a row alone has the same value, to the last bit, as among a few others.
_LEAST_ROWS = 32


def lengths_of(lengths: Any, rows: int) -> np.ndarray:
    """The lengths of the sequences, checked; None is one sequence of all ``rows``.

    Raises:
        InputError: unless they are positive integers that add up to ``rows``.
    """
    if lengths is None:
        return np.array([rows])
    found = np.asarray(lengths)
    integers = found.ndim == 1 and found.dtype.kind in "iu"
    total = f", which add up to {found.sum()}" if integers else ""
    if not integers or (found <= 0).any() or found.sum() != rows:
        raise InputError(
            "lengths",
            got=np.array2string(found, threshold=10, separator=", ") + total,
            expected=f"positive integers, one for each sequence, that add up to the {rows} rows of X",
            remedy="give the number of rows of each sequence, in the order of the rows of X.",
        )
    return found


def in_sequences(rows: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Split rows into a list of sequences."""
    return np.split(rows, np.cumsum(lengths)[:-1])


def sequence_mask(lengths: np.ndarray) -> np.ndarray:
    """Which steps of padded sequences exist, ``(sequences, steps)``, both rounded up so that programs are few."""
    padded = np.zeros(round_up(len(lengths)), int)
    padded[: len(lengths)] = lengths
    mask: np.ndarray = np.arange(round_up(int(lengths.max()))) < padded[:, None]
    return mask


def row_mask(rows: int) -> np.ndarray:
    """Which of the padded rows exist; the number of padded rows is rounded up so that programs are few."""
    mask: np.ndarray = np.arange(max(round_up(rows), _LEAST_ROWS)) < rows
    return mask


def padded(rows: np.ndarray, mask: np.ndarray) -> Masked:
    """Rows ``(N, ...)`` as the entries of ``mask`` that are True, zero elsewhere. The inverse is ``values[mask]``."""
    values = np.zeros((*mask.shape, *rows.shape[1:]), rows.dtype)
    values[mask] = rows
    return Masked(values, mask)
