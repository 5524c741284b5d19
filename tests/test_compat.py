"""Each workaround still has its fault to work around, works, and holds where jaxlatent traces and nowhere else."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from jax.sharding import Mesh
from scipy.stats import kstest

import jaxlatent as jl
from jaxlatent._compat.binomial import draw
from jaxlatent._compat.compiled import compiled
from jaxlatent._compat.fusion_emitters import QUICK
from jaxlatent._compat.one_kernel import one_kernel
from jaxlatent._compat.short_generator import short_key
from jaxlatent._compat.tracing import on_cpu, probably_on_cpu, tracing_for, tracing_platform
from jaxlatent._compat.versions import FORMER_XLA
from jaxlatent._compat.ynnpack import products_only

ROOT = Path(__file__).parents[1]
MODULES = [path for path in (ROOT / "jaxlatent").rglob("*.py") if path.parent.name != "_compat"]


def python(program, timeout=300):
    """Run a program in a process of its own; its return code is None if it did not end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(program, None, "", "")


@contextmanager
def compilations():
    """The names of programs compiled inside the block."""
    seen = []
    listen = lambda event, duration, **_: seen.append(event) if event.endswith("backend_compile_duration") else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


# --- the folder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_module_names_a_version_a_backend_or_a_compiler_option(path):
    own = path.read_text().replace("jl.__version__", "")
    named = set(re.findall(r"__version__|default_backend|compiler_options|\bxla_\w*", own))
    # The package says its own version in one place.
    allowed = {"__version__"} if path == ROOT / "jaxlatent" / "__init__.py" else set()
    assert named <= allowed, f"{path.name} names {named}: what it is for belongs to jaxlatent/_compat"


@pytest.mark.parametrize("path", sorted((ROOT / "jaxlatent" / "_compat").glob("*.py")), ids=lambda path: path.stem)
def test_every_workaround_says_for_what_it_is(path):
    text = path.read_text()
    if ("FORMER_XLA" in text and path.stem not in ("versions",)) or path.stem in ("ynnpack", "validation", "binomial"):
        assert all(f"- {word}: " in text for word in ("Versions", "Upstream", "Gain")), path.stem


# --- where they hold --------------------------------------------------------------------------------------------------


def test_the_platform_is_that_of_the_devices_in_use():
    device = jax.devices()[0]
    assert tracing_platform() is None
    with tracing_for():
        assert tracing_platform() == "cpu" and probably_on_cpu()
    with tracing_for(Mesh(np.array([device]), ("x",)), 1.0), tracing_for("not an array"):
        assert tracing_platform() == "cpu"
    with tracing_for(jax.device_put(1.0, device)):
        assert tracing_platform() == "cpu"

    @jax.jit
    def traced(x):
        with tracing_for(x):
            assert tracing_platform() == "unknown"
        with tracing_for(), tracing_for(x):
            assert tracing_platform() == "cpu", "what was known is not forgotten"
        return x

    traced(1.0)
    with jax.default_device("cpu"), tracing_for():
        assert tracing_platform() == "cpu"


def test_run_traces_for_the_devices_in_use_too():
    seen = []
    posterior = jl.from_log_density(lambda x: seen.append(tracing_platform()) or -jnp.sum(x**2), jnp.zeros(2))
    run = lambda key: jl.run(posterior, jl.Optimize(max_iter=1), key)
    for expected, call in (
        ("unknown", lambda key: jax.eval_shape(run, key)),
        ("cpu", lambda key: jax.eval_shape(lambda: run(key))),
    ):
        seen.clear()
        call(jax.random.key(0))
        assert set(seen) == {expected}
    assert tracing_platform() is None


def test_the_compiler_decides_where_the_trace_cannot_know():
    program = jax.jit(lambda x: on_cpu(jnp.sin, jnp.cos, x)).trace(1.0)
    for platform, inside, outside in (("cpu", "sine", "cosine"), ("cuda", "cosine", "sine")):
        text = program.lower(lowering_platforms=(platform,)).as_text()
        assert f"stablehlo.{inside} " in text and f"stablehlo.{outside} " not in text


def test_rules_hold_in_the_thread_that_traces_and_not_in_its_neighbour():
    """Of one function, so that a trace remembered for the one would show in the other."""
    product, before = jax.jit(lambda matrix, x: matrix @ x), jax.config.jax_default_matmul_precision

    def trace():
        # Full precision, which all XLA have within, is no difference here.
        with jax.default_matmul_precision("float32"):
            return str(jax.make_jaxpr(jax.vmap(product, (None, 0)))(jnp.ones((2, 3)), jnp.ones((4, 3))))

    def within():
        with tracing_for():
            return trace()

    with ThreadPoolExecutor(1) as other, tracing_for():
        usual, own = other.submit(trace).result(), trace()
    assert usual != own
    assert trace() == usual and within() == own
    assert jax.config.jax_default_matmul_precision == before


