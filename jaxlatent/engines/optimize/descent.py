"""Any Optax optimiser, one evaluation at a time, with the interface of `jaxlatent.engines.optimize.lbfgs`."""

from typing import NamedTuple

import jax.numpy as jnp
import optax

from jaxlatent.engines.optimize.lbfgs import Point
from jaxlatent.masks import select
from jaxlatent.status import Status
from jaxlatent.typing import Array, LogDensity, Position, PyTree

#: Converged after this many iterations with a gain of at most ``tol``.
_PATIENCE = 100


class DescentState(NamedTuple):
    """A lane of an Optax optimiser between two evaluations.

    Attributes:
        trial: position of the next evaluation.
        point: the best point so far.
        inner: state of the optimiser.
        mark: the best value at the last convergence check.
        evaluations: number so far.
        status: OK while it runs.
    """

    trial: Position
    point: Point
    inner: PyTree
    mark: Array
    evaluations: Array
    status: Array


class Descent(NamedTuple):
    """Settings of an Optax optimiser.

    Attributes:
        optimizer: from Optax.
        tol: minimum gain in 100 iterations, in nats.
        noisy: whether values are from minibatches: the result is then the last point, and convergence is not checked.
    """

    optimizer: optax.GradientTransformation
    tol: float
    noisy: bool = False

    def init(self, position: Position) -> DescentState:
        """A lane before the evaluation of its first position."""
        best, count = jnp.full((), jnp.inf, position.dtype), jnp.zeros((), jnp.int32)
        point = Point(position, best, jnp.zeros_like(position))
        return DescentState(position, point, self.optimizer.init(position), best, count, count)

    def update(self, state: DescentState, value: Array, gradient: Array, function: LogDensity) -> DescentState:
        """The state after the evaluation of its trial; ``function`` is for optimisers with a line search of their own."""
        optimizer = optax.with_extra_args_support(self.optimizer)
        updates, inner = optimizer.update(
            gradient, state.inner, state.trial, value=value, grad=gradient, value_fn=function
        )
        finite = jnp.isfinite(value) & jnp.isfinite(gradient).all()
        better = finite & ((value < state.point.value) | self.noisy)
        point = select(better, Point(state.trial, value, gradient), state.point)
        evaluations = state.evaluations + 1
        checked = evaluations % _PATIENCE == 0
        converged = checked & (state.mark - point.value <= self.tol) & (self.tol > 0) & (not self.noisy)
        status = jnp.where(finite, jnp.where(converged, Status.CONVERGED, Status.OK), Status.NON_FINITE)
        mark = jnp.where(checked, point.value, state.mark)
        return DescentState(optax.apply_updates(state.trial, updates), point, inner, mark, evaluations, status)
