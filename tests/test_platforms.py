"""Programs for GPUs and TPUs, lowered on a host that has neither: a user of one is not the first to try.

Lowered, not compiled: what is missing from a platform's rules and what was chosen for another platform shows in the text.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from often import often

import jaxlatent as jl
from jaxlatent._compat import tracing
from jaxlatent._compat.versions import FORMER_XLA
from jaxlatent.models import emissions, gaussian_mixture, hmm, mixture_density_network

RNG = np.random.default_rng(0)
former = pytest.mark.skipif(not FORMER_XLA, reason="this XLA needs no such workaround")


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


#: Correlated effects of three groups.
HIERARCHY = jl.Model(
    {
        "mean": dist.Normal(0.0, 1.0).expand([2]).to_event(1),
        "sds": dist.HalfNormal(1.0).expand([2]).to_event(1),
        "factor": dist.LKJCholesky(2, concentration=2.0),
        "effects": lambda p: jl.informed(
            dist.MultivariateNormal(p.mean, scale_tril=p.sds[:, None] * p.factor).expand([3]).to_event(1)
        ),
    },
    lambda p, d: {"y": dist.Normal(p.effects[d.group, 0] + p.effects[d.group, 1] * d.x, 1.0)},
)
PROBLEMS = {
    "hierarchy": (HIERARCHY, {"y": numbers(6), "x": numbers(6), "group": np.arange(6) % 3}),
    "HMM": (hmm(2, emissions.Gaussian()), {"y": numbers(2, 5)}),
    "GLM-HMM": (hmm(2, emissions.BernoulliRegression(1)), {"y": numbers(2, 5) > 0, "x": numbers(2, 5, 1)}),
    "mixture": (gaussian_mixture(2, 2), {"y": numbers(6, 2)}),
    "density network": (mixture_density_network(2, 1, hidden=(3,)), {"y": numbers(6), "x": numbers(6, 1)}),
}
FEW = {"restarts": 2, "max_iter": 2}
CHAINS = {"chains": 2, "warmup": 30, "draws": 2}
ADAM = optax.adam(0.1)
ENGINES = {
    "NUTS dense": jl.NUTS(metric="dense", **CHAINS),
    "NUTS diagonal": jl.NUTS(metric="diag", **CHAINS),
    "NUTS low rank": jl.NUTS(metric="low_rank", rank=2, **CHAINS),
    "ADVI mean field": jl.ADVI(draws=25, **FEW),
    "ADVI full rank": jl.ADVI(family="full_rank", draws=25, **FEW),
    "DADVI": jl.DADVI(draws=25, **FEW),
    "L-BFGS": jl.Optimize(**FEW),
    "Adam": jl.Optimize(optimizer=ADAM, **FEW),
    "Adam by rows": jl.Optimize(optimizer=ADAM, batch_size=2, validation=0.4, **FEW),
    "Laplace": jl.Laplace(draws=25, **FEW),
    "Pathfinder": jl.Pathfinder(paths=2, max_iter=2, draws=25),
    "EM": jl.EM(**FEW),
    "ChEES": jl.ChEES(**CHAINS),
}
OPTIMISERS = ("L-BFGS", "Adam", "Adam by rows")


def possible(problem, engine):
    """A network has too many weights for the rest; EM needs hidden states; rows of two sequences are too few to split."""
    if problem == "density network":
        return engine in OPTIMISERS
    if engine == "EM":
        return problem != "hierarchy"
    return engine != "Adam by rows" or "HMM" not in problem


CASES = {
    f"{problem}, {engine}, {how}": (problem, engine, how)
    for problem in PROBLEMS
    for engine in ENGINES
    for how in ("alone", "mapped")
    if possible(problem, engine)
}
#: Each engine, each problem and both ways; the other combinations run with the slow tests.
OFTEN = {
    "hierarchy, NUTS dense, mapped",
    "hierarchy, NUTS diagonal, alone",
    "GLM-HMM, NUTS low rank, alone",
    "hierarchy, ADVI mean field, alone",
    "hierarchy, ADVI full rank, alone",
    "hierarchy, DADVI, alone",
    "density network, L-BFGS, mapped",
    "density network, Adam, alone",
    "mixture, Adam by rows, alone",
    "hierarchy, Laplace, alone",
    "hierarchy, Pathfinder, alone",
    "hierarchy, ChEES, mapped",
    "HMM, EM, alone",
}


def program(posterior, engine, platform, mapped=False):
    """The text of `jl.run` for a platform; posterior and key are arguments. ``mapped``: of two datasets, under somebody's `vmap`."""
    leaves, tree = jax.tree.flatten(posterior)
    arguments = leaves, jax.random.key_data(jax.random.key(0))  # exported programs take no typed keys

    def run(leaves, key):
        return jl.run(jax.tree.unflatten(tree, leaves), engine, jax.random.wrap_key_data(key))

    if mapped:
        run, arguments = jax.vmap(run), jax.tree.map(lambda x: jnp.stack([x, x]), arguments)
    return jax.export.export(jax.jit(run), platforms=[platform])(*arguments).mlir_module()