def test_fits_in_four_threads_equal_those_one_after_the_other():
    """With nothing compiled before: all four trace at once."""
    model = jl.Model({"mu": dist.Normal().expand([3])}, lambda p, d: {"y": dist.Normal(d.x @ p.mu, 1.0)})
    data = jl.batch([{"x": np.eye(3), "y": np.ones(3)}] * 2)
    engine = jl.Optimize(optimizer=optax.sgd(0.1), max_iter=5)
    fit = lambda restarts: jl.fit(model, data, replace(engine, restarts=restarts), 0, progress=False)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fit, range(1, 5)))
    jax.clear_caches()
    for one, other in zip(together, map(fit, range(1, 5)), strict=True):
        jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


# --- small products: those of models in test_engine_grid.py -----------------------------------------------------------

#: A matrix of each dataset, a vector of each lane, a product that is used more than once.
PRODUCTS = """
import jax, jax.numpy as jnp
both = jax.vmap(jax.vmap(lambda matrix, x: (matrix @ x,) * 3, (None, 0)))
jax.jit(both).lower(jnp.ones((3, 3, 3)), jnp.ones((3, 2, 3))).compile()
"""


def test_small_products_still_abort_elsewhere():
    assert python(PRODUCTS).returncode == (-signal.SIGABRT if FORMER_XLA else 0), "small_products.py can go"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_small_products_are_products(size):
    matrices, vectors = (jax.random.normal(jax.random.key(0), shape) for shape in ((3, 2, size), (3, 4, size)))
    with tracing_for():
        both = jax.jit(jax.vmap(jax.vmap(lambda matrix, x: (matrix @ x,) * 3, (None, 0))))(matrices, vectors)
    for found in both:
        np.testing.assert_allclose(found, np.einsum("dij,dlj->dli", matrices, vectors), rtol=1e-5, atol=1e-6)


# --- transposed products ----------------------------------------------------------------------------------------------


def linear_predictors(matrix, vectors):
    """Products with each of some vectors, in a loop."""
    step = lambda _, x: x + 1e-3 * jax.vmap(lambda x: matrix @ x)(x).mean(1, keepdims=True)
    return jax.lax.fori_loop(0, 3, step, vectors)


def sums_along_rows(program):
    return "lhs_contracting_dims={1}, rhs_contracting_dims={1}" in program


def test_a_matrix_is_transposed_once_and_not_by_every_product():
    matrix, vectors = (jax.random.normal(jax.random.key(0), shape) for shape in ((200, 30), (4, 30)))
    elsewhere = jax.jit(linear_predictors).lower(matrix, vectors).compile()
    with tracing_for():
        here = jax.jit(lambda *arguments: linear_predictors(*arguments)).lower(matrix, vectors).compile()
    assert sums_along_rows(elsewhere.as_text()), "transposed_products.py can go"
    assert not sums_along_rows(here.as_text())
    (loop,) = (line for line in here.as_text().splitlines() if " while(" in line)
    assert "f32[30,200]" in loop and "f32[200,30]" not in loop
    expected = np.asarray(vectors, float)
    for _ in range(3):
        expected = expected + 1e-3 * (expected @ np.asarray(matrix, float).T).mean(1, keepdims=True)
    np.testing.assert_allclose(here(matrix, vectors), expected, rtol=1e-5, atol=1e-6)


# --- decompositions ---------------------------------------------------------------------------------------------------

FACTORS = """
import os, jax, jax.numpy as jnp
matrices = jnp.eye(150) + jnp.zeros((4, 150, 150))
both = lambda s: sum(jnp.sum(jnp.linalg.cholesky(matrices * (1 + k + s * 1e-9))) for k in range(8 * os.cpu_count()))
jax.jit(lambda: jax.lax.fori_loop(0, 100, lambda _, s: both(s), 0.0))().block_until_ready()
"""

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


@pytest.mark.slow
def test_decompositions_still_hang_elsewhere():
    ended = python(FACTORS, timeout=10 if FORMER_XLA else 300)
    assert ended.returncode == (None if FORMER_XLA else 0), "decompositions.py can go"


