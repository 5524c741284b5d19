r"""DADVI: deterministic mean-field variational inference on fixed draws (Giordano, Ingram and Broderick 2023).

With fixed standard normal draws :math:`z_i` the bound
:math:`\frac1M \sum_i \log p(m + e^{\xi} z_i) + \sum \xi` is an ordinary function of location and log scale. L-BFGS maximises it to a
tolerance in some hundred evaluations, where stochastic gradients need tens of thousands. Its initial diagonal is that of the natural
gradient, without which a mixture of experts took ten times as many.

The curvature of the bound recovers correlations: the linear response covariance (Giordano, Broderick and Jordan 2018), the upper left block
of the inverse Hessian of minus the bound, is right where the mean field is far too narrow.

Location and scale may overfit the fixed draws. So the objective is estimated on fresh ones, and a lane whose bound is much higher reports
that its draws were too few.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.engines.base import Final, Record, Stage, at_least, engine
from jaxlatent.engines.gaussian import GaussianSearch, inverse_root, outcome, standard_log_density
from jaxlatent.engines.optimize.lbfgs import LBFGS
from jaxlatent.engines.optimize.lbfgs import State as SearchState
from jaxlatent.errors import require
from jaxlatent.posterior.curvature import hessian
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status, at_limit
from jaxlatent.typing import Array, Key, LogDensity, Position, PyTree

#: In unconstrained coordinates. For a mixture of experts 0.01 and 0.135 reach the same bounds, from random starts and from the mode.
_START_SCALE = 0.03
#: Columns of the Hessian at once: bounds memory.
_CHUNK_SIZE = 8


class State(NamedTuple):
    """A lane between two evaluations.

    Attributes:
        search: state of L-BFGS over location and log scale, ``(2 dim,)``.
        noise: the fixed draws, ``(num_samples, dim)``.
        evaluations: number so far.
    """

    search: SearchState
    noise: Array
    evaluations: Array


@engine
class DADVI(GaussianSearch):
    """Mean-field variational inference on fixed draws, with linear response covariances.

    Check ``khat``: above 0.7 the approximation is unreliable.

    Args:
        num_samples: fixed draws, in antithetic pairs, so even. The fewer there are, the more the bound is biased upwards; hundreds of
            unknowns without group structure, such as the weights of a network, need half as many draws as unknowns.
        linear_response: whether draws have the linear response covariance ``(dim, dim)`` rather than that of the mean field.
        max_iter: maximum number of evaluations of the bound and its gradient.
        tol: predicted gain of the bound, in nats, below which a lane has converged.
        draws: per lane, from the approximation.
        restarts: lanes per dataset, each from a start and with fixed draws of its own.
    """

    num_samples: int = 30
    linear_response: bool = True
    max_iter: int = 2000
    tol: float = 1e-4
    draws: int = 1000
    restarts: int = 1

    def __post_init__(self) -> None:
        at_least(self, max_iter=1, tol=0, draws=25, restarts=1)
        even = self.num_samples >= 2 and self.num_samples % 2 == 0
        require(even, "DADVI(num_samples=...)", got=self.num_samples, expected="an even number, 2 at least")

    def init(self, posterior: Posterior, key: Key, position: Position, shared: PyTree) -> State:
        """A narrow Gaussian at the starting position."""
        half = jax.random.normal(key, (self.num_samples // 2, posterior.dim), position.dtype)
        both = jnp.concatenate([position, jnp.full_like(position, jnp.log(_START_SCALE))])
        return State(self._search.init(both), jnp.concatenate([half, -half]), jnp.zeros((), jnp.int32))

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: PyTree, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One evaluation of the bound."""
        cost = _cost(posterior, state.noise)
        search = self._search.update(state.search, *jax.value_and_grad(cost)(state.search.trial), cost)
        return State(search, state.noise, state.evaluations + 1), Record(-search.point.value), jnp.ones((), bool)

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """Draws ``(draws, dim)``, ``lp``, ``log_q``; per lane ``khat``, ``elbo``, ``n_steps``, ``bound`` and whether it is ``overfit``.

        The objective is the ELBO of the mean field on fresh draws, ``elbo`` that of the returned draws, ``bound`` that of the fixed draws,
        which is overfit if it exceeds the objective by more than half a nat per unknown.
        """
        both, status = state.search.point.position, at_limit(state.search.status)
        bound = -state.search.point.value
        location, log_scale = jnp.split(both, 2)
        z = jax.random.normal(key, (self.draws, posterior.dim), both.dtype)
        log_q = standard_log_density(z)
        final = outcome(posterior, location + z * jnp.exp(log_scale), log_q - jnp.sum(log_scale), status)
        overfit = bound - final.objective > posterior.dim / 2
        if self.linear_response:
            root, definite = inverse_root(hessian(_cost(posterior, state.noise), both, _CHUNK_SIZE))
            covariance = (root @ root.T)[: posterior.dim, : posterior.dim]
            factor = jnp.linalg.cholesky(covariance)
            ended = (status == Status.CONVERGED) | (status == Status.MAX_ITERATIONS)
            status = jnp.where(ended & ~definite, Status.DEGENERATE, status)
            log_q = log_q - jnp.sum(jnp.log(jnp.diagonal(factor)))
            final = outcome(posterior, location + z @ factor.T, log_q, status, final.objective)
        return final.with_statistics(n_steps=state.evaluations, bound=bound, overfit=overfit)

    def review(
        self, positions: np.ndarray, statistics: Mapping[str, np.ndarray], status: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Warn where the fixed draws are overfitted, or else where k-hat is large."""
        overfit = statistics["overfit"]
        if not np.any(overfit):
            return super().review(positions, statistics, status)
        return status, [
            f"DADVI: {np.sum(overfit)} of {overfit.size} lanes overfit their {self.num_samples} fixed draws. "
            "Raise num_samples, to half the number of unknowns or more."
        ]

    @property
    def _search(self) -> LBFGS:
        return LBFGS(self.tol, scale=_natural)


def _natural(both: Array) -> Array:
    """The diagonal inverse Fisher information of a mean-field Gaussian, which turns the gradient into the natural gradient."""
    log_scale = jnp.split(both, 2)[1]
    return jnp.concatenate([jnp.exp(2 * log_scale), jnp.full_like(log_scale, 0.5)])


def _cost(posterior: Posterior, noise: Array) -> LogDensity:
    """Minus the bound, as a function of location and log scale ``(2 dim,)``."""

    def cost(both: Array) -> Array:
        location, log_scale = jnp.split(both, 2)
        terms = jax.vmap(posterior.log_density)(location + noise * jnp.exp(log_scale)) - standard_log_density(noise)
        return -jnp.mean(terms) - jnp.sum(log_scale)

    return cost
