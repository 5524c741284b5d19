"""A run is an object: taken off the devices between two stages, it goes on, on any number of them, as if nothing had happened."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from engine_grid import ENGINES

import jaxlatent as jl
from jaxlatent.engines.base import Stage
from jaxlatent.execute import programs
from jaxlatent.execute import session as sessions
from jaxlatent.execute.grid import make_grid
from jaxlatent.execute.session import remaining, to_devices, to_host
from jaxlatent.keys import streams

MODEL = jl.Model(
    {"mu": dist.Normal(0.0, 2.0), "tau": dist.HalfNormal(2.0)},
    lambda p, d: {"y": dist.Normal(p.mu, p.tau + 1.0)},
    key="session",
)
DATA = jl.batch([{"y": np.array([0.1, -0.5, 1.0]) + i} for i in range(3)])
CHAINS = jl.NUTS(chains=3, warmup=40, draws=8)


def grid_on(devices, engine=CHAINS):
    return make_grid(len(DATA), engine.lanes, devices, whole=engine.crosses)


def begin(grid, engine=CHAINS):
    posterior = grid.put(grid.fill(jl.condition(MODEL, DATA).nameless), 1)
    keys = programs.keys_of(grid, jax.random.key(0), np.arange(grid.filled[0]))
    positions = programs.find_starts(grid, posterior, keys.start)[0]
    return posterior, programs.begin(grid, engine.compile_key(), posterior, keys, positions)


def go(grid, posterior, session, stage, engine=CHAINS):
    """One stage, as `fit` goes through it."""
    now = Stage(*(np.int32(value) for value in stage))
    wanted = grid.put(np.full(grid.filled, stage.steps, np.int32), 2)
    session, emitted = programs.advance(grid, engine.compile_key(), 20, posterior, session, now, wanted, None)
    if not stage.keep:
        session = programs.pool(grid, engine.compile_key(), 20, session, emitted, now)
    return session, grid.fetch(engine.outputs(emitted.records).positions)[:, :, : stage.steps]


def whole_run(grid, moved_to=None):
    """Draws of every stage, the session moved to another grid after each if there is one."""
    posterior, session = begin(grid)
    draws = []
    for stage in CHAINS.schedule(4):
        session, records = go(grid, posterior, session, stage)
        draws.append(records)
        if moved_to is not None:
            kept = to_host(grid, session)
            assert jax.tree.leaves(kept.states)[0].shape[:2] == (3, 3), "fillers do not leave the devices"
            grid, moved_to = moved_to, grid
            posterior = grid.put(grid.fill(jl.condition(MODEL, DATA).nameless), 1)
            session = to_devices(grid, kept)
    return draws, session


@pytest.mark.devices
def test_a_session_that_was_taken_off_goes_on_to_the_bit():
    grid = grid_on(jax.devices())
    stayed, at_end = whole_run(grid)
    moved, _ = whole_run(grid, grid)
    for one, other in zip(stayed, moved, strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(at_end.done) == CHAINS.warmup + CHAINS.draws


@pytest.mark.devices(least=2)
def test_a_session_goes_on_on_other_numbers_of_devices():
    """To rounding: the first window, from where trajectories of other rounding part."""
    first = CHAINS.schedule(4)[0]._replace(steps=5)
    few, all_of_them = grid_on(jax.devices()[:1]), grid_on(jax.devices())
    posterior, session = begin(few)
    session, _ = go(few, posterior, session, first)
    kept = to_host(few, session)
    one, other = (
        go(grid, grid.put(grid.fill(jl.condition(MODEL, DATA).nameless), 1), to_devices(grid, kept), first)[1]
        for grid in (few, all_of_them)
    )
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def types(tree):
    return jax.tree.map(jax.typeof, tree)


@pytest.mark.parametrize("name", ENGINES)
def test_no_stage_changes_the_types_of_a_session(name):
    # Or `advance` and `pool` are compiled twice: a NaN without a type, in one field, cost every first fit by NUTS two seconds.
    engine = ENGINES[name](2)
    *others, last = engine.schedule(4)
    model = jl.models.hmm(2, jl.models.emissions.Gaussian()) if name == "EM" else MODEL
    posterior = jax.tree.map(lambda x: x[None], jl.condition(model, {"y": np.zeros(3, np.float32)}))
    keys = streams(jax.random.key(0), np.arange(1), engine.lanes)

    def walk(posterior, keys):
        session = sessions.begin(engine, posterior, keys, jnp.zeros((1, engine.lanes, posterior.dim)))
        seen = [types(session)]
        for stage in (*others[:1], last):
            now, wanted = Stage(*map(np.int32, stage)), jnp.full((1, engine.lanes), stage.steps, jnp.int32)
            session, emitted = sessions.advance(engine, posterior, session, now, wanted, stage.steps)
            if not stage.keep:
                session = sessions.pool(engine, engine.lanes, session, emitted, now)
            seen.append(types(session))
        assert seen[1:] == seen[:1] * (len(seen) - 1)
        return session

    jax.eval_shape(walk, posterior, keys)


def test_what_is_left_of_a_schedule_does_not_depend_on_how_it_was_cut():
    stages = CHAINS.schedule(4)
    total = CHAINS.warmup + CHAINS.draws
    for done in range(total + 1):
        left = remaining(stages, done)
        assert sum(stage.steps for stage in left) == total - done
        assert [stage.kind for stage in left] == [stage.kind for stage in stages][len(stages) - len(left) :]
    assert remaining(stages, 0) == list(stages)


@pytest.mark.devices(least=2)
@pytest.mark.parametrize(("datasets", "lanes"), [(2, 4), (4, 2), (1, 8), (8, 1), (4, 4), (3, 3), (100, 4)])
def test_datasets_and_lanes_fill_the_devices_together(datasets, lanes):
    devices = jax.devices()
    grid = make_grid(datasets, lanes, devices)
    share = [filled // side for filled, side in zip(grid.filled, grid.mesh.devices.shape, strict=True)]
    sides = [(a, len(devices) // a) for a in range(1, len(devices) + 1)]
    best = min(-(-datasets // min(a, datasets)) * -(-lanes // min(b, lanes)) for a, b in sides)
    assert share[0] * share[1] == best
    together = make_grid(datasets, lanes, devices, whole=True)
    assert together.mesh.devices.shape[1] == 1
