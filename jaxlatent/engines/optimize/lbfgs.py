r"""L-BFGS, one function evaluation at a time.

Optax's and SciPy's L-BFGS nest a line search in every iteration; under ``vmap`` every lane then waits for the longest
search, and the gradient stands in the program once for each phase of it. Here the place in the line search is part of
the state, and an update takes *one* value and gradient: it either moves the trial along the line, or accepts it and
turns to the next line.

- Direction: the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4) in block form. With pairs scaled so that
  :math:`s_i^\top y_i = 1`, rows of `S` and `Y`, and :math:`R_{ij} = s_i^\top y_j` for :math:`i \le j`, its first loop
  solves :math:`R a = S g`, its second :math:`R^\top b = a - \gamma Y r` with :math:`r = g - Y^\top a`, and
  :math:`H g = \gamma r + S^\top b`. Where scales are known beforehand, :math:`\gamma` is a diagonal.
- Line search: bisection for the weak Wolfe conditions (Lewis and Overton 2013, algorithm 2.6), which takes a value that
is not
  finite for a step too long. Near an optimum the decrease drowns in rounding long before the slope does: there the
  approximate Wolfe condition decides (Hager and Zhang 2005, eq. 23), which needs slopes only.
- End: the function is minus a log density, so its units are nats and have a scale. The predicted gain of a quasi-Newton
step,
  :math:`g^\top H g`, is the squared distance to the optimum in posterior standard deviations; a run has converged when
  that and the gain of the last iteration are both below ``tol``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from jaxlatent.masks import select
from jaxlatent.status import Status
from jaxlatent.typing import Array, LogDensity, Position

_DECREASE, _CURVATURE = 1e-4, 0.9
#: Evaluations on one line before it is given up: 2**-20 of the first step.
_TRIES = 20


class Point(NamedTuple):
    """A position with the value and gradient of the function that is minimised."""

    position: Position
    value: Array
    gradient: Array


class Memory(NamedTuple):
    """What the last iterations tell of the inverse Hessian.

    Attributes:
        steps: changes of position, ``(memory, dim)``, oldest first, empty rows zero, scaled so that step · change is 1.
        changes: changes of the gradient, likewise.
        scale: the diagonal inverse Hessian where nothing else is known, ``(dim,)``.
    """

    steps: Array
    changes: Array
    scale: Array

    def times(self, gradient: Array) -> Array:
        """The inverse Hessian times a vector ``(dim,)``."""
        steps, changes, scale = self
        products = steps @ changes.T
        a = solve_triangular(products, steps @ gradient, unit_diagonal=True)
        rest = gradient - a @ changes
        b = solve_triangular(products, a - changes @ (scale * rest), trans=1, unit_diagonal=True)
        return scale * rest + b @ steps

    def push(self, step: Array, change: Array, scale: Array) -> "Memory":
        """The memory with one more pair, unless the curvature along it is not safely positive; ``scale`` is known up to a factor."""
        product = step @ change
        safe = product > jnp.finfo(step.dtype).eps * jnp.linalg.norm(step) * jnp.linalg.norm(change)
        root = jnp.sqrt(jnp.where(safe, product, 1.0))
        pushed = Memory(
            jnp.concatenate([self.steps[1:], step[None] / root]),
            jnp.concatenate([self.changes[1:], change[None] / root]),
            scale * product / jnp.maximum(change @ (scale * change), jnp.finfo(step.dtype).tiny),
        )
        return select(safe, pushed, self)


class State(NamedTuple):
    """A lane between two evaluations.

    Attributes:
        trial: where the function is to be evaluated next.
        point: the last accepted one.
        memory: see `Memory`.
        direction: of the line through ``point``.
        length: of the trial along it.
        low, high: lengths known to be too short and too long.
        tries: evaluations on this line.
        gap: predicted gain of a full step, minus the slope at ``point``.
        iterations: accepted points after the first; -1 before it.
        status: OK while it runs.
    """

    trial: Position
    point: Point
    memory: Memory
    direction: Array
    length: Array
    low: Array
    high: Array
    tries: Array
    gap: Array
    iterations: Array
    status: Array


class LBFGS(NamedTuple):
    """The settings.

    Attributes:
        tol: nats to be gained below which a lane has converged.
        memory: pairs remembered.
        scale: of a position: the diagonal of the inverse Hessian there, as far as it is known beforehand and up to a factor.
    """

    tol: float
    memory: int = 10
    scale: Callable[[Position], Array] = jnp.ones_like

    def init(self, position: Position) -> State:
        """A lane that has still to evaluate its first position."""
        zero, none = jnp.zeros((), position.dtype), jnp.zeros((), jnp.int32)
        pairs = jnp.zeros((self.memory, position.shape[0]), position.dtype)
        nothing = jnp.zeros_like(position)
        point = Point(position, zero + jnp.inf, nothing)
        memory = Memory(pairs, pairs, nothing)
        return State(position, point, memory, nothing, zero, zero, zero + jnp.inf, none, zero, none - 1, none)

    def update(self, state: State, value: Array, gradient: Array, function: LogDensity) -> State:
        """The state after the evaluation of its trial; ``function`` itself is not needed."""
        first, old = state.iterations < 0, state.point
        noise = 10 * jnp.sqrt(jnp.finfo(value.dtype).eps) * jnp.maximum(jnp.abs(value), 1.0)
        finite = jnp.isfinite(value) & jnp.isfinite(gradient).all()
        slope, last = gradient @ state.direction, state.tries >= _TRIES
        sufficient = value <= old.value - _DECREASE * state.length * state.gap
        approximate = (value <= old.value + noise) & (slope <= (1 - 2 * _DECREASE) * state.gap)
        decrease = finite & (sufficient | approximate)
        accept = decrease & (first | last | (slope >= -_CURVATURE * state.gap))
        exhausted = last & ~accept

        point = select(accept, Point(state.trial, value, gradient), old)
        scale = self.scale(point.position)
        blank = _blank(state.memory, point.gradient, scale)
        pushed = state.memory.push(point.position - old.position, point.gradient - old.gradient, scale)
        turned = _turn(point, select(first | exhausted, blank, pushed), blank, state.iterations + accept)
        gain = old.value - value
        settled = (turned.gap <= self.tol) & (gain <= jnp.maximum(self.tol, noise)) | (turned.gap == 0)
        status = jnp.where(
            accept,
            jnp.where(settled, Status.CONVERGED, Status.OK),
            # Nothing is left on this line: start afresh with the steepest one, unless this was it or all is noise.
            jnp.where(
                state.gap <= noise, Status.CONVERGED, jnp.where(jnp.any(state.memory.steps), Status.OK, Status.STUCK)
            ),
        )
        turned = turned._replace(status=jnp.where(first & ~finite, Status.NON_FINITE, status))
        return select(accept | exhausted | first, turned, _bisect(state, decrease))


def _bisect(state: State, decrease: Array) -> State:
    """The next trial on the same line, and in the end the best one known."""
    low, high = jnp.where(decrease, state.length, state.low), jnp.where(decrease, state.high, state.length)
    tries = state.tries + 1
    length = jnp.where(jnp.isfinite(high), (low + high) / 2, 2 * low)
    length = jnp.where((tries == _TRIES) & (low > 0), low, length)
    trial = state.point.position + length * state.direction
    return state._replace(trial=trial, length=length, low=low, high=high, tries=tries)


def _turn(point: Point, memory: Memory, blank: Memory, iterations: Array) -> State:
    """The first trial on a new line from ``point``, the steepest one where rounding has spoilt the memory."""
    direction = -memory.times(point.gradient)
    descends = direction @ point.gradient < 0
    direction = jnp.where(descends, direction, -blank.scale * point.gradient)
    zero = jnp.zeros_like(point.value)
    return State(
        trial=point.position + direction,
        point=point,
        memory=select(descends, memory, blank),
        direction=direction,
        length=zero + 1,
        low=zero,
        high=zero + jnp.inf,
        tries=jnp.zeros_like(iterations),
        gap=-direction @ point.gradient,
        iterations=iterations,
        status=jnp.zeros_like(iterations),
    )


def _blank(memory: Memory, gradient: Array, scale: Array) -> Memory:
    """No pairs, and a first step of length one at most, measured in ``sqrt(scale)``."""
    nothing = jnp.zeros_like(memory.steps)
    return Memory(nothing, nothing, scale / jnp.maximum(jnp.sqrt(gradient @ (scale * gradient)), 1.0))
