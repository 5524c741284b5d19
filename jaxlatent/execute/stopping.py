"""When to stop before the schedule ends: each dataset once it has enough.

The cost of a look does not grow with the draws that there are. Of long chains evenly spaced draws are looked at, several times as many as
the rule asks for: their effective sample size is never above that of all, and where it is below, there are more than enough. The
coordinate that was farthest from enough at the last look goes first, and the others are looked at only once it has enough. And since
effective sample sizes, and what R-hat is above 1 its inverse, grow as the draws do, the first look tells when the next one is due.
"""

import math
from dataclasses import dataclass

import jax
import numpy as np

from jaxlatent.diagnostics import ess_bulk, rhat
from jaxlatent.errors import require
from jaxlatent.typing import AnyArray, Array

#: Draws looked at, as a multiple of those that a rule could be met with if all were independent.
_MARGIN = 8
#: Coordinates that are measured together: whatever their number, one program serves.
_COLUMNS = 16
#: Draws grow between two looks by a factor of at least, and at most.
_SOON, _LATE = 1.2, 2.0


@dataclass(frozen=True)
class until:
    """Stop sampling a dataset's chains once every coordinate is known well enough.

    Looked at when a segment ends and enough may have been reached, at the latest when draws have doubled since the last look. A dataset
    that has enough stops, the others go on: of a batch, its later draws are NaN, and ``result[name]`` holds those that were made. A dataset
    with a chain that failed never has enough.

    Args:
        ess: bulk effective sample size, all chains together.
        rhat: rank-normalised split R-hat.
    """

    ess: float = 400.0
    rhat: float = 1.01

    def __post_init__(self) -> None:
        require(self.ess > 0, "until(ess=...)", got=self.ess, expected="a positive number")
        require(self.rhat > 1, "until(rhat=...)", got=self.rhat, expected="a number above 1")

    def most(self, chains: int) -> int:
        """Draws of each of so many chains that tell whether the rule is met."""
        # Independent draws of m chains, n each, have an R-hat of about 1 + 1 / n.
        return math.ceil(_MARGIN * max(self.ess / chains, 1 / (self.rhat - 1), 1))

    def reached(self, draws: np.ndarray, capacity: int) -> np.ndarray:
        """How much of what is asked for there is, where 1 is enough, by coordinate ``(column,)``.

        Args:
            draws: ``(chain, draw, column)``.
            capacity: draws at most: the diagnostics are compiled for that many.
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


class Watch:
    """Which datasets go on, while draws come in.

    Args:
        rule: None: all go on.
        sound: which datasets go on at first, ``(dataset,)``.
        total: draws that the schedule would reach.
    """

    def __init__(self, rule: until | None, sound: np.ndarray, total: int) -> None:
        self.rule, self.total = rule, total
        self.running = sound.copy()
        self._kept: list[np.ndarray] = []
        self._hardest = np.zeros(len(sound), int)
        self._due = 0.0

    def look(self, positions: np.ndarray | None) -> None:
        """Stop the datasets that have enough.

        Args:
            positions: of a segment, ``(dataset, chain, draw, dim)``.
        """
        if self.rule is None or positions is None:
            return
        self._kept.append(positions)
        made = sum(part.shape[2] for part in self._kept)
        if made < self._due or made == self.total:
            return
        draws, capacity = self._spaced(self._kept, made)
        going = np.flatnonzero(self.running)
        reached = self.rule.reached(np.stack([draws[i, :, :, self._hardest[i]] for i in going], -1), capacity)
        hopeful = reached >= 1
        if hopeful.any():
            columns = np.moveaxis(draws[going[hopeful]], 0, 2).reshape(*draws.shape[1:3], -1)
            each = self.rule.reached(columns, capacity).reshape(-1, draws.shape[3])
            reached[hopeful], self._hardest[going[hopeful]] = each.min(1), each.argmin(1)
        self.running[going] = reached < 1
        self._due = made * min(max(1 / max(reached[reached < 1].max(initial=0.0), 1e-9), _SOON), _LATE)

    def _spaced(self, kept: list[np.ndarray], made: int) -> tuple[np.ndarray, int]:
        """Evenly spaced draws, the last one among them, and how many there are at most."""
        assert self.rule is not None
        capacity = min(self.rule.most(kept[0].shape[1]), self.total)
        rows = np.arange(made - 1, -1, -math.ceil(made / capacity))[::-1]
        parts, begin = [], 0
        for part in kept:
            parts.append(part[:, :, rows[(rows >= begin) & (rows < begin + part.shape[2])] - begin])
            begin += part.shape[2]
        return np.concatenate(parts, 2), capacity


@jax.jit
def _measure(draws: Array, count: Array) -> tuple[AnyArray, AnyArray]:
    return ess_bulk(draws, count), rhat(draws, count)
