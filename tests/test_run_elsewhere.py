"""`jl.run` inside the programs of other packages: `jit`, `vmap`, `shard_map` and `jax.export` change no result.

To rounding: chains are short and not adapted, searches are well conditioned.
"""

from functools import cache

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from jax import export
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxlatent as jl

LINE = jl.Model(
    {"slope": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.slope * d.x, 1.0)}, key="line run elsewhere"
)
STATES = jl.models.hmm(2, jl.models.emissions.Gaussian())
RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 8)).astype(np.float32)
Y = (2.0 * X + RNG.normal(size=X.shape)).astype(np.float32)
KEYS = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(0), 2)))
#: A sampler, a search, and one with hidden states.
CASES = {
    "NUTS": (LINE, jl.NUTS(chains=1, warmup=0, draws=3), lambda x, y: {"x": x, "y": y}),
    "Optimize": (LINE, jl.Optimize(standard_errors=False), lambda x, y: {"x": x, "y": y}),
    "EM": (STATES, jl.EM(restarts=1, max_iter=3), lambda x, y: {"y": y}),
}
each = pytest.mark.parametrize("case", CASES)


def fit_of(case):
    """A fit as a function of arrays."""
    model, engine, data = CASES[case]
    return lambda x, y, key: jl.run(jl.condition(model, data(x, y)), engine, jax.random.wrap_key_data(key))


@cache
def loop(case):
    fit = jax.jit(fit_of(case))
    return jax.tree.map(lambda *rows: np.stack(rows), *(fit(X[i], Y[i], KEYS[i]) for i in range(len(X))))


def check_same(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-3, atol=3e-3), one, other)
    assert len(np.unique(np.asarray(one.objective).round(2))) > 1, "datasets that are told apart"


@each
def test_vmap_over_data_is_a_loop(case):
    check_same(jax.jit(jax.vmap(fit_of(case)))(X, Y, KEYS), loop(case))


def test_vmap_around_jit_is_a_loop():
    check_same(jax.vmap(jax.jit(fit_of("Optimize")))(X, Y, KEYS), loop("Optimize"))


def test_padded_rows_under_vmap_are_a_loop_over_shorter_data():
    fit = lambda data: jl.run(jl.condition(LINE, data), CASES["Optimize"][1], jax.random.key(0)).params["slope"]
    mask = np.arange(8) < np.array([[5], [8]])
    padded = jax.jit(jax.vmap(fit))({"x": X, "y": jl.Masked(Y, mask)})
    products, squares = (X * Y * mask).sum(1), (X**2 * mask).sum(1)
    np.testing.assert_allclose(padded[:, 0], products / (squares + 1.0), rtol=1e-3, err_msg="the mode, in closed form")


@pytest.mark.devices(least=2)
@each
def test_shard_map_over_devices_is_a_loop(case):
    mesh = jax.make_mesh((2,), ("datasets",), axis_types=(AxisType.Auto,))
    spec = P("datasets")
    sharded = jax.jit(jax.shard_map(jax.vmap(fit_of(case)), mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))
    out = sharded(X, Y, KEYS)
    assert len(out.objective.sharding.device_set) == 2
    check_same(out, loop(case))


@pytest.mark.devices(least=2)
def test_jit_of_sharded_data_is_a_loop():
    mesh = jax.make_mesh((2,), ("datasets",), axis_types=(AxisType.Auto,))
    there = jax.device_put((X, Y, KEYS), jax.NamedSharding(mesh, P("datasets")))
    check_same(jax.jit(jax.vmap(fit_of("Optimize")))(*there), loop("Optimize"))


@pytest.mark.devices(least=2)
def test_what_loops_cannot_hold_is_an_error_with_a_remedy():
    """If JAX takes them one day, the explanations can go."""
    mesh, spec = jax.make_mesh((2,), ("datasets",)), P("datasets")
    there = jax.device_put((X, Y, KEYS), jax.NamedSharding(mesh, spec))
    fit = jax.vmap(fit_of("Optimize"))
    with pytest.raises(jl.InputError, match="check_vma=False"):
        jax.jit(jax.shard_map(fit, mesh=mesh, in_specs=spec, out_specs=spec))(*there)
    with pytest.raises(jl.InputError, match=r"AxisType\.Auto"):
        jax.jit(fit)(*there)


@each
def test_an_exported_fit_is_read_back_and_runs(case):
    pytest.importorskip("flatbuffers")
    program = export.export(jax.jit(fit_of(case)), platforms=["cpu", "cuda", "tpu"])(X[0], Y[0], KEYS[0])
    read = export.deserialize(program.serialize())
    out = jax.tree.map(lambda *rows: np.stack(rows), *(read.call(X[i], Y[i], KEYS[i]) for i in range(2)))
    check_same(out, loop(case))


@pytest.mark.usefixtures("wrong_types")
def test_an_exported_fit_takes_data_of_any_length():
    """Signatures are not checked: a length without a number is no `int`."""
    (rows,) = export.symbolic_shape("rows")
    of = jax.ShapeDtypeStruct((rows,), np.float32)
    fit = jax.jit(fit_of("Optimize"))
    program = export.export(fit)(of, of, jax.ShapeDtypeStruct(KEYS[0].shape, KEYS.dtype))
    for length in (8, 5):
        x, y = X[0, :length], Y[0, :length]
        slope = program.call(x, y, KEYS[0]).params["slope"]
        np.testing.assert_allclose(slope[0], x @ y / (x @ x + 1.0), rtol=1e-3, err_msg="the mode, in closed form")
