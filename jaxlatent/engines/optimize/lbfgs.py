r"""L-BFGS, one function evaluation at a time.

Optax's and SciPy's L-BFGS nest a line search in every iteration; under ``vmap`` every lane then waits for the longest
search, and the compiled program holds the gradient once for each phase of it. Here the position in the line search is part
of the state, and an update takes *one* value and gradient: it either moves the trial along the line, or accepts it and
starts the next line search.

- Direction: the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4) in block form. With pairs scaled so that
  :math:`s_i^\top y_i = 1`, rows of `S` and `Y`, and :math:`R_{ij} = s_i^\top y_j` for :math:`i \le j`, its first loop
  solves :math:`R a = S g`, its second :math:`R^\top b = a - \gamma Y r` with :math:`r = g - Y^\top a`, and
  :math:`H g = \gamma r + S^\top b`. Where scales are known beforehand, :math:`\gamma` is a diagonal.
- Line search: bisection for the weak Wolfe conditions (Lewis and Overton 2013, algorithm 2.6), where a non-finite value means
  that the step is too long. Near an optimum the decrease is lost in rounding long before the slope is; there the approximate
  Wolfe condition (Hager and Zhang 2005, eq. 23) is used, which needs slopes only.
- Convergence: the function is minus a log density, in nats. The predicted gain of a quasi-Newton step, :math:`g^\top H g`, is the
  squared distance to the optimum in posterior standard deviations; a lane has converged when both that and the gain of the last
  iteration are below ``tol``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from jaxlatent.masks import select
from jaxlatent.status import Status
from jaxlatent.typing import Array, LogDensity, Position

_DECREASE, _CURVATURE = 1e-4, 0.9
#: Maximum evaluations per line search: down to 2**-20 of the first step.
_MAX_TRIES = 20


class Point(NamedTuple):
    """A position with the value and gradient of the function to minimise."""

    position: Position
    value: Array
    gradient: Array


class Memory(NamedTuple):
    """The limited-memory estimate of the inverse Hessian.

    Attributes:
        steps: changes of position, ``(memory, dim)``, oldest first, empty rows zero, scaled so that step · change is 1.
        changes: changes of the gradient, likewise.
        scale: the initial diagonal inverse Hessian, ``(dim,)``.
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
        """Add a pair unless the curvature along it is not safely positive; ``scale`` is rescaled to fit the pair."""
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
        trial: position of the next evaluation.
        point: the last accepted point.
        memory: see `Memory`.
        direction: of the line search from ``point``.
        length: step length of the trial.
        low, high: bracket of step lengths, too short and too long.
        tries: evaluations on this line.
        gap: predicted gain of a full step: minus the slope at ``point``.
        iterations: number of accepted points after the first; -1 before it.
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
    """Settings of L-BFGS.

    Attributes:
        tol: predicted gain below which a lane has converged, in nats.
        memory: number of pairs stored.
        scale: initial diagonal of the inverse Hessian as a function of position, up to a factor.
    """

    tol: float
    memory: int = 10
    scale: Callable[[Position], Array] = jnp.ones_like

    def init(self, position: Position) -> State:
        """A lane before the evaluation of its first position."""
        zero, count = jnp.zeros((), position.dtype), jnp.zeros((), jnp.int32)
        pairs = jnp.zeros((self.memory, position.shape[0]), position.dtype)
        zeros = jnp.zeros_like(position)
        point = Point(position, zero + jnp.inf, zeros)
        memory = Memory(pairs, pairs, zeros)
        return State(position, point, memory, zeros, zero, zero, zero + jnp.inf, count, zero, count - 1, count)

    def update(self, state: State, value: Array, gradient: Array, function: LogDensity) -> State:
        """The state after the evaluation of its trial; ``function`` is unused, for the interface of `Descent`."""
        first, old = state.iterations < 0, state.point
        noise = 10 * jnp.sqrt(jnp.finfo(value.dtype).eps) * jnp.maximum(jnp.abs(value), 1.0)
        finite = jnp.isfinite(value) & jnp.isfinite(gradient).all()
        slope, last = gradient @ state.direction, state.tries >= _MAX_TRIES
        sufficient = value <= old.value - _DECREASE * state.length * state.gap
        approximate = (value <= old.value + noise) & (slope <= (1 - 2 * _DECREASE) * state.gap)
        decrease = finite & (sufficient | approximate)
        accept = decrease & (first | last | (slope >= -_CURVATURE * state.gap))
        exhausted = last & ~accept

        point = select(accept, Point(state.trial, value, gradient), old)
        scale = self.scale(point.position)
        empty = _empty_memory(state.memory, point.gradient, scale)
        pushed = state.memory.push(point.position - old.position, point.gradient - old.gradient, scale)
        next_line = _start_line(
            point,
            select(first | exhausted, empty, pushed),
            empty,
            state.iterations + accept.astype(state.iterations.dtype),
        )
        gain = old.value - value
        settled = (next_line.gap <= self.tol) & (gain <= jnp.maximum(self.tol, noise)) | (next_line.gap == 0)
        status = jnp.where(
            accept,
            jnp.where(settled, Status.CONVERGED, Status.OK),
            # The line search failed: restart with steepest descent, unless this was it or the predicted gain is rounding error.
            jnp.where(
                state.gap <= noise, Status.CONVERGED, jnp.where(jnp.any(state.memory.steps), Status.OK, Status.STUCK)
            ),
        )
        next_line = next_line._replace(status=jnp.where(first & ~finite, Status.NON_FINITE, status))
        return select(accept | exhausted | first, next_line, _bisect(state, decrease))


def _bisect(state: State, decrease: Array) -> State:
    """The next trial on the same line; the last one is the longest length with a sufficient decrease, if any."""
    low, high = jnp.where(decrease, state.length, state.low), jnp.where(decrease, state.high, state.length)
    tries = state.tries + 1
    length = jnp.where(jnp.isfinite(high), (low + high) / 2, 2 * low)
    length = jnp.where((tries == _MAX_TRIES) & (low > 0), low, length)
    trial = state.point.position + length * state.direction
    return state._replace(trial=trial, length=length, low=low, high=high, tries=tries)


def _start_line(point: Point, memory: Memory, empty: Memory, iterations: Array) -> State:
    """Start a line search from ``point``, along steepest descent if the quasi-Newton direction does not descend."""
    direction = -memory.times(point.gradient)
    descends = direction @ point.gradient < 0
    direction = jnp.where(descends, direction, -empty.scale * point.gradient)
    zero = jnp.zeros_like(point.value)
    return State(
        trial=point.position + direction,
        point=point,
        memory=select(descends, memory, empty),
        direction=direction,
        length=zero + 1,
        low=zero,
        high=zero + jnp.inf,
        tries=jnp.zeros_like(iterations),
        gap=-direction @ point.gradient,
        iterations=iterations,
        status=jnp.zeros_like(iterations),
    )


def _empty_memory(memory: Memory, gradient: Array, scale: Array) -> Memory:
    """A memory without pairs, for a first step of length at most one in units of ``sqrt(scale)``."""
    empty = jnp.zeros_like(memory.steps)
    return Memory(empty, empty, scale / jnp.maximum(jnp.sqrt(gradient @ (scale * gradient)), 1.0))
