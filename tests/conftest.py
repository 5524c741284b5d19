"""Before any JAX computation: two CPU devices, so that every test runs as a batch does, spread over devices.

Promotion is left at JAX's defaults: NumPyro 0.22 mixes integers with floats (`Binomial.log_prob`, `LKJCholesky`) and
ranks (`MultivariateNormal.expand`), so "strict" and "raise" stop inside NumPyro. What they guard, that no computation
leaves the precision of the data, is tested by dtype instead (`test_execute.py`).

Programs are compiled with little optimisation: compiling is most of the time of the suite, and it takes a third less.

The compilation cache on disk is JAX's own setting, JAX_COMPILATION_CACHE_DIR; the Makefile gives it.
"""

import jax
import pytest

import jaxlatent as jl

jl.use_cpu_cores(2)
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def x64():
    """64 bits inside one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """Compiled programs of a finished file are dropped: kept, they came to six gigabytes a worker."""
    yield
    jax.clear_caches()
