"""Pathfinder (Zhang, Carpenter, Gelman and Vehtari 2022): the best of the Gaussians along an optimisation path.

BlackJAX supplies the algebra of the approximations (their algorithms 3 and 4) and `jaxlatent.engines.optimize.lbfgs` the path, one
gradient per step. Each approximation is evaluated as its point is reached, so a lane stores the best one instead of the path.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxlatent.engines.base import Final, Record, Stage, at_least, engine, when
from jaxlatent.engines.gaussian import GaussianSearch, outcome
from jaxlatent.engines.optimize import lbfgs
from jaxlatent.engines.optimize.lbfgs import LBFGS
from jaxlatent.masks import select
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status, at_limit
from jaxlatent.typing import Array, Key, Position, PyTree


class Approximation(NamedTuple):
    """A Gaussian with covariance ``diag(alpha) + beta gamma beta'``.

    Attributes:
        mean: ``(dim,)``.
        alpha: ``(dim,)``.
        beta: ``(dim, 2 history)``.
        gamma: ``(2 history, 2 history)``.
    """

    mean: Array
    alpha: Array
    beta: Array
    gamma: Array

    def sample(self, key: Key, draws: int) -> tuple[Array, Array]:
        """Draws ``(draws, dim)`` and their log densities ``(draws,)``."""
        from blackjax.optimizers.lbfgs import bfgs_sample

        # BlackJAX computes the mean from a position and a gradient; the gradient is zero here since the mean is known.
        drawn: tuple[Array, Array] = bfgs_sample(
            key, draws, self.mean, jnp.zeros_like(self.mean), self.alpha, self.beta, self.gamma
        )
        return drawn


class State(NamedTuple):
    """A lane between two evaluations.

    Attributes:
        search: state of L-BFGS.
        alpha: diagonal of the inverse Hessian estimate, ``(dim,)``.
        best: the approximation with the highest ELBO so far.
        elbo: its ELBO.
        evaluations: gradient evaluations so far.
    """

    search: lbfgs.State
    alpha: Array
    best: Approximation
    elbo: Array
    evaluations: Array


@engine
class Pathfinder(GaussianSearch):
    """Draws from the Gaussian of highest ELBO along an L-BFGS path, one path a lane.

    Args:
        draws: per path.
        paths: lanes per dataset, each from a start of its own.
        max_iter: maximum number of gradient evaluations per path.
        tol: predicted gain, in nats, at which the path ends, see `Optimize`.
        history: pairs stored for the inverse Hessian.
        elbo_draws: draws for the ELBO of each approximation.
    """

    draws: int = 1000
    paths: int = 4
    max_iter: int = 1000
    tol: float = 1e-6
    history: int = 10
    elbo_draws: int = 25

    def __post_init__(self) -> None:
        at_least(self, draws=25, paths=1, max_iter=1, tol=0, history=1, elbo_draws=1)

    @property
    def lanes(self) -> int:
        """Paths per dataset."""
        return self.paths

    def compile_key(self) -> "Pathfinder":
        """One path of one evaluation."""
        return replace(self, paths=1, max_iter=1)

    def init(self, posterior: Posterior, key: Key, position: Position, shared: PyTree) -> State:
        """A lane before the evaluation of its first position."""
        search = self._path.init(position)
        one, zero = jnp.ones_like(position), jnp.zeros((), position.dtype)
        best = _approximation(search, one)
        return State(search, one, best, zero - jnp.inf, jnp.zeros((), jnp.int32))

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: PyTree, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One gradient evaluation, and the ELBO of the approximation there if the point is accepted."""
        from blackjax.optimizers.lbfgs import lbfgs_recover_alpha

        cost = lambda position: -posterior.log_density(position)
        value, gradient = jax.value_and_grad(cost)(state.search.trial)
        search = self._path.update(state.search, value, gradient, cost)
        state = state._replace(evaluations=state.evaluations + 1)

        def evaluate(carry: Any) -> Any:
            state, search = carry
            old, new = state.search.point, search.point
            updated = lbfgs_recover_alpha(state.alpha, new.position - old.position, new.gradient - old.gradient)[0]
            alpha = select((search.iterations > 0) & jnp.all(updated > 0), updated, state.alpha)
            here = _approximation(search, alpha)
            draws, log_q = here.sample(jax.random.fold_in(key, state.evaluations), self.elbo_draws)
            elbo = jnp.mean(jax.vmap(posterior.log_density)(draws) - log_q)
            better = elbo > state.elbo
            best = select(better, here, state.best)
            return state._replace(alpha=alpha, best=best, elbo=jnp.where(better, elbo, state.elbo)), search

        accepted = search.iterations > state.search.iterations
        state = when(accepted, evaluate, (state, search))[0]._replace(search=search)
        return state, Record(state.elbo), jnp.ones((), bool)

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """Draws ``(draws, dim)`` with ``lp``, ``log_q``; per lane ``khat``, ``elbo``, which is the objective."""
        status = jnp.where(jnp.isfinite(state.elbo), at_limit(state.search.status), Status.NON_FINITE)
        positions, log_q = state.best.sample(key, self.draws)
        return outcome(posterior, positions, log_q, status)

    @property
    def _path(self) -> LBFGS:
        return LBFGS(self.tol, self.history)


def _approximation(search: lbfgs.State, alpha: Array) -> Approximation:
    """The Gaussian at the last point of the path: its mean is a quasi-Newton step away, its covariance the inverse Hessian."""
    from blackjax.optimizers.lbfgs import lbfgs_inverse_hessian_factors

    beta, gamma = lbfgs_inverse_hessian_factors(search.memory.steps.T, search.memory.changes.T, alpha)
    point = search.point
    step = alpha * point.gradient + beta @ (gamma @ (beta.T @ point.gradient))
    return Approximation(point.position - step, alpha, beta, gamma)