def test_every_engine_and_every_problem_is_among_the_cases_that_run_often():
    problems, engines, ways = (set(column) for column in zip(*(CASES[name] for name in OFTEN), strict=True))
    assert (problems, engines, ways) == (set(PROBLEMS), set(ENGINES), {"alone", "mapped"})


@pytest.mark.parametrize("platform", ["cuda", pytest.param("tpu", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", often(CASES, OFTEN))
def test_every_engine_can_be_lowered_for_gpus_and_tpus(case, platform):
    problem, engine, how = CASES[case]
    text = program(jl.condition(*PROBLEMS[problem]), ENGINES[engine], platform, how == "mapped")
    assert "stablehlo.while" in text
    assert "xla_cpu" not in text and "lapack" not in text, f"what is for CPUs got into a program for {platform}"


def test_products_are_of_full_precision_unless_the_user_says_otherwise():
    """By default GPUs round the factors of float32 products to 10 bits of mantissa."""
    posterior, engine = jl.condition(*PROBLEMS["HMM"]), ENGINES["EM"]
    products = lambda text: [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    exact = products(program(posterior, engine, "cuda"))
    assert exact and all("HIGHEST" in line for line in exact)
    with jax.default_matmul_precision("tensorfloat32"):
        rounded = products(program(posterior, engine, "cuda"))
    assert rounded and not any("HIGHEST" in line for line in rounded)


# --- choices by platform ----------------------------------------------------------------------------------------------


@former
def test_the_one_kernel_of_messages_is_for_cpus_only():
    posterior = jl.condition(*PROBLEMS["HMM"])
    marked = {
        name: "xla_cpu_small_call" in program(posterior, ENGINES["L-BFGS"], name) for name in ("cpu", "cuda", "tpu")
    }
    assert marked == {"cpu": True, "cuda": False, "tpu": False}


@former
def test_decompositions_are_taken_few_at_a_time_on_cpus_only():
    """Factors of 80 rows in two lanes are more than fit, of 8 are not: loops over lanes are what the programs differ in."""
    model = jl.Model(
        {"length": dist.HalfNormal(1.0)},
        lambda p, d: {
            "y": dist.MultivariateNormal(jnp.zeros(len(d.y)), jnp.exp(-d.apart / p.length) + jnp.eye(len(d.y)))
        },
    )
    engine = jl.Optimize(standard_errors=False, **FEW)

    def loops(platform, rows):
        at = np.arange(rows, dtype=np.float32)
        posterior = jl.condition(model, {"y": numbers(rows), "apart": np.abs(at[:, None] - at)})
        return program(posterior, engine, platform).count("stablehlo.while")

    assert {name: loops(name, 80) > loops(name, 8) for name in ("cpu", "cuda")} == {"cpu": True, "cuda": False}


@pytest.fixture
def one_core(monkeypatch):
    """Of however many: what fits in the caches grows with them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)


def test_lanes_take_turns_where_the_host_computes_on_cpus(monkeypatch, one_core):
    """Turns are part of the trace, which cannot know for what it will be lowered: the devices of the host decide, as promised."""
    model = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand(d.y.shape)})
    engine = jl.Optimize(optimizer=ADAM, restarts=8, max_iter=2, standard_errors=False)

    def loops(host, rows):
        monkeypatch.setattr(tracing, "_default", lambda: host)
        return program(jl.condition(model, {"y": np.zeros(rows, np.float32)}), engine, "cuda").count("stablehlo.while")

    # A step makes arrays of four megabytes a lane: turns are more loops. Of three rows, all lanes go together anywhere.
    large = 2**20
    assert loops("cpu", 3) == loops("gpu", 3) == loops("gpu", large) < loops("cpu", large)


def test_taking_turns_changes_nothing(monkeypatch, one_core):
    """Of two megabytes a lane, so that not all eight fit: the same with turns and without, and turns were taken."""
    model = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand(d.y.shape)})
    engine = jl.Optimize(optimizer=ADAM, restarts=8, max_iter=20, standard_errors=False)
    y = RNG.normal(size=2**19).astype(np.float32)
    found, loops = [], []
    for host in ("cpu", "gpu"):
        monkeypatch.setattr(tracing, "_default", lambda host=host: host)
        lowered = jax.jit(lambda y: jl.run(jl.condition(model, {"y": y}), engine, jax.random.key(0))).lower(y)
        loops.append(lowered.as_text().count("stablehlo.while"))
        found.append(lowered.compile()(y))
    assert loops[0] > loops[1]
    assert len(np.unique(found[0].params["mu"])) == 8, "lanes that are told apart by where they started"
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *found)
