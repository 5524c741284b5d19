"""Early stopping: end the sampling of each dataset once its diagnostics meet a rule.

The cost of a check does not grow with the number of draws. Long chains are thinned to several times as many draws as the rule asks for:
the effective sample size of thinned draws is never above that of all. The coordinate farthest from the rule at the last check goes
first, and the others are checked only once it meets the rule. Since ESS and 1 / (R-hat - 1) grow about linearly with the draws, each check
predicts when the next one is due.
"""

import math
from dataclasses import dataclass

import jax
import numpy as np

from jaxlatent.diagnostics import ess_bulk, rhat
from jaxlatent.errors import require
from jaxlatent.typing import AnyArray, Array

#: Draws used by a check, as a multiple of those that would meet the rule if independent.
_MARGIN = 8
#: Coordinates per call of the compiled diagnostics, whatever their total number.
_COLUMNS = 16
#: Minimum and maximum factor by which draws grow between two checks.
_MIN_GROWTH, _MAX_GROWTH = 1.2, 2.0


@dataclass(frozen=True)
class until:
    """Stop sampling a dataset once the ESS and R-hat of every coordinate meet a rule.

    The rule is checked at the end of segments, at the latest when draws have doubled since the last check. In a batch each dataset stops on
    its own: its later draws are NaN, and ``result[name]`` holds those that were made. A dataset with a failed chain never stops early.

    Args:
        ess: bulk effective sample size, all chains together.
        rhat: rank-normalised split R-hat.
    """

    ess: float = 400.0
    rhat: float = 1.01

    def __post_init__(self) -> None:
        require(self.ess > 0, "until(ess=...)", got=self.ess, expected="a positive number")
        require(self.rhat > 1, "until(rhat=...)", got=self.rhat, expected="a number above 1")

    def draws_needed(self, chains: int) -> int:
        """The number of draws per chain that a check uses."""
        # Independent draws of m chains, n each, have an R-hat of about 1 + 1 / n.
        return math.ceil(_MARGIN * max(self.ess / chains, 1 / (self.rhat - 1), 1))

    def progress(self, draws: np.ndarray, capacity: int) -> np.ndarray:
        """Progress towards the rule, which is met at 1, by coordinate ``(column,)``.

        Args:
            draws: ``(chain, draw, column)``.
            capacity: maximum number of draws, for which the diagnostics are compiled.
        """
        count, columns = draws.shape[1:]
        padded = np.pad(draws, ((0, 0), (0, capacity - count), (0, -columns % _COLUMNS)), mode="edge")
        parts = [
            _measure(padded[:, :, first : first + _COLUMNS], count) for first in range(0, padded.shape[2], _COLUMNS)
        ]
        ess, r_hat = (np.concatenate(part)[:columns] for part in zip(*parts, strict=True))
        mixed = (self.rhat - 1) / np.maximum(r_hat - 1, 1e-12)
        share: np.ndarray = np.nan_to_num(np.minimum(ess / self.ess, mixed), nan=0.0)
        return share


class Monitor:
    """Which datasets still run, updated as draws arrive.

    Args:
        rule: the stopping rule; None never stops early.
        sound: which datasets run at first, ``(dataset,)``.
        total: number of draws of the whole schedule.
    """

    def __init__(self, rule: until | None, sound: np.ndarray, total: int) -> None:
        self.rule, self.total = rule, total
        self.running = sound.copy()
        self._hardest = np.zeros(len(sound), int)
        self._due = 0.0
        self._made, self._every = 0, 1
        self._kept: np.ndarray | None = None

    def update(self, positions: np.ndarray | None) -> None:
        """Stop the datasets that meet the rule.

        Args:
            positions: draws of a segment, ``(dataset, chain, draw, dim)``.
        """
        if self.rule is None or positions is None:
            return
        capacity = self._keep(self.rule, positions)
        if self._made < self._due or self._made == self.total:
            return
        assert self._kept is not None
        draws, going = self._kept, np.flatnonzero(self.running)
        progress = self.rule.progress(np.stack([draws[i, :, :, self._hardest[i]] for i in going], -1), capacity)
        candidates = progress >= 1
        if candidates.any():
            columns = np.moveaxis(draws[going[candidates]], 0, 2).reshape(*draws.shape[1:3], -1)
            each = self.rule.progress(columns, capacity).reshape(-1, draws.shape[3])
            progress[candidates], self._hardest[going[candidates]] = each.min(1), each.argmin(1)
        self.running[going] = progress < 1
        growth = min(max(1 / max(progress[progress < 1].max(initial=0.0), 1e-9), _MIN_GROWTH), _MAX_GROWTH)
        self._due = self._made * growth

    def _keep(self, rule: until, positions: np.ndarray) -> int:
        """Keep every so many-th draw, so that memory does not grow with their number; returns the most that are kept."""
        capacity = min(2 * rule.draws_needed(positions.shape[1]), self.total)
        new = positions[:, :, -self._made % self._every :: self._every]
        self._kept = new if self._kept is None else np.concatenate([self._kept, new], 2)
        self._made += positions.shape[2]
        while self._kept.shape[2] > capacity:
            self._kept, self._every = self._kept[:, :, ::2], 2 * self._every
        return capacity


@jax.jit
def _measure(draws: Array, count: Array) -> tuple[AnyArray, AnyArray]:
    return ess_bulk(draws, count), rhat(draws, count)
