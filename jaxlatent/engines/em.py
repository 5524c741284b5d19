r"""Expectation-maximisation for every model whose distributions hide labels or paths.

One iteration takes the expected counts under the current parameters (`jaxlatent.latent`), then raises the expected complete log joint:
in closed form where the model's family knows one (``Model.m_step``), otherwise by a few Newton or L-BFGS steps. Either way the log
joint, log likelihood plus log prior of the named parameters, cannot fall (Dempster, Laird and Rubin 1977; generalised EM).
Every restart is a lane that stops on its own.
"""

from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxlatent.engines.base import Final, Outputs, Search, Stage, engine
from jaxlatent.engines.optimize.lbfgs import LBFGS
from jaxlatent.engines.optimize.newton import damped_newton
from jaxlatent.engines.optimize.stationarity import promised_gain
from jaxlatent.errors import InputError, require
from jaxlatent.latent import EStep, Expected, foreseen
from jaxlatent.masks import select
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status
from jaxlatent.typing import Array, Key, LogDensity, Params, Position

#: A lane stands still too early if a Newton step on the expected complete log joint promises more than so many times the tolerance.
_LEFT = 30
#: Up to so many unknowns a Hessian is worth its cost.
_NEWTON_DIM = 100


class State(NamedTuple):
    """A lane between two iterations.

    Attributes:
        params: the current ones, named.
        objective: the log joint of those before.
        before: the two sets of parameters before, for acceleration; () without.
        phase: 0, 1, 2 within a cycle of acceleration.
        least: the weight of the smallest component, in observations.
        iterations: so far.
        status: OK while it runs.
    """

    params: Params
    objective: Array
    before: Any
    phase: Array
    least: Array
    iterations: Array
    status: Array


class Record(NamedTuple):
    """The log joint of the parameters that an iteration started from."""

    objective: Array


