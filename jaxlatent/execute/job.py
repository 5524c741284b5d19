"""`Job`: a fit whose arguments have been checked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxlatent.engines.base import Engine
from jaxlatent.execute.quarantine import Quarantine
from jaxlatent.execute.stopping import until as Until
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.store.files import Files
from jaxlatent.typing import Key


class Job(NamedTuple):
    """A fit whose arguments have been checked.

    Attributes:
        given: the posterior, without its guides.
        quarantine: of its datasets.
        engine, seed, coords, devices, segment, until, progress: see `fit`.
        key: the seed as a typed key.
        files: the store; None keeps everything in memory.
        datasets: their indices in the whole batch, of which these may be a part, ``(dataset,)``.
        whole: the number of datasets of the whole batch.
    """

    given: Posterior
    quarantine: Quarantine
    engine: Engine
    key: Key
    seed: Any
    coords: dict[str, list[Any]]
    devices: Sequence[jax.Device] | None
    segment: int
    until: Until | None
    progress: bool | None
    files: Files | None
    datasets: np.ndarray
    whole: int

    def part(self, positions: np.ndarray) -> "Job":
        """The job of some of these datasets."""
        return self._replace(
            given=self.given.some(positions),
            quarantine=self.quarantine.part(positions),
            datasets=self.datasets[positions],
        )
