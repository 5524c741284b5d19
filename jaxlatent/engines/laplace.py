"""The Laplace approximation: a Gaussian at the mode of the unconstrained posterior."""

import jax
import jax.numpy as jnp

from jaxlatent.engines.base import Final, Stage, at_least, engine
from jaxlatent.engines.gaussian import GaussianSearch, inverse_root, outcome, standard_log_density
from jaxlatent.engines.optimize.optimize import Optimize, Record, State
from jaxlatent.posterior.curvature import hessian
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status
from jaxlatent.typing import Array, Key, Position, PyTree


@engine
class Laplace(GaussianSearch):
    """Draws from a Gaussian at the mode of the density of the unconstrained position, and the log evidence.

    The objective is Laplace's log evidence, log p(mode) + dim/2 log 2 pi - 1/2 log det(-Hessian) (MacKay 2003, eq.
    27.5). A mode whose curvature is not positive definite has status DEGENERATE, and draws that are NaN.

    Args:
        draws: per lane.
        restarts: lanes per dataset, each from a start of its own.
        max_iter: maximum number of gradient evaluations.
        tol: predicted gain, in nats, at which the mode is reached, see `Optimize`.
    """

    draws: int = 1000
    restarts: int = 1
    max_iter: int = 1000
    tol: float = 1e-8

    def __post_init__(self) -> None:
        at_least(self, draws=25, restarts=1, max_iter=1, tol=0)

    def init(self, posterior: Posterior, key: Key, position: Position, shared: PyTree) -> State:
        """A lane before the evaluation of its first position."""
        return self._search.init(posterior, key, position, shared)

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: PyTree, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One gradient evaluation of the search for the mode."""
        return self._search.step(posterior, key, state, shared, stage)

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """Draws ``(draws, dim)``, ``lp``, ``log_q``; per lane ``khat``, ``elbo``; the objective is the log evidence."""
        mode = self._search.finish(posterior, key, state)
        peak = mode.outputs.positions
        assert peak is not None
        factor, definite = inverse_root(hessian(lambda position: -posterior.log_density(position), peak))
        z = jax.random.normal(key, (self.draws, posterior.dim), peak.dtype)
        log_det = jnp.sum(jnp.log(jnp.diagonal(factor)))
        evidence = mode.objective - standard_log_density(jnp.zeros_like(peak)) + log_det
        status = jnp.where((mode.status == Status.CONVERGED) & ~definite, Status.DEGENERATE, mode.status)
        return outcome(posterior, peak + z @ factor.T, standard_log_density(z) - log_det, status, evidence)

    @property
    def _search(self) -> Optimize:
        return Optimize(
            jacobian=True, standard_errors=False, restarts=self.restarts, max_iter=self.max_iter, tol=self.tol
        )