@engine
class EM(Search):
    """Maximum a posteriori (maximum likelihood under flat priors) by expectation-maximisation.

    Args:
        restarts: lanes per dataset, each from a start of its own.
        tol: a lane has converged when the log joint gains no more than this in one iteration, in nats per observation, and a Newton
            step on the expected complete log joint promises not much more (`jaxlatent.engines.optimize.stationarity`); otherwise it has
            STALLED. 0 runs all ``max_iter``.
        max_iter: iterations at most.
        accelerate: whether to extrapolate every third iteration (SQUAREM: Varadhan and Roland 2008), falling back where that does not
            raise the log joint.
        e_step: "exact", "hard" (labels and paths as if known: the most likely ones), or "draw" (Monte Carlo EM, which runs all
            ``max_iter`` iterations: its parameters are noisy to the end).
        draws: paths or labels drawn in each iteration, for "draw".
        m_step: "auto" takes the closed form of the model's family if it has one; "generic" never does.
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
        known = ("exact", "hard", "draw")
        require(self.restarts >= 1, "EM(restarts=...)", got=self.restarts, expected="at least 1 restart")
        require(self.tol >= 0, "EM(tol=...)", got=self.tol, expected="nats per observation, zero or more")
        require(self.max_iter >= 1, "EM(max_iter=...)", got=self.max_iter, expected="at least 1 iteration")
        require(self.e_step in known, "EM(e_step=...)", got=self.e_step, expected=f"one of {known}")
        require(self.draws >= 1, "EM(draws=...)", got=self.draws, expected="at least 1 draw")
        require(self.m_step in ("auto", "generic"), "EM(m_step=...)", got=self.m_step, expected="'auto' or 'generic'")
        require(self.m_step_iter >= 1, "EM(m_step_iter=...)", got=self.m_step_iter, expected="at least 1 step")
        plain = not (self.accelerate and self.e_step == "draw")
        require(plain, "EM(accelerate=True)", got="e_step='draw'", expected="an E-step without noise")

    def init(self, posterior: Posterior, key: Key, position: Position, shared: Any) -> State:
        """A lane at its starting parameters."""
        params, none = posterior.constrain(position), jnp.zeros((), jnp.int32)
        before = (params, params) if self.accelerate else ()
        low = jnp.full((), -jnp.inf, position.dtype)
        return State(params, low, before, none, jnp.zeros((), position.dtype), none, none)

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: Any, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One E-step and one M-step."""
        if self.e_step == "draw":
            key = jax.random.fold_in(key, state.iterations)
        expected = posterior.density.expect(state.params, posterior.data, self.e_step, key, self.draws)
        if all(one.weights is None for one in expected.values()):
            raise InputError(
                "EM()",
                got="a model that hides nothing",
                expected="an observation with a HiddenMarkov or a mixture distribution",
                remedy="use jl.Optimize().",
            )
        objective = log_joint(posterior, state.params, expected)
        raised = self._maximise(posterior, state.params, expected)
        following, rejected = raised, jnp.zeros((), bool)
        if self.accelerate:
            rejected = (state.phase == 2) & ~(objective >= state.objective)
            state, following = self._accelerated(posterior, state, raised, rejected)
            objective = jnp.where(rejected, state.objective, objective)
        state = self._judged(state, objective, expected, rejected)
        # A lane that ends takes the plain step, not a jump that nobody has looked at; one that broke stays where it was.
        following = select(state.status == Status.OK, following, raised)
        params = select(jnp.isfinite(objective), following, state.params)
        return state._replace(params=params), Record(objective), jnp.ones((), bool)

    def done(self, state: State) -> Array:
        """Whether the lane converged or broke."""
        return state.status != Status.OK

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """The parameters; per lane ``log_likelihood``, ``log_prior``, whose sum is the objective, and ``n_steps``."""
        # Draws of what is hidden are noise: the status is judged by what is expected.
        how = "exact" if self.e_step == "draw" else self.e_step
        expected = posterior.density.expect(state.params, posterior.data, how, key, self.draws)
        log_likelihood = sum((one.log_likelihood for one in expected.values()), start=jnp.zeros(()))
        log_prior = posterior.density.log_prior(state.params, posterior.data)
        # Where a probability is exactly zero the position is infinite: it is brought back to where others can start from.
        position = jnp.nan_to_num(posterior.unconstrain(state.params), posinf=20.0, neginf=-20.0)
        status = self._final_status(posterior, state, position, expected)
        statistics = {"log_likelihood": log_likelihood, "log_prior": log_prior, "n_steps": state.iterations}
        return Final(Outputs(statistics, position, state.params), log_likelihood + log_prior, status)

    def _final_status(
        self, posterior: Posterior, state: State, position: Position, expected: dict[str, Expected]
    ) -> Array:
        """What became of a lane: where the objective gains no more, is there nothing left for an M-step to gain?"""
        status = jnp.where(state.status == Status.OK, Status.MAX_ITERATIONS, state.status)
        left = promised_gain(_complete(posterior, expected), position) / _observations(expected)
        level = left <= _LEFT * jnp.maximum(self.tol, _resolution(state.objective, expected))
        # Where numbers are large, rounding moves the objective more than it moves the slope.
        status = jnp.where((status == Status.DECREASED) & level, Status.CONVERGED, status)
        status = jnp.where((status == Status.CONVERGED) & ~level, Status.STALLED, status)
        observed = posterior.density.observed(state.params, posterior.data)
        endless = [
            jnp.any(foreseen(observed[name], posterior.data[name], one))
            for name, one in expected.items()
            if one.weights is not None
        ]
        degenerate = (state.least < 1) | jnp.any(jnp.stack(endless))
        ended = (status == Status.CONVERGED) | (status == Status.MAX_ITERATIONS)
        return jnp.where(ended & degenerate, Status.DEGENERATE, status)

    def _judged(self, state: State, objective: Array, expected: dict[str, Expected], rejected: Array) -> State:
        """The state with its objective, and its status if the lane has come to an end; not where a jump was ``rejected``."""
        sizes = [
            jnp.sum(one.weights, tuple(range(one.weights.ndim - 1)))
            for one in expected.values()
            if one.weights is not None
        ]
        gain, resolution = (objective - state.objective) / _observations(expected), _resolution(objective, expected)
        # Draws are noise: two equal objectives in a row say nothing.
        settled = (jnp.abs(gain) <= jnp.maximum(self.tol, resolution)) & ~rejected
        settled = settled & (self.e_step != "draw") & (self.tol > 0)
        status = jnp.where(settled, Status.CONVERGED, Status.OK)
        if self.e_step == "exact":
            status = jnp.where(gain < -jnp.maximum(self.tol, 10 * resolution), Status.DECREASED, status)
        status = jnp.where(jnp.isfinite(objective), status, Status.NON_FINITE)
        return state._replace(
            objective=objective,
            least=jnp.min(jnp.concatenate([jnp.ravel(size) for size in sizes])).astype(objective.dtype),
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

        def descend(_: int, state: Any) -> Any:
            return search.update(state, *jax.value_and_grad(cost)(state.trial), cost)

        return posterior.constrain(
            jax.lax.fori_loop(0, 5 * self.m_step_iter, descend, search.init(position)).point.position
        )

    def _accelerated(
        self, posterior: Posterior, state: State, following: Params, rejected: Array
    ) -> tuple[State, Params]:
        """SQUAREM with step length -|r| / |v|, in unconstrained space.

        Phase 0 goes from x0 to x1, phase 1 from x1 to x2 and jumps; phase 2 looks at where it landed, and rejects it for x2 if that is
        lower than x1 was.
        """
        flat = lambda params: jnp.nan_to_num(posterior.unconstrain(params), posinf=20.0, neginf=-20.0)
        first, second = (flat(params) for params in state.before)
        third = flat(following)
        change, curve = second - first, third - 2 * second + first
        length = jnp.maximum(jnp.linalg.norm(change) / jnp.maximum(jnp.linalg.norm(curve), 1e-20), 1.0)
        jump = posterior.constrain(first + 2 * length * change + length**2 * curve)
        jump = jax.tree.map(lambda far, near: jnp.where(jnp.isfinite(far).all(), far, near), jump, following)
        after = select(state.phase == 1, jump, select(rejected, state.before[1], following))
        # Phase 0 keeps x0 and x1, phase 1 puts x2 where x1 was: what to go back to.
        kept = select(state.phase == 0, (state.params, following), (state.before[0], following))
        kept = select(state.phase == 2, state.before, kept)
        return state._replace(before=kept, phase=(state.phase + 1) % 3), after


def _complete(posterior: Posterior, expected: dict[str, Expected]) -> LogDensity:
    """The expected complete log joint, which an M-step raises, as a function of the position."""
    return lambda position: posterior.density.expected_log_joint(
        posterior.constrain(position), posterior.data, expected
    )


def _observations(expected: dict[str, Expected]) -> Array:
    """How many there are."""
    return jnp.maximum(sum(jnp.sum(one.weights) for one in expected.values() if one.weights is not None), 1.0)


def _resolution(objective: Array, expected: dict[str, Expected]) -> Array:
    """To how many nats per observation an objective is known: a sum of terms that are large themselves, or of parts that are."""
    return 10 * jnp.finfo(objective.dtype).eps * jnp.maximum(jnp.abs(objective) / _observations(expected), 1.0)


def log_joint(posterior: Posterior, params: Params, expected: dict[str, Expected]) -> Array:
    """Log likelihood plus log prior of the named parameters."""
    likelihood = sum((one.log_likelihood for one in expected.values()), start=jnp.zeros(()))
    return likelihood + posterior.density.log_prior(params, posterior.data)
