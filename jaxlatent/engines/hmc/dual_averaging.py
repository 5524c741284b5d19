"""Dual averaging of the step size of Hamiltonian Monte Carlo (Nesterov 2009; Hoffman and Gelman 2014, section 3.2.1, their constants)."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxlatent.typing import Array


class Tuning(NamedTuple):
    """The state of dual averaging.

    Attributes:
        log_step: log step size of the next trajectory.
        log_average: weighted average of the log step size, used after adaptation.
        error: running mean of target minus acceptance.
        seen: number of transitions, as a float.
        anchor: log step size that the iterates shrink to.
    """

    log_step: Array
    log_average: Array
    error: Array
    seen: Array
    anchor: Array


def start_tuning(step_size: Array) -> Tuning:
    """Restart dual averaging from a step size."""
    zero = jnp.zeros_like(step_size)
    return Tuning(jnp.log(step_size), zero, zero, zero, jnp.log(10 * step_size))


def tune(state: Tuning, excess: Array) -> Tuning:
    """Update dual averaging after a trajectory whose acceptance exceeds the target by ``excess``."""
    seen = state.seen + 1
    weight = 1 / (seen + 10)
    error = (1 - weight) * state.error - weight * excess
    log_step = state.anchor - jnp.sqrt(seen) / 0.05 * error
    decay = seen**-0.75
    return Tuning(log_step, decay * log_step + (1 - decay) * state.log_average, error, seen, state.anchor)
