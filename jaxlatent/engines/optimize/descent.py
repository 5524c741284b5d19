"""An Optax optimiser, one evaluation at a time: of the same use as `jaxlatent.engines.optimize.lbfgs`."""

from typing import NamedTuple

import jax.numpy as jnp
import optax

from jaxlatent.engines.optimize.lbfgs import Point
from jaxlatent.masks import select
from jaxlatent.status import Status
from jaxlatent.typing import Array, LogDensity, Position, PyTree

#: Iterations in which an optimiser has to gain ``tol``.
_PATIENCE = 100


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
    """The settings.

    Attributes:
        optimizer: from Optax.
        tol: nats to be gained in 100 iterations.
        noisy: whether values are of minibatches: the point is then the last one, and gains tell nothing.
    """

    optimizer: optax.GradientTransformation
    tol: float
    noisy: bool = False

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
        better = finite & ((value < state.point.value) | self.noisy)
        point = select(better, Point(state.trial, value, gradient), state.point)
        evaluations = state.evaluations + 1
        look = evaluations % _PATIENCE == 0
        converged = look & (state.mark - point.value <= self.tol) & (self.tol > 0) & (not self.noisy)
        status = jnp.where(finite, jnp.where(converged, Status.CONVERGED, Status.OK), Status.NON_FINITE)
        mark = jnp.where(look, point.value, state.mark)
        return DescentState(optax.apply_updates(state.trial, updates), point, inner, mark, evaluations, status)