@pytest.mark.parametrize(
    "program",
    [GAUSSIAN_PROCESS, pytest.param(MANY_HESSIANS, marks=pytest.mark.slow)],
    ids=["large matrices", "many matrices"],
)
def test_decompositions_in_every_lane_of_two_devices_end(program):
    ended = python(program)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("size", "known"), [(40, True), (80, True), (80, False)], ids=["together", "apart", "left to the compiler"]
)
def test_few_at_a_time_are_all_at_once(size, known):
    """A lane's own batch of three matrices is taken apart as well, where it is too large."""
    root = jax.random.normal(jax.random.key(0), (2, 3, size, size))
    matrices, values = root @ jnp.swapaxes(root, -1, -2) + size * jnp.eye(size), root[..., :2]

    def work(matrix, value):
        factor = jnp.linalg.cholesky(matrix)
        solved = jax.scipy.linalg.solve_triangular(factor, value, lower=True)
        return (
            jnp.sum(solved**2) + jnp.sum(jnp.linalg.slogdet(matrix)[1]) + jnp.sum(jnp.linalg.eigh(matrix)[0][..., -1])
        )

    def everything(matrices, values):
        lanes = jax.vmap(jax.vmap(jax.value_and_grad(work)))(matrices, values)
        batches = jax.vmap(jax.value_and_grad(work))(matrices, values)
        return lanes, batches, jax.vmap(lambda value: work(matrices[0, 0], value))(values[0])

    def traced(*arguments):
        with tracing_for(*arguments):
            return everything(*arguments)

    expected = jax.jit(everything)(matrices, values)
    with tracing_for() if known else nullcontext():
        found = jax.jit(traced)(matrices, values)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        # Gradients through factors of 80 rows in 32 bits.
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)


# --- code for CPUs ----------------------------------------------------------------------------------------------------


def test_a_loop_still_takes_many_kernels_elsewhere():
    """In XLA's own text: fusions of the loop's body against one call."""

    def loop(x, y):
        step = lambda x, y: (jnp.sin(x[::-1]) * y / (1 + x[:, None].sum(0) ** 2), jnp.cos(x).sum())
        return jax.lax.scan(step, x, y)

    arguments = jnp.ones(100), jnp.ones((50, 100))
    kernels = lambda f: jax.jit(f).lower(*arguments).compile().as_text().count("kind=kLoop")
    assert one_kernel(loop) is loop or FORMER_XLA
    if FORMER_XLA:
        np.testing.assert_allclose(one_kernel(loop)(*arguments)[1], loop(*arguments)[1], rtol=1e-5)
        text = jax.jit(one_kernel(loop)).lower(*arguments).compile().as_text()
        assert 'xla_cpu_small_call="true"' in text and kernels(loop) > 1, "one_kernel.py can go"


def test_the_choice_of_code_generators_is_made_where_it_exists():
    choose = lambda: jax.jit(lambda: 0, compiler_options={"xla_cpu_use_fusion_emitters": False}).lower().compile()
    if FORMER_XLA:
        assert QUICK
        choose()
    else:
        assert not QUICK
        with pytest.raises(RuntimeError):
            choose()


def test_brief_programs_are_optimised_for_large_arguments_only(monkeypatch):
    """And all compile: XLA has the option."""
    products_only()  # which compiles once
    levels = []
    jit = jax.jit

    def seen(fn, *, compiler_options=None, **settings):
        levels.append((compiler_options or {}).get("xla_backend_optimization_level"))
        return jit(fn, compiler_options=compiler_options, **settings)

    monkeypatch.setattr(jax, "jit", seen)
    small, large = jnp.arange(4.0), jnp.arange(5.0)
    wave = lambda x: jnp.sin(x) + jax.random.key_data(jax.random.key(0))[0]
    brief = compiled(quick=True, brief=small.nbytes)(wave)
    for x, level in ((small, 0), (large, None), (small, 0)):
        np.testing.assert_allclose(brief(x), wave(x), rtol=1e-6)
        assert level in levels
    assert levels == [0, None], "one program of each kind"
    compiled(quick=True)(wave)(small)
    assert levels[2:] == [None]


def test_sums_are_still_given_to_ynnpack_elsewhere():
    squares = lambda x: jnp.sum(jnp.exp(x) ** 2)
    text = lambda options: jax.jit(squares, compiler_options=options).lower(jnp.ones((1000, 1000))).compile().as_text()
    assert products_only(), "this XLA no longer knows the choice: ynnpack.py can go"
    assert "__ynn_fusion" in text(None), "ynnpack.py can go"
    assert "__ynn_fusion" not in text(products_only())


