"""What engines have in common whose draws follow each other in chains, and what only all chains of a dataset together can tell."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from jaxlatent.engines.base import Outputs, Stage
from jaxlatent.status import Status
from jaxlatent.typing import PyTree

#: Fewer draws may be apart because they have only begun to move.
_TELLING = 100
#: The variance of the means of chains, as a multiple of that of their draws, from which they have nothing in common: R-hat is above 3.
_APART = 8.0


class Chains:
    """Engines of ``chains``, each record of which is a draw: ``position``, ``lp``, and statistics ``info`` under ArviZ's names."""

    chains: int
    kind: ClassVar[str] = "chains"
    crosses: ClassVar[bool] = False
    by_rows: ClassVar[bool] = False

    @property
    def lanes(self) -> int:
        """Chains per dataset."""
        return self.chains

    def cross_lanes(self, states: PyTree, shared: PyTree, stage: Stage) -> tuple[PyTree, PyTree]:
        """Chains meet at the end of a stage only."""
        return states, shared

    def outputs(self, records: PyTree) -> Outputs:
        """The draws, with ArviZ's sampler statistics."""
        return Outputs({"lp": records.lp, **records.info._asdict()}, records.position)

    def review(
        self, positions: np.ndarray, statistics: Mapping[str, np.ndarray], status: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Whether chains have anything in common."""
        return judged(status, positions), []


def judged(status: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The status of chains, UNMIXED where those that did not fail have nothing in common.

    Args:
        status: ``(dataset, chain)``.
        positions: draws ``(dataset, chain, draw, dim)``, NaN where there are none.
    """
    failed = np.isin(status, [code for code in Status if code.failed])
    status = status.copy()
    for dataset, (ended, draws) in enumerate(zip(~failed, positions, strict=True)):
        made = ~np.isnan(draws[ended]).any((0, 2))
        if ended.sum() > 1 and made.sum() >= _TELLING:
            chains = draws[ended][:, made].astype(float)
            between, within = chains.mean(1).var(0, ddof=1), chains.var(1).mean(0)
            if np.any(between > _APART * within):
                status[dataset, ended] = Status.UNMIXED
    return status
