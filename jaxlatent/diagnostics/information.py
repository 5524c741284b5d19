"""`InformationCriterion`: the result of WAIC and LOO, and their shared checks."""

import math
from dataclasses import dataclass, field
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.diagnostics.chains import floating
from jaxlatent.errors import InputError
from jaxlatent.typing import Array, PyTree


@dataclass(frozen=True, eq=False)
class InformationCriterion:
    """An estimate of the expected log predictive density of new data, on log scale: larger is better.

    Attributes:
        kind: ``"waic"`` or ``"loo"``.
        pointwise: contribution of each observation to ``elpd``, shape ``(observations,)``.
        pointwise_p: contribution of each observation to ``p``, shape ``(observations,)``. For WAIC it is the posterior
            variance of the log likelihood.
        pareto_k: tail shape of the importance weights of each observation, shape ``(observations,)``; None for WAIC.
        n_samples: number of posterior draws, over all chains.
        warning: how many observations are unreliable and what to do, or None.
        n_unreliable: the number of observations with too large a Pareto k (for WAIC, too large a variance).
        contents: what each observation consists of, by which `jaxlatent.compare` knows the same data: number and sum of its values,
            ``(observations, 2)``; None if unknown.
    """

    kind: Literal["waic", "loo"]
    pointwise: np.ndarray = field(repr=False)
    pointwise_p: np.ndarray = field(repr=False)
    n_samples: int
    pareto_k: np.ndarray | None = field(default=None, repr=False)
    warning: str | None = None
    n_unreliable: int = 0
    contents: np.ndarray | None = field(default=None, repr=False)

    @property
    def n_observations(self) -> int:
        """Number of observations."""
        return len(self.pointwise)

    @property
    def elpd(self) -> float:
        """Expected log pointwise predictive density."""
        return float(self.pointwise.sum())

    @property
    def se(self) -> float:
        """Standard error of ``elpd``, over observations (Vehtari, Gelman and Gabry 2017, equation 23); NaN for one observation."""
        if self.n_observations < 2:
            return math.nan
        return math.sqrt(self.n_observations * self.pointwise.var(ddof=1))

    @property
    def p(self) -> float:
        """Effective number of parameters."""
        return float(self.pointwise_p.sum())

    @property
    def deviance(self) -> float:
        """``-2 elpd``: what the literature before 2017 reports as WAIC or LOOIC; smaller is better."""
        return -2 * self.elpd

    def __str__(self) -> str:
        kind = self.kind.upper()
        lines = [
            f"{kind} of {self.n_observations} observations from {self.n_samples} draws",
            f"  elpd      {self.elpd:12.2f}  (standard error {self.se:.2f})",
            f"  p         {self.p:12.2f}",
            f"  deviance  {self.deviance:12.2f}  (standard error {2 * self.se:.2f})",
        ]
        return "\n".join([*lines, f"  warning: {self.warning}"] if self.warning else lines)

    __repr__ = __str__


def flatten_log_likelihood(log_likelihood: PyTree, mask: PyTree = None) -> Array:
    """Gather the pointwise log likelihood of all observed variables in one table.

    Args:
        log_likelihood: an array of shape ``(chains, draws, *observations)`` or a pytree of such arrays.
        mask: which observations count, of the same structure with arrays of shape ``(*observations)``; all by default.
            Not traced.

    Returns:
        Shape ``(observations, chains * draws)``.

    Raises:
        InputError: no arrays, arrays of different numbers of draws, or of too few axes or draws.
    """
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(log_likelihood)]
    lead = {leaf.shape[:2] for leaf in leaves}
    if len(lead) != 1 or min(leaf.ndim for leaf in leaves) < 2 or math.prod(*lead) < 2:
        raise InputError(
            "log likelihood",
            got=f"arrays of shape {', '.join(str(leaf.shape) for leaf in leaves) or '(none)'}",
            expected="shapes (chains, draws, *observations) with equal chains and draws, at least two draws in all",
            remedy="pass the log likelihood of every observation at every draw, not its sum.",
        )
    chains, draws = lead.pop()
    table: Array = floating(jnp.concatenate([leaf.reshape(chains * draws, -1).T for leaf in leaves]))
    if mask is None:
        return table
    return table[np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(mask)]).astype(bool)]


def unreliable(suspects: np.ndarray, reason: str, remedy: str) -> str | None:
    """The warning text for the observations marked in ``suspects``, or None when there are none."""
    if not suspects.any():
        return None
    verb = "has" if suspects.sum() == 1 else "have"
    return f"{suspects.sum()} of {suspects.size} observations {verb} {reason}; {remedy}."