# --- NumPyro ----------------------------------------------------------------------------------------------------------


def test_numpyro_still_compiles_to_check_traced_arguments_elsewhere():
    make = lambda x: dist.MultivariateNormal(x[0], covariance_matrix=x).log_prob(x[0])
    shape = jax.ShapeDtypeStruct((7, 7), jnp.float32)
    with compilations() as own, tracing_for():
        jax.eval_shape(make, shape)
    jax.clear_caches()
    with compilations() as usual:
        jax.eval_shape(make, shape)
    assert len(usual) > len(own) + 3, "validation.py can go"


def test_arguments_that_can_be_seen_are_checked():
    with tracing_for(), pytest.raises(ValueError, match="invalid scale"):
        dist.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="invalid scale"):
        dist.Normal(0.0, -1.0)


#: Eight lanes of 20,000 draws each; the first call does not end with jaxlib 0.10, the 72nd with 0.12.
BINOMIALS = """
import jax, numpyro.distributions as dist
draw = jax.jit(jax.vmap(lambda p, key: dist.Binomial(300, probs=p).expand([20_000]).sample(key)))
for seed in range(100):
    key = jax.random.key(seed)
    draw(jax.random.uniform(key, (8,)), jax.random.split(key, 8)).block_until_ready()
"""


@pytest.mark.slow
def test_binomials_of_numpyro_still_hang():
    assert python(BINOMIALS, timeout=90).returncode is None, "binomial.py can go"


@pytest.mark.parametrize("make", [dist.BinomialProbs, dist.BinomialLogits])
def test_binomials_are_binomials(make):
    """The draws that NumPyro never ends with jaxlib 0.10, by their mean and variance."""
    n, key = 300, jax.random.key(0)
    p = jax.random.uniform(key, (8,))
    value = p if make is dist.BinomialProbs else jnp.log(p) - jnp.log1p(-p)
    many = lambda value, key: draw(make(value, n).expand((20_000,)), make(value, n), key)
    draws = np.asarray(jax.jit(jax.vmap(many))(value, jax.random.split(key, 8)))
    assert draws.dtype.kind == "i" and draws.min() >= 0 and draws.max() <= n
    p = np.asarray(p, float)
    mean, variance = n * p, n * p * (1 - p)
    # 32 tests at 4.5 standard errors: a false alarm once in 4,000 keys; the variance of a variance is 2 variance**2 / draws.
    assert np.all(np.abs(draws.mean(1) - mean) < 4.5 * np.sqrt(variance / 20_000))
    assert np.all(np.abs(draws.var(1) / variance - 1) < 4.5 * np.sqrt(2.5 / 20_000))


# --- the short generator ----------------------------------------------------------------------------------------------


def _normals(key):
    draw = lambda key: jnp.stack([jax.random.normal(jax.random.fold_in(key, i), (3,)) for i in range(4)]).ravel()
    return jax.vmap(draw)(jax.random.split(key, 4000))


def test_the_short_generator_makes_shorter_programs_than_those_of_jax():
    def length(key):
        return len(jax.jit(_normals).lower(key).compile().as_text())

    key = jax.random.key(0)
    for other in (key, jax.random.key(0, impl="unsafe_rbg")):
        assert length(short_key(key)) < 0.6 * length(other)


def test_the_short_generator_draws_independent_normal_numbers():
    draws = np.asarray(jax.jit(_normals)(short_key(jax.random.key(3)))).astype(float)
    # 12 tests, 66 correlations between columns and 12 between neighbouring rows: false alarms once in some thousand runs
    assert min(kstest(column, "norm").pvalue for column in draws.T) > 1e-5
    between = np.corrcoef(draws, rowvar=False) - np.eye(12)
    along = [np.corrcoef(column[1:], column[:-1])[0, 1] for column in draws.T]
    assert max(np.abs(between).max(), np.abs(along).max()) < 5 / np.sqrt(4000)


def test_the_short_generator_fills_every_bit_and_follows_its_key():
    keys = [short_key(jax.random.key(seed)) for seed in range(2)]
    first, other = (np.asarray(jax.random.bits(key, (1 << 16,), "uint32")) for key in keys)
    for words in (first, first ^ other, first[1:] ^ first[:-1]):
        shares = np.unpackbits(words.view(np.uint8).reshape(-1, 4), axis=1).mean(0)
        assert np.abs(shares - 0.5).max() < 5 * 0.5 / 2**8
