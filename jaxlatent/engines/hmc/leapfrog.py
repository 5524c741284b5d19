"""The leapfrog step of every Hamiltonian sampler, and the only place where they evaluate the gradient.

Momenta are whitened (`jaxlatent.engines.hmc.metric`), so only the leapfrog step uses the metric.
"""

from typing import NamedTuple

import jax

from jaxlatent.engines.hmc.metric import Metric
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Float


class Point(NamedTuple):
    """A position with its log density and gradient."""

    position: Float[Array, " dim"]
    log_density: Float[Array, ""]
    gradient: Float[Array, " dim"]


class PhasePoint(NamedTuple):
    """A point of a trajectory: position, whitened momentum, whitened gradient."""

    position: Float[Array, " dim"]
    momentum: Float[Array, " dim"]
    gradient: Float[Array, " dim"]


def leapfrog(
    posterior: Posterior, start: PhasePoint, step_size: Float[Array, ""], metric: Metric
) -> tuple[Point, PhasePoint]:
    """One leapfrog step, backwards if ``step_size`` is negative; a step of size zero evaluates the position that it starts from."""
    half = start.momentum + 0.5 * step_size * start.gradient
    position = start.position + step_size * metric.forward(half)
    log_density, gradient = jax.value_and_grad(posterior.log_density)(position)
    whitened = metric.transpose(gradient)
    momentum = half + 0.5 * step_size * whitened
    return Point(position, log_density, gradient), PhasePoint(position, momentum, whitened)


def total_energy(momentum: Float[Array, " dim"], log_density: Float[Array, ""]) -> Float[Array, ""]:
    """Kinetic energy of a whitened momentum plus potential energy."""
    return 0.5 * momentum @ momentum - log_density
