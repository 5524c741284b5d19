r"""Expectation-maximisation for models with latent labels (mixtures) or paths (hidden Markov models).

The E-step computes expected counts under the current parameters (`jaxlatent.latent`). The M-step increases the expected complete log
joint, in closed form if the model's family has one (``Model.m_step``), otherwise by a few Newton or L-BFGS steps (generalised EM). Either
way the log joint, log likelihood plus log prior of the named parameters, never decreases (Dempster, Laird and Rubin 1977).
Each restart is a lane that stops on its own.
"""

from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxlatent.engines.base import Final, Outputs, Record, Search, Stage, at_least, engine
from jaxlatent.engines.optimize.lbfgs import LBFGS
from jaxlatent.engines.optimize.newton import damped_newton
from jaxlatent.engines.optimize.stationarity import predicted_gain
from jaxlatent.errors import InputError, require
from jaxlatent.latent import EStep, Expected, separated
from jaxlatent.masks import select
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status, at_limit
from jaxlatent.typing import Array, Key, LogDensity, Params, Position, PyTree

#: A lane has STALLED if a Newton step on the expected complete log joint predicts a gain of more than this multiple of the tolerance.
_STALLED_RATIO = 30
#: The generic M-step uses Newton steps up to this dimension, and L-BFGS above.
_NEWTON_DIM = 100


class State(NamedTuple):
    """A lane between two iterations.

    Attributes:
        params: current named parameters.
        objective: log joint of the previous parameters.
        before: the two previous sets of parameters, for acceleration; () without.
        phase: 0, 1 or 2 within an acceleration cycle.
        least: expected number of observations in the smallest component.
        iterations: number completed.
        status: OK while it runs.
    """

    params: Params
    objective: Array
    before: Any
    phase: Array
    least: Array
    iterations: Array
    status: Array


