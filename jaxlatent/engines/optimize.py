"""Point estimates: maximum a posteriori and maximum likelihood.

The mode of a density depends on its coordinates. By default the density of the *named, constrained* parameters is
maximised, without the Jacobian of the transform to unconstrained space, as Stan's ``optimize`` and PyMC's ``find_MAP``
do; `jaxlatent.engines.laplace` needs the other one. A step is one value and gradient, whatever the optimiser, and that
is what ``max_iter`` counts.
"""

from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxlatent.engines.base import Final, Search, Stage, engine, require
from jaxlatent.engines.gaussian import inverse_root
from jaxlatent.engines.lbfgs import LBFGS, Point, select
from jaxlatent.errors import InputError
from jaxlatent.posterior import Posterior
from jaxlatent.status import Status
from jaxlatent.typing import Array, Key, LogDensity, Position, PyTree

#: Iterations in which an Optax optimiser has to gain ``tol``.
_PATIENCE = 100


class State(NamedTuple):
    """A lane between two evaluations.

    Attributes:
        search: of `LBFGS` or `Descent`.
        evaluations: so far.
    """

    search: Any
    evaluations: Array


class Record(NamedTuple):
    """The log density at the best point so far."""

    objective: Array


@engine
class Optimize(Search):
    """Maximum a posteriori or maximum likelihood, with standard errors from the curvature.

    Args:
        optimizer: any Optax optimiser; None is L-BFGS.
        max_iter: evaluations of the objective and its gradient.
        tol: what is left to be gained, in nats, when a lane stops: L-BFGS predicts it from the curvature, another
            optimiser has converged when it gained no more in 100 iterations; 0 then runs all ``max_iter``.
        restarts: lanes per dataset, each from a start of its own.
        standard_errors: whether to compute the inverse Hessian, ``(dim, dim)``, at the end.
        objective: "map" for the log posterior, "mle" for the log likelihood alone.
        jacobian: for "map", whether to maximise the density of the unconstrained position rather than of the
            constrained parameters.
    """

    optimizer: optax.GradientTransformation | None = None
    max_iter: int = 1000
    tol: float = 1e-8
    restarts: int = 1
    standard_errors: bool = True
    objective: Literal["map", "mle"] = "map"
    jacobian: bool = False

    kind: ClassVar[str] = "point"

    def __post_init__(self) -> None:
        optimizer = self.optimizer is None or isinstance(self.optimizer, optax.GradientTransformation)
        require(
            optimizer,
            "Optimize(optimizer=...)",
            got=self.optimizer,
            expected="None or an Optax optimiser such as optax.adam(1e-3)",
        )
        require(self.max_iter >= 1, "Optimize(max_iter=...)", got=self.max_iter, expected="at least 1 iteration")
        require(self.tol >= 0, "Optimize(tol=...)", got=self.tol, expected="nats, zero or more")
        require(self.restarts >= 1, "Optimize(restarts=...)", got=self.restarts, expected="at least 1 restart")
        require(
            self.objective in ("map", "mle"), "Optimize(objective=...)", got=self.objective, expected="'map' or 'mle'"
        )
        known = not (self.jacobian and self.objective == "mle")
        require(
            known,
            "Optimize(jacobian=True)",
            got="objective='mle'",
            expected="objective='map'",
        )

    @property
    def lanes(self) -> int:
        """Restarts per dataset."""
        return self.restarts

    def init(self, posterior: Posterior, key: Key, position: Position) -> State:
        """A lane that has still to evaluate its first position."""
        return State(self._algorithm.init(position), jnp.zeros((), jnp.int32))

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: PyTree, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One evaluation."""
        function = self._cost(posterior)
        value, gradient = jax.value_and_grad(function)(state.search.trial)
        search = self._algorithm.update(state.search, value, gradient, function)
        return State(search, state.evaluations + 1), Record(-search.point.value), jnp.ones((), bool)

    def done(self, state: State) -> Array:
        """Whether the lane converged or broke."""
        return state.search.status != Status.OK

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """The best point, ``covariance`` ``(dim, dim)`` of the position there, ``n_steps``: evaluations."""
        point, status = state.search.point, state.search.status
        status = jnp.where(status == Status.OK, Status.MAX_ITERATIONS, status)
        statistics = {"n_steps": state.evaluations}
        if self.standard_errors:
            factor, definite = inverse_root(jax.hessian(self._cost(posterior))(point.position))
            statistics["covariance"] = factor @ factor.T
            status = jnp.where((status == Status.CONVERGED) & ~definite, Status.DEGENERATE, status)
        return Final(point.position, statistics, -point.value, status)

    @property
    def _algorithm(self) -> "LBFGS | Descent":
        return LBFGS(self.tol) if self.optimizer is None else Descent(self.optimizer, self.tol)

    def _cost(self, posterior: Posterior) -> LogDensity:
        if self.objective == "map":
            return lambda position: -posterior.log_density(position, self.jacobian)

        def cost(position: Position) -> Array:
            terms = posterior.density.log_likelihood(posterior.constrain(position), posterior.data)
            if not terms:
                raise InputError(
                    "Optimize(objective='mle')",
                    got="a posterior that does not tell prior from likelihood",
                    expected="a jaxlatent.Model or a NumPyro model with observations",
                    remedy="use objective='map'.",
                )
            return -sum((jnp.sum(term) for term in terms.values()), start=jnp.zeros(()))

        return cost


class DescentState(NamedTuple):
    """A lane of an Optax optimiser between two evaluations.

    Attributes:
        trial: where the function is to be evaluated next.
        point: the best one so far.
        inner: state of the optimiser.
        mark: the best value when the gain was last looked at.
        evaluations: so far.
        status: OK while it runs.
    """

    trial: Position
    point: Point
    inner: PyTree
    mark: Array
    evaluations: Array
    status: Array


class Descent(NamedTuple):
    """An Optax optimiser with a memory of its best point, of the same use as `LBFGS`."""

    optimizer: optax.GradientTransformation
    tol: float

    def init(self, position: Position) -> DescentState:
        """A lane that has still to evaluate its first position."""
        best, none = jnp.full((), jnp.inf, position.dtype), jnp.zeros((), jnp.int32)
        point = Point(position, best, jnp.zeros_like(position))
        return DescentState(position, point, self.optimizer.init(position), best, none, none)

    def update(self, state: DescentState, value: Array, gradient: Array, function: LogDensity) -> DescentState:
        """The state after the evaluation of its trial; optimisers with a line search of their own use ``function``."""
        optimizer = optax.with_extra_args_support(self.optimizer)
        updates, inner = optimizer.update(
            gradient, state.inner, state.trial, value=value, grad=gradient, value_fn=function
        )
        finite = jnp.isfinite(value) & jnp.isfinite(gradient).all()
        point = select(finite & (value < state.point.value), Point(state.trial, value, gradient), state.point)
        evaluations = state.evaluations + 1
        look = evaluations % _PATIENCE == 0
        converged = look & (state.mark - point.value <= self.tol) & (self.tol > 0)
        status = jnp.where(finite, jnp.where(converged, Status.CONVERGED, Status.OK), Status.NON_FINITE)
        mark = jnp.where(look, point.value, state.mark)
        return DescentState(optax.apply_updates(state.trial, updates), point, inner, mark, evaluations, status)
