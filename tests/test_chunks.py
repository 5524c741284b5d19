"""Chunks of any number of datasets and lanes: near the wanted size, and what is in a chunk changes no result."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.execute import chunks, drive
from jaxlatent.models import gaussian_mixture

PRIMES = (7, 13, 101, 997)
MODEL = jl.Model(
    {"mu": dist.Normal(0.0, 2.0), "tau": dist.HalfNormal(2.0)},
    lambda p, d: {"y": dist.Normal(p.mu, p.tau + 1.0).expand([3])},
    key="chunks",
)
RNG = np.random.default_rng(0)
MANY = jl.batch([{"y": RNG.normal(2 * i, 1, 3).astype(np.float32)} for i in range(13)])
ONE = {"y": RNG.normal(size=3).astype(np.float32)}


def at_size(monkeypatch, chunk):
    """From here on chunks have this size at most; None for all at once."""
    monkeypatch.setattr(drive, "chunk_size", lambda step, lanes, *_: lanes if chunk is None else chunk)
    jax.clear_caches()


def assert_close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), one, other)


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", PRIMES)
def test_chunks_of_a_prime_number_of_entries_are_near_the_wanted_size(count):
    """Within a factor of two, and with few fillers where there are enough sizes to choose from."""
    for wanted in range(1, count + 1):
        size = chunks._size(count, wanted)
        number = math.ceil(count / size)
        fillers = number * size - count
        assert wanted / 2 <= size <= 2 * wanted
        assert fillers < number, "at most one in a chunk"
        assert fillers <= 0.05 * count or count < 100
    assert chunks._size(count, 0.01) == 1 and chunks._size(count, 10.0 * count) == count


def test_a_divisor_near_the_wanted_size_needs_no_fillers():
    near = [(1000, 30, 25), (1000, 7, 8), (96, 11, 12), (6, 4, 3), (64, 23, 32), (3, 3, 3)]
    assert [(count, wanted, chunks._size(count, wanted)) for count, wanted, _ in near] == near


# --- entries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [(7, 2), (7, 3), (3, 5), (4, 5), (1, 5), (1, 2), (1, 1)], ids=str)
@pytest.mark.parametrize("around", ["jit", "vmap", pytest.param("shard_map", marks=pytest.mark.devices)])
def test_every_entry_meets_its_own_data_and_key_once(chunk, around):
    """Bitwise, for integers, flags and typed keys too."""
    grid = (7, 5)
    keys = jax.random.split(jax.random.key(0), grid)
    numbers = jnp.arange(35).reshape(grid)

    def fn(scale, keys, states, shared):
        keys = jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, 3)))(keys)
        number, odd = states
        bits = jax.vmap(jax.vmap(jax.random.bits))(keys)
        return {"key": keys, "bits": bits, "next": number + 1, "even": ~odd, "x": scale[:, None] * number + shared}

    def run(size, scale):
        out = chunks.map_in_chunks(fn, size, scale, keys, (numbers, numbers % 2 == 1), jnp.arange(7)[:, None])
        return {**out, "key": jax.random.key_data(out["key"])}

    scale, devices = jnp.arange(1.0, 8.0), jax.devices()
    if around == "vmap":
        scale = jnp.stack([scale, 2 * scale])
    if around == "shard_map":
        scale = jnp.concatenate([scale * i for i in range(len(devices))])
    mesh, spec = jax.sharding.Mesh(devices, "x"), jax.sharding.PartitionSpec("x")
    wrap = {
        "jit": jax.jit,
        "vmap": jax.vmap,
        "shard_map": lambda fn: jax.jit(jax.shard_map(fn, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)),
    }[around]
    whole, parts = (wrap(lambda scale, size=size: run(size, scale))(scale) for size in (grid, chunk))
    assert whole["next"].dtype == parts["next"].dtype and parts["even"].dtype == bool
    jax.tree.map(np.testing.assert_array_equal, whole, parts)


# --- fits -------------------------------------------------------------------------------------------------------------


@pytest.mark.devices
def test_a_prime_number_of_datasets_and_chains_is_fitted_as_at_once(monkeypatch):
    """To rounding, and so without adaptation and for a few draws: long chains drift apart."""
    fit = lambda: jl.fit(MODEL, MANY, jl.NUTS(chains=5, warmup=0, draws=10), 3)
    at_size(monkeypatch, None)
    whole = fit()
    for chunk in ((4, 5), (1, 2)):
        at_size(monkeypatch, chunk)
        parts = fit()
        assert_close((whole.params, whole.statistics), (parts.params, parts.statistics))
        np.testing.assert_array_equal(whole.statistics["n_steps"], parts.statistics["n_steps"])


def test_restarts_of_em_are_those_at_once(monkeypatch):
    y = np.concatenate([RNG.normal(m, 1, 60) for m in (-3, 0, 3)]).astype(np.float32)
    fit = lambda: jl.fit(gaussian_mixture(3, None), {"y": y}, jl.EM(restarts=7, max_iter=10, tol=0.0), seed=0)
    at_size(monkeypatch, None)
    whole = fit()
    at_size(monkeypatch, (1, 3))
    np.testing.assert_allclose(fit().trace, whole.trace, rtol=1e-4)


def test_run_is_the_same_in_chunks(monkeypatch):
    """Inside a user's ``vmap``: alone, the loop over chunks is that of a fit."""
    engine, keys = jl.NUTS(chains=5, warmup=0, draws=5), jax.random.split(jax.random.key(2), 3)
    fit = lambda: jax.jit(jax.vmap(lambda key: jl.run(jl.condition(MODEL, ONE), engine, key)))(keys)

    at_size(monkeypatch, None)
    whole = fit()
    at_size(monkeypatch, (1, 2))
    assert_close(whole, fit())


def test_a_filler_makes_no_chunk_run_longer(monkeypatch):
    """A lane takes as many steps as the longest of its own chunk, whether that is filled or not."""
    evaluations = []

    def likelihood(p, d):
        jax.debug.callback(lambda mu: evaluations.append(None), p.mu)
        return {"y": dist.Normal(p.mu, p.tau + 1.0).expand([3])}

    model = jl.Model({"mu": dist.Normal(0.0, 2.0), "tau": dist.HalfNormal(2.0)}, likelihood)
    data = jl.batch([{"y": y} for y in MANY.data["y"][:5]])

    def fit(chunk):
        at_size(monkeypatch, chunk)
        evaluations.clear()
        result = jl.fit(model, data, jl.NUTS(chains=5, warmup=0, draws=5), 3, segment=5)
        jax.effects_barrier()
        return result, len(evaluations)

    def evaluated(steps, chunk):
        """In the loop, with one evaluation of every lane before its first step."""
        parts = [
            own
            for some in np.array_split(steps, math.ceil(5 / chunk[0]))
            for own in np.array_split(some, math.ceil(5 / chunk[1]), axis=1)
        ]
        return sum(own.max() + 1 for own in parts) * math.prod(chunk)

    whole, all_evaluations = fit(None)
    steps = whole.statistics["n_steps"].sum(-1)
    assert np.ptp(steps) > 0
    chunk = (2, 3)
    result, fewer_evaluations = fit(chunk)
    assert_close((whole.params, whole.statistics), (result.params, result.statistics))
    assert all_evaluations - fewer_evaluations == evaluated(steps, (5, 5)) - evaluated(steps, chunk)