@engine
class EM(Search):
    """Maximum a posteriori (maximum likelihood under flat priors) by expectation-maximisation.

    Args:
        restarts: lanes per dataset, each from a start of its own.
        tol: a lane has converged when an iteration gains at most this, in nats of the log joint per observation, and a Newton step on
            the expected complete log joint predicts little more (`jaxlatent.engines.optimize.stationarity`); without the latter it has
            STALLED. 0 runs all ``max_iter``.
        max_iter: maximum number of iterations.
        accelerate: whether to extrapolate every third iteration (SQUAREM: Varadhan and Roland 2008), with a fallback where that does
            not increase the log joint.
        e_step: "exact", "hard" (the most likely labels or paths), or "draw" (Monte Carlo EM, which runs all ``max_iter`` iterations,
            since its parameters stay noisy).
        draws: draws of the labels or paths per iteration, for "draw".
        m_step: "auto" uses the closed form of the model's family if it has one; "generic" never does.
        m_step_iter: Newton steps (L-BFGS evaluations above 100 unknowns) in each generic M-step.
    """

    restarts: int = 10
    tol: float = 1e-6
    max_iter: int = 500
    accelerate: bool = False
    e_step: EStep = "exact"
    draws: int = 1
    m_step: Literal["auto", "generic"] = "auto"
    m_step_iter: int = 2

    kind: ClassVar[str] = "point"

    def __post_init__(self) -> None:
        at_least(self, restarts=1, tol=0, max_iter=1, draws=1, m_step_iter=1)
        known = ("exact", "hard", "draw")
        require(self.e_step in known, "EM(e_step=...)", got=self.e_step, expected=f"one of {known}")
        require(self.m_step in ("auto", "generic"), "EM(m_step=...)", got=self.m_step, expected="'auto' or 'generic'")
        plain = not (self.accelerate and self.e_step == "draw")
        require(plain, "EM(accelerate=True)", got="e_step='draw'", expected="an E-step without noise")

    def init(self, posterior: Posterior, key: Key, position: Position, shared: PyTree) -> State:
        """A lane at its starting parameters."""
        params, count = posterior.constrain(position), jnp.zeros((), jnp.int32)
        before = (params, params) if self.accelerate else ()
        low = jnp.full((), -jnp.inf, position.dtype)
        return State(params, low, before, count, jnp.zeros((), position.dtype), count, count)

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: PyTree, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One E-step and one M-step."""
        if self.e_step == "draw":
            key = jax.random.fold_in(key, state.iterations)
        expected = posterior.density.expect(state.params, posterior.data, self.e_step, key, self.draws)
        if not expected:
            raise InputError(
                "EM()",
                got=f"{posterior.density.label}, whose density does not say which of its sites have latent labels or paths",
                expected="a jaxlatent.Model, whose observations it knows",
                remedy="declare it as a jl.Model; or use another engine, such as jl.Optimize() or jl.NUTS(), which sum labels and "
                "paths out.",
            )
        if all(one.weights is None for one in expected.values()):
            raise InputError(
                "EM()",
                got="a model without latent labels or paths",
                expected="an observation with a HiddenMarkov or a mixture distribution",
                remedy="use jl.Optimize().",
            )
        objective = log_joint(posterior, state.params, expected)
        updated = self._maximise(posterior, state.params, expected)
        following, rejected = updated, jnp.zeros((), bool)
        if self.accelerate:
            rejected = (state.phase == 2) & ~(objective >= state.objective)
            state, following = self._accelerated(posterior, state, updated, rejected)
            objective = jnp.where(rejected, state.objective, objective)
        state = self._update_status(state, objective, expected, rejected)
        # A lane that ends takes the plain EM step, since the extrapolated one is not evaluated yet; one that failed keeps its parameters.
        following = select(state.status == Status.OK, following, updated)
        params = select(jnp.isfinite(objective), following, state.params)
        return state._replace(params=params), Record(objective), jnp.ones((), bool)

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """The parameters; per lane ``log_likelihood``, ``log_prior`` and ``n_steps``. The objective is `log_joint`."""
        # The status is noisy under drawn labels or paths: take the exact E-step.
        how = "exact" if self.e_step == "draw" else self.e_step
        expected = posterior.density.expect(state.params, posterior.data, how, key, self.draws)
        log_likelihood = sum((one.log_likelihood for one in expected.values()), start=jnp.zeros(()))
        log_prior = posterior.density.log_prior(state.params, posterior.data)
        position = _finite_position(posterior, state.params)
        status = self._final_status(posterior, state, position, expected)
        statistics = {"log_likelihood": log_likelihood, "log_prior": log_prior, "n_steps": state.iterations}
        objective = log_joint(posterior, state.params, expected)
        return Final(Outputs(statistics, position, state.params), objective, status)

    def _final_status(
        self, posterior: Posterior, state: State, position: Position, expected: dict[str, Expected]
    ) -> Array:
        """The final status; CONVERGED needs a small predicted gain as well as a small last gain."""
        status = at_limit(state.status)
        left = predicted_gain(_complete(posterior, expected), position) / _observations(expected)
        level = left <= _STALLED_RATIO * jnp.maximum(self.tol, _resolution(state.objective, expected))
        # A large objective may decrease by rounding alone; the gradient is more accurate.
        status = jnp.where((status == Status.DECREASED) & level, Status.CONVERGED, status)
        status = jnp.where((status == Status.CONVERGED) & ~level, Status.STALLED, status)
        observed = posterior.density.observed(state.params, posterior.data)
        endless = [
            jnp.any(separated(observed[name], posterior.data[name], one))
            for name, one in expected.items()
            if one.weights is not None
        ]
        degenerate = (state.least < 1) | jnp.any(jnp.stack(endless))
        ended = (status == Status.CONVERGED) | (status == Status.MAX_ITERATIONS)
        return jnp.where(ended & degenerate, Status.DEGENERATE, status)

    def _update_status(self, state: State, objective: Array, expected: dict[str, Expected], rejected: Array) -> State:
        """The state after an iteration: objective, size of the smallest component, and status (never converged at a ``rejected`` jump)."""
        gain, resolution = (objective - state.objective) / _observations(expected), _resolution(objective, expected)
        # With drawn labels or paths, two equal objectives in a row do not show convergence.
        settled = (jnp.abs(gain) <= jnp.maximum(self.tol, resolution)) & ~rejected
        settled = settled & (self.e_step != "draw") & (self.tol > 0)
        status = jnp.where(settled, Status.CONVERGED, Status.OK)
        if self.e_step == "exact":
            status = jnp.where(gain < -jnp.maximum(self.tol, 10 * resolution), Status.DECREASED, status)
        status = jnp.where(jnp.isfinite(objective), status, Status.NON_FINITE)
        return state._replace(
            objective=objective,
            least=jnp.min(jnp.concatenate(_sizes(expected))).astype(objective.dtype),
            iterations=state.iterations + 1,
            status=status.astype(state.status.dtype),
        )

    def _maximise(self, posterior: Posterior, params: Params, expected: dict[str, Expected]) -> Params:
        """The M-step."""
        closed = posterior.density.m_step(params, posterior.data, expected) if self.m_step == "auto" else None
        if closed is not None:
            return closed
        position = posterior.unconstrain(params)
        complete = _complete(posterior, expected)
        if position.shape[0] <= _NEWTON_DIM:
            return posterior.constrain(damped_newton(complete, position, self.m_step_iter))
        search = LBFGS(0.0)
        cost = lambda position: -complete(position)

        def descend(_: Array, state: Any) -> Any:
            return search.update(state, *jax.value_and_grad(cost)(state.trial), cost)

        return posterior.constrain(
            jax.lax.fori_loop(0, 5 * self.m_step_iter, descend, search.init(position)).point.position
        )

    def _accelerated(
        self, posterior: Posterior, state: State, following: Params, rejected: Array
    ) -> tuple[State, Params]:
        """SQUAREM with step length -|r| / |v|, in unconstrained space.

        Phase 0 steps from x0 to x1; phase 1 steps from x1 to x2 and extrapolates; phase 2 rejects the extrapolation in favour of x2 if its
        objective is below that of x1.
        """
        first, second, third = (_finite_position(posterior, params) for params in (*state.before, following))
        change, curve = second - first, third - 2 * second + first
        length = jnp.maximum(jnp.linalg.norm(change) / jnp.maximum(jnp.linalg.norm(curve), 1e-20), 1.0)
        jump = posterior.constrain(first + 2 * length * change + length**2 * curve)
        jump = jax.tree.map(lambda far, near: jnp.where(jnp.isfinite(far).all(), far, near), jump, following)
        after = select(state.phase == 1, jump, select(rejected, state.before[1], following))
        # Phase 0 stores (x0, x1), phase 1 replaces x1 by x2, the fallback of phase 2.
        kept = select(state.phase == 0, (state.params, following), (state.before[0], following))
        kept = select(state.phase == 2, state.before, kept)
        return state._replace(before=kept, phase=(state.phase + 1) % 3), after


def _finite_position(posterior: Posterior, params: Params) -> Position:
    """The position of ``params``, clipped where it is infinite, as that of a probability of zero; another engine can start there."""
    return jnp.nan_to_num(posterior.unconstrain(params), posinf=20.0, neginf=-20.0)


def _complete(posterior: Posterior, expected: dict[str, Expected]) -> LogDensity:
    """The expected complete log joint, the objective of the M-step, as a function of the position."""
    return lambda position: posterior.density.expected_log_joint(
        posterior.constrain(position), posterior.data, expected
    )


def _observations(expected: dict[str, Expected]) -> Array:
    """The number of observations with latent labels, at least 1."""
    return jnp.maximum(sum(map(jnp.sum, _sizes(expected))), 1.0)


def _sizes(expected: dict[str, Expected]) -> list[Array]:
    """The expected number of observations in each component, by observation."""
    return [
        jnp.sum(one.weights, tuple(range(one.weights.ndim - 1))) for one in expected.values() if one.weights is not None
    ]


def _resolution(objective: Array, expected: dict[str, Expected]) -> Array:
    """The rounding error of the objective, in nats per observation."""
    return 10 * jnp.finfo(objective.dtype).eps * jnp.maximum(jnp.abs(objective) / _observations(expected), 1.0)


def log_joint(posterior: Posterior, params: Params, expected: dict[str, Expected]) -> Array:
    """Log likelihood plus log prior of the named parameters, and what a model that integrates over some of them adds."""
    likelihood = sum((one.log_likelihood for one in expected.values()), start=jnp.zeros(()))
    joint = likelihood + posterior.density.log_prior(params, posterior.data)
    adjustment = posterior.density.adjustment(params, posterior.data, expected)
    return joint if adjustment is None else joint + adjustment
