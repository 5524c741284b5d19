"""What NUTS and ChEES share: a leapfrog step that can be undone, follows the exact flow, and holds their only gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxlatent as jl
from jaxlatent.engines.base import Stage
from jaxlatent.engines.hmc.leapfrog import PhasePoint, leapfrog, total_energy
from jaxlatent.engines.hmc.metric import identity
from jaxlatent.engines.hmc.stages import SAMPLE

PRECISION = np.array([[2.0, 0.6], [0.6, 0.5]])
GAUSSIAN = jl.from_log_density(lambda x: -0.5 * x @ PRECISION @ x, jnp.zeros(2))
METRIC = identity("dense", 2, 0)._replace(scale=jnp.array([0.7, 1.5]), matrix=jnp.array([[1.0, 0.0], [0.4, 0.8]]))
WHITENING = np.diag(METRIC.scale) @ np.asarray(METRIC.matrix)


def start(position=(1.0, -0.5), momentum=(0.3, 0.8)) -> PhasePoint:
    position = jnp.array(position)
    return PhasePoint(position, jnp.array(momentum), METRIC.transpose(jax.grad(GAUSSIAN.log_density)(position)))


def test_a_step_back_undoes_a_step():
    _, there = leapfrog(GAUSSIAN, start(), jnp.float32(0.3), METRIC)
    _, back = leapfrog(GAUSSIAN, there, jnp.float32(-0.3), METRIC)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), back, start())
    assert np.abs(there.position - start().position).max() > 0.1


def test_many_small_steps_follow_the_exact_flow():
    """Of a Gaussian: a rotation in the coordinates in which the metric is the identity."""
    steps, size = 100, 0.01
    end = start()
    for _ in range(steps):
        point, end = leapfrog(GAUSSIAN, end, jnp.float32(size), METRIC)
    values, vectors = np.linalg.eigh(WHITENING.T @ PRECISION @ WHITENING)
    frequency, time = np.sqrt(values), steps * size
    position = vectors.T @ np.linalg.solve(WHITENING, start().position)
    momentum = vectors.T @ np.asarray(start().momentum)
    moved = position * np.cos(frequency * time) + momentum / frequency * np.sin(frequency * time)
    # The error of a step is of third order in its size, that of a path of second.
    np.testing.assert_allclose(end.position, WHITENING @ vectors @ moved, atol=size**2 * 5)
    before = total_energy(start().momentum, GAUSSIAN.log_density(start().position))
    np.testing.assert_allclose(total_energy(end.momentum, point.log_density), before, atol=size**2 * 5)


@pytest.mark.parametrize("engine", [jl.NUTS(), jl.ChEES()], ids=lambda engine: type(engine).__name__)
def test_a_program_holds_the_gradient_once(engine):
    evaluated = []
    posterior = jl.from_log_density(lambda x: evaluated.append(x) or -jnp.sum(x**2), jnp.zeros(2))

    def begin_and_step(key, position, stage):
        shared = engine.shared(posterior, key)
        state = engine.init(posterior, key, position, shared)
        return engine.step(posterior, key, state, shared, stage)

    stage = Stage(jnp.int32(1), jnp.int32(SAMPLE), jnp.int32(10), None)
    dim = posterior.dim
    evaluated.clear()
    jax.eval_shape(begin_and_step, jax.random.key(0), jnp.zeros(dim), stage)
    assert len(evaluated) == 1
