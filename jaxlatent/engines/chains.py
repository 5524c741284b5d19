"""Base of the MCMC engines, and the check that the chains of a dataset have mixed."""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np

from jaxlatent.engines.base import Independent, Outputs
from jaxlatent.errors import require
from jaxlatent.status import Status, has_failed
from jaxlatent.typing import Array, PyTree

#: Chains with fewer draws are not checked: they may only have begun to move.
_MIN_DRAWS = 100
#: Ratio of between-chain to within-chain variance above which chains are UNMIXED: R-hat is above 3.
_UNMIXED_STATUS_RATIO = 8.0


class Record(NamedTuple):
    """What a draw leaves behind; ``info`` are statistics under ArviZ's names."""

    position: Array
    gradient: Array
    lp: Array
    info: PyTree


class Chains(Independent):
    """Base of MCMC engines, each `Record` of which is a draw."""

    chains: int
    warmup: int
    draws: int
    target_accept: float
    divergence_threshold: float
    kind: ClassVar[str] = "chains"

    def check_settings(self) -> None:
        """Check the settings common to all MCMC engines."""
        for name, fine, expected in (
            ("draws", self.draws >= 1, "at least 1 draw"),
            ("warmup", self.warmup >= 0, "0 or more transitions"),
            ("target_accept", 0 < self.target_accept < 1, "a number in (0, 1)"),
            ("divergence_threshold", self.divergence_threshold > 0, "a positive energy error"),
        ):
            require(fine, f"{type(self).__name__}({name}=...)", got=getattr(self, name), expected=expected)

    @property
    def lanes(self) -> int:
        """Chains per dataset."""
        return self.chains

    def outputs(self, records: PyTree) -> Outputs:
        """The draws, with ArviZ's sampler statistics."""
        return Outputs({"lp": records.lp, **records.info._asdict()}, records.position)

    def review(
        self, positions: np.ndarray, statistics: Mapping[str, np.ndarray], status: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Mark chains that have not mixed."""
        return mark_unmixed(status, positions), []


def mark_unmixed(status: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The status of chains, with UNMIXED for those of a dataset whose unfailed chains sample different regions.

    Args:
        status: ``(dataset, chain)``.
        positions: draws ``(dataset, chain, draw, dim)``, NaN where missing.
    """
    status, unfailed = status.copy(), ~has_failed(status)
    for dataset, (ended, draws) in enumerate(zip(unfailed, positions, strict=True)):
        made = ~np.isnan(draws[ended]).any((0, 2))
        if ended.sum() > 1 and made.sum() >= _MIN_DRAWS:
            chains = draws[ended][:, made].astype(float)
            between, within = chains.mean(1).var(0, ddof=1), chains.var(1).mean(0)
            if np.any(between > _UNMIXED_STATUS_RATIO * within):
                status[dataset, ended] = Status.UNMIXED
    return status
