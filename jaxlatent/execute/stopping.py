"""When to stop before the schedule ends."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxlatent.diagnostics import ess_bulk, rhat
from jaxlatent.errors import require


@dataclass(frozen=True)
class until:
    """Stop sampling a dataset's chains once every coordinate is known well enough; looked at once a segment.

    Args:
        ess: bulk effective sample size, all chains together.
        rhat: rank-normalised split R-hat.
    """

    ess: float = 400.0
    rhat: float = 1.01

    def __post_init__(self) -> None:
        require(self.ess > 0, "until(ess=...)", got=self.ess, expected="a positive number")
        require(self.rhat > 1, "until(rhat=...)", got=self.rhat, expected="a number above 1")

    def met(self, positions: np.ndarray, total: int) -> bool:
        """Whether draws so far suffice for every dataset.

        Args:
            positions: ``(dataset, chain, draws so far, dim)``.
            total: draws that the schedule would reach: the diagnostics are compiled once, for that many.
        """
        count = positions.shape[2]
        if count < 4:
            return False
        padded = np.pad(positions, ((0, 0), (0, 0), (0, total - count), (0, 0)))
        draws = jnp.asarray(np.moveaxis(padded, 0, 2))
        enough = jnp.min(ess_bulk(draws, n=count)) >= self.ess
        return bool(enough & (jnp.max(rhat(draws, n=count)) <= self.rhat))
