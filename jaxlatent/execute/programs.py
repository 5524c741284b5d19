"""The compiled programs of a fit. They live at module level, keyed by density, the engine's kernel, grid and shapes: a second fit of
the same shapes compiles nothing, because data are arguments.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxlatent._compat.compiled import compiled
from jaxlatent.engines.base import Engine, Final, Stage
from jaxlatent.execute import drive as loop
from jaxlatent.execute.grid import Grid
from jaxlatent.execute.start import initial_position, supported
from jaxlatent.keys import Streams, streams
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, Params, PyTree

_once = partial(compiled, quick=True)
#: Bytes of one dataset, up to which compiling is what one waits for.
_FEW = 4096


@_once("grid")
def keys_of(grid: Grid, key: Key) -> Streams:
    """The keys of all lanes."""
    keys = streams(key, *grid.filled)
    return Streams(grid.constrain(keys.shared, 1), *grid.constrain(keys[1:], 2))


@_once("grid")
def find_starts(grid: Grid, posterior: Posterior, keys: Key) -> tuple[Array, Array, dict[str, Array]]:
    """Starting positions ``(dataset, lane, dim)``, whether their density is finite, which observations lie in their support."""

    def one(posterior: Posterior, key: Key) -> tuple[Array, Array, dict[str, Array]]:
        position, found = initial_position(posterior, key)
        return position, found, supported(posterior, position)

    return grid.constrain(over_lanes(one, (1, 0))(posterior, keys), 2)


@_once("grid")
def place_starts(grid: Grid, posterior: Posterior, params: Params) -> tuple[Array, Array, dict[str, Array]]:
    """As `find_starts`, at named values that lead with ``(dataset, lane)``."""

    def one(posterior: Posterior, params: Params) -> tuple[Array, Array, dict[str, Array]]:
        position = posterior.unconstrain(params)
        return position, jnp.isfinite(posterior.log_density(position)), supported(posterior, position)

    return grid.constrain(over_lanes(one, (1, 0))(posterior, params), 2)


@_once("grid", "engine")
def begin(grid: Grid, engine: Engine, posterior: Posterior, keys: Streams, positions: Array) -> tuple[PyTree, PyTree]:
    """States of all lanes, and what the lanes of each dataset share."""
    shared = jax.vmap(engine.shared)(posterior, keys.shared)
    states = over_lanes(engine.init, (1, 0, 0, 1))(posterior, keys.init, positions, shared)
    return grid.constrain(states, 2), grid.constrain(shared, 1)


def advance(
    grid: Grid, engine: Engine, capacity: int, posterior: Posterior, *lanes: PyTree
) -> tuple[PyTree, PyTree, Array, Array]:
    """One stage of ``keys, states, shared, stage, wanted, patience`` on all devices; each loops on its own until its lanes are through."""
    size = sum(x.nbytes for x in jax.tree.leaves(posterior.data)) // grid.filled[0]
    return (_advance_few if size <= _FEW else _advance_many)(grid, engine, capacity, posterior, *lanes)


def _advance(
    grid: Grid,
    engine: Engine,
    capacity: int,
    posterior: Posterior,
    keys: Key,
    states: PyTree,
    shared: PyTree,
    stage: Stage,
    wanted: Array,
    patience: Array | None,
) -> tuple[PyTree, PyTree, Array, Array]:
    two, one, none = grid.spec(2), grid.spec(1), grid.spec(0)

    def local(posterior, keys, states, shared, stage, wanted, patience):
        return loop.drive(engine, posterior, keys, states, shared, stage, wanted, capacity, patience)

    specs = (one, two, two, one, none, two, none)
    sharded = jax.shard_map(local, mesh=grid.mesh, in_specs=specs, out_specs=two, check_vma=False)
    return sharded(posterior, keys, states, shared, stage, wanted, patience)


_advance_few, _advance_many = (compiled("grid", "engine", "capacity", quick=quick)(_advance) for quick in (True, False))


@_once()
def take(tree: PyTree, datasets: Array) -> PyTree:
    """Some datasets of what leads with them; the last stands in for numbers beyond it."""
    return jax.tree.map(lambda x: jnp.take(x, datasets, 0, mode="clip"), tree)


@_once("grid")
def put_back(
    grid: Grid, all_of: tuple[PyTree, PyTree, Array], some: tuple[PyTree, PyTree, Array], datasets: Array
) -> tuple[PyTree, PyTree, Array]:
    """States, records and counts of a stage, of which ``some`` went on alone; their records follow those that they had."""
    states, records, counts = all_of
    begun = jnp.take(counts, datasets, 0, mode="clip")

    def joined(rows: Array, more: Array) -> Array:
        had = jnp.take(rows, datasets, 0, mode="clip")
        place = jnp.arange(rows.shape[2]) - begun[..., None]
        place = place.reshape(place.shape + (1,) * (rows.ndim - 3))
        rest = jnp.take_along_axis(more, jnp.maximum(place, 0), 2)
        return rows.at[datasets].set(jnp.where(place < 0, had, rest), mode="drop")

    states = jax.tree.map(lambda x, new: x.at[datasets].set(new, mode="drop"), states, some[0])
    counts = counts.at[datasets].add(some[2], mode="drop")
    return grid.constrain((states, jax.tree.map(joined, records, some[1]), counts), 2)


@_once("grid", "engine", "longest")
def adapt(
    grid: Grid,
    engine: Engine,
    longest: int,
    states: PyTree,
    shared: PyTree,
    records: PyTree,
    counts: Array,
    stage: Stage,
) -> tuple[PyTree, PyTree]:
    """Let the lanes of each dataset agree, from at most ``longest`` records: sums must not depend on the segment's capacity."""
    records = jax.tree.map(lambda x: x[:, :, :longest], records)
    states, shared = loop.adapt(engine, grid.lanes, states, shared, records, counts, stage)
    return grid.constrain(states, 2), grid.constrain(shared, 1)


@_once("grid", "engine")
def finish(grid: Grid, engine: Engine, posterior: Posterior, keys: Key, states: PyTree) -> Final:
    """The outcome of every lane."""
    return grid.constrain(over_lanes(engine.finish, (1, 0, 0))(posterior, keys, states), 2)


@_once("grid")
def derive(grid: Grid, posterior: Posterior, params: Params) -> Params:
    """Derived quantities at named values that lead with ``(dataset, lane)``."""
    fn = over_lanes(lambda posterior, params: posterior.density.derived(params, posterior.data), (1, 0))
    return grid.constrain(fn(posterior, params), 2)


@_once("grid", "depth")
def name_values(grid: Grid, depth: int, posterior: Posterior, positions: Array) -> tuple[Params, Params]:
    """Parameters and derived quantities at positions ``(dataset, lane, [draw,] dim)``; ``depth`` is 1 with draws, else 0."""

    def one(posterior: Posterior, position: Array) -> tuple[Params, Params]:
        params = posterior.constrain(position)
        return params, posterior.density.derived(params, posterior.data)

    fn = over_lanes(jax.vmap(one, (None, 0)) if depth else one, (1, 0))
    return grid.constrain(fn(posterior, positions), 2)
