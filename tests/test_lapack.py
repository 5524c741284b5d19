"""Decompositions of many lanes end, on every line of jaxlib."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlatent.former_xla import few_at_a_time

GAUSSIAN_PROCESS = """
import jax.numpy as jnp, numpy as np, numpyro.distributions as dist
import jaxlatent as jl

jl.use_cpu_cores(2)
x = np.linspace(0, 1, 160)

def likelihood(p, d):
    kernel = jnp.exp(-0.5 * ((d.x[:, None] - d.x) / p.length) ** 2) + 0.1 * jnp.eye(160)
    return {"y": dist.MultivariateNormal(jnp.zeros((1, 160)), scale_tril=jnp.linalg.cholesky(kernel))}

model = jl.Model(prior={"length": dist.HalfNormal(1.0)}, likelihood=likelihood)
fit = jl.fit(model, {"x": x, "y": np.sin(6 * x)[None]}, jl.Optimize(restarts=8), seed=0, progress=False)
assert fit.agreeing() == 8, fit.objective
"""


MANY_HESSIANS = """
import jaxlatent as jl
from jaxlatent.datasets import inverse_problem

jl.use_cpu_cores(2)
experts = jl.models.mixture_of_experts(3, 1)
fit = jl.fit(experts, inverse_problem().data, jl.Optimize(max_iter=5, restarts=200), seed=0, progress=False)
assert fit.statistics["covariance"].shape == (200, 18, 18), fit.statistics["covariance"].shape
"""


@pytest.mark.parametrize("program", [GAUSSIAN_PROCESS, MANY_HESSIANS], ids=["large matrices", "many matrices"])
def test_decompositions_in_every_lane_of_two_devices_end(program):
    """In one piece, jaxlib 0.10 hangs here."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("size", [3, 40, 80])
def test_few_at_a_time_are_all_at_once(size):
    root = jax.random.normal(jax.random.key(0), (2, 3, size, size))
    matrices, values = root @ jnp.swapaxes(root, -1, -2) + size * jnp.eye(size), root[..., :2]

    def work(matrix, value):
        factor = jnp.linalg.cholesky(matrix)
        solved = jax.scipy.linalg.solve_triangular(factor, value, lower=True)
        return jnp.sum(solved**2) + jnp.linalg.slogdet(matrix)[1] + jnp.linalg.eigh(matrix)[0][-1]

    both = lambda: jax.vmap(jax.vmap(jax.value_and_grad(work)))(matrices, values)
    expected = both()
    with few_at_a_time():
        found = both()
        shared = jax.vmap(lambda value: work(matrices[0, 0], value))(values[0])
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        # Gradients through factors of 80 rows in 32 bits.
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(shared, [work(matrices[0, 0], value) for value in values[0]], rtol=1e-4)
