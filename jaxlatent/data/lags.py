"""Inputs that look back within a sequence: the last choice, win-stay-lose-switch, and an exponential filter of the past.

They are items of ``x=[...]`` in `jaxlatent.sequences`, and functions of its formulas. No value crosses from one sequence into the next.

Columns are coded first. A binary one, that is booleans, two categories, or numbers that are all 0 or 1, becomes -1 and +1, in the order
False and True, first and second category, 0 and 1 (previous choices as in Ashwood et al. 2022). Other numbers stay as they are.
Missing values become 0: neither choice.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxlatent.data.columns import Column
from jaxlatent.errors import InputError, require

_BINARY = (
    "lag one level against the others: frame['chose_left'] = frame['choice'] == 'left' (and a missing value where the choice is missing), "
    "or for one level that occurs make the column categorical with both levels."
)


class Steps(NamedTuple):
    """Where the rows of a table are in sequences.

    Attributes:
        order: ``(N,)``: the rows of the table, as the steps of one sequence after the other.
        step: ``(N,)``: the index of each of these steps in its sequence, from 0.
    """

    order: np.ndarray
    step: np.ndarray


class History:
    """An input that is computed from earlier steps of the same sequence."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Its name among the inputs."""

    @abstractmethod
    def compute(self, columns: Mapping[str, Column], steps: Steps) -> np.ndarray:
        """Its values ``(N,)``, of the steps of one sequence after the other.

        Args:
            columns: by name, in the order of the table.
            steps: where its rows are in sequences.
        """


@dataclass(frozen=True)
class Lag(History):
    """See `lag`."""

    column: str
    by: int
    name: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def label(self) -> str:
        """``lag(choice)``, ``lag(choice, 2)``."""
        return self.name or (f"lag({self.column})" if self.by == 1 else f"lag({self.column}, {self.by})")

    def compute(self, columns: Mapping[str, Column], steps: Steps) -> np.ndarray:
        """See `History`."""
        return _earlier(coded(columns[self.column], self.label), steps, self.by)


@dataclass(frozen=True)
class WinStayLoseSwitch(History):
    """See `win_stay_lose_switch`."""

    choice: str
    reward: str
    name: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Choice and reward."""
        return (self.choice, self.reward)

    @property
    def label(self) -> str:
        """``win_stay_lose_switch(choice, reward)``."""
        return self.name or f"win_stay_lose_switch({self.choice}, {self.reward})"

    def compute(self, columns: Mapping[str, Column], steps: Steps) -> np.ndarray:
        """See `History`."""
        columns[self.reward].require_kind(
            ["number", "boolean"],
            f"the reward of {self.label}",
            "say what is a reward: frame['rewarded'] = frame['outcome'] == 'correct'.",
        )
        product = np.ones(len(steps.order))
        for name in self.columns:
            values = coded(columns[name], self.label)
            _require_signs(columns[name], values, self.label)
            product *= values
        return _earlier(product, steps, 1)


@dataclass(frozen=True)
class ExponentialFilter(History):
    """See `exponential_filter`."""

    column: str
    decay: float
    name: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def label(self) -> str:
        """``exponential_filter(choice, 0.8)``."""
        return self.name or f"exponential_filter({self.column}, {self.decay:g})"

    def compute(self, columns: Mapping[str, Column], steps: Steps) -> np.ndarray:
        """See `History`."""
        past, level = [], 0.0
        before = _earlier(coded(columns[self.column], self.label), steps, 1)
        for value, first in zip(before.tolist(), (steps.step == 0).tolist(), strict=True):
            level = 0.0 if first else self.decay * level + (1 - self.decay) * value
            past.append(level)
        return np.array(past)


def lag(column: str, by: int = 1, name: str | None = None) -> History:
    """The value of a column ``by`` steps earlier in the same sequence; an input of `jaxlatent.sequences`.

    Binary columns are -1 and +1; 0 stands for a missing value and for one before the first step; see `jaxlatent.data.lags`.

    Args:
        column: its name.
        by: at least 1.
        name: of the input, ``lag(column)`` by default.
    """
    require(isinstance(by, int) and by >= 1, "lag(by=...)", got=by, expected="at least 1 step")
    return Lag(column, by, name)


def win_stay_lose_switch(choice: str, reward: str, name: str | None = None) -> History:
    """The last choice if it was rewarded, otherwise the other one (Ashwood et al. 2022); an input of `jaxlatent.sequences`.

    It is the product of last choice and last reward, each -1 or +1: +1 after the second choice with, or the first without a reward. 0
    stands for a missing choice or reward, and for the first step.

    Args:
        choice: a binary column (two categories, booleans, 0 and 1, or -1 and 1).
        reward: a column of booleans, 0 and 1, or -1 and 1.
        name: of the input, ``win_stay_lose_switch(choice, reward)`` by default.
    """
    return WinStayLoseSwitch(choice, reward, name)


def exponential_filter(column: str, decay: float, name: str | None = None) -> History:
    """The exponentially weighted mean of all earlier values of the same sequence; an input of `jaxlatent.sequences`.

    ``f[0] = 0``, ``f[t] = decay * f[t - 1] + (1 - decay) * value[t - 1]``. Binary columns are -1 and +1, and missing values count as 0; see
    `jaxlatent.data.lags`.

    Args:
        column: its name.
        decay: from 0, which is `lag`, to below 1.
        name: of the input, ``exponential_filter(column, decay)`` by default.
    """
    require(0 <= decay < 1, "exponential_filter(decay=...)", got=decay, expected="at least 0 and below 1")
    return ExponentialFilter(column, decay, name)


def coded(column: Column, use: str) -> np.ndarray:
    """A column as numbers ``(N,)``, as this module's docstring says."""
    column.require_kind(["number", "boolean", "category"], f"in {use}", "give times since an origin as numbers.")
    column.require_finite(f"in {use}")
    values = column.values.astype(np.float64)
    if column.kind == "category" and len(column.levels) != 2:
        raise InputError(
            f"column {column.name!r}, in {use}",
            got=f"{len(column.levels)} levels",
            expected="numbers, or two levels, which are coded as -1 and +1",
            remedy=_BINARY,
        )
    if column.kind != "number" or column.signs:
        _require_zero_one(column, use)
        values = 2 * values - 1
    return np.where(column.missing, 0.0, values)


def _require_zero_one(column: Column, use: str) -> None:
    wrong = ~np.isin(column.values, (0, 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"column {column.name!r}, in {use}",
            got=f"{column.values[row]}",
            expected="0 or 1, as when the encoding was made, which codes them as -1 and +1",
            remedy="make the encoding from a table that has all values of the column.",
        )


def _require_signs(column: Column, values: np.ndarray, use: str) -> None:
    wrong = ~np.isin(values, (-1, 1)) & ~column.missing
    if wrong.any():
        raise InputError(
            f"column {column.name!r}, in {use}",
            got=f"{values[np.flatnonzero(wrong)[0]]:g}",
            expected="0 and 1, or -1 and 1",
            remedy="make it binary, with missing values where it is neither.",
        )


def _earlier(values: np.ndarray, steps: Steps, by: int) -> np.ndarray:
    """Values ``by`` steps earlier in the same sequence; 0 before the first."""
    back = steps.order[np.maximum(np.arange(len(values)) - by, 0)]
    return np.where(steps.step < by, 0.0, values[back])
