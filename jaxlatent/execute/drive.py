"""The driver loop: step every lane of every dataset through one stage.

Arrays lead with ``(dataset, lane)``. Engines are written for one lane and mapped over lanes here.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxlatent.engines.base import Engine, Stage
from jaxlatent.execute.chunks import chunk_size, map_in_chunks
from jaxlatent.masks import select
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, PyTree

#: Stragglers may be left behind once at most one in `FEW` lanes, or datasets, still runs.
FEW = 4


def together(engine: Engine) -> bool:
    """Whether the lanes of a dataset stay together: chains have all equally many draws to make, while searches end by their own rule."""
    return engine.kind == "chains"


def drive(
    engine: Engine,
    posterior: Posterior,
    keys: Key,
    states: PyTree,
    shared: PyTree,
    stage: Stage,
    wanted: Array,
    capacity: int,
    patience: Array | None = None,
) -> tuple[PyTree, PyTree, PyTree, Array, Array]:
    """Step all lanes until each has emitted its ``wanted`` records or is done.

    The steps and records of a lane depend on that lane only (if the engine ``crosses``, on those of its dataset), whatever the grouping.

    Args:
        engine: static.
        posterior: data lead with ``dataset``.
        keys: ``(dataset, lane)``.
        states: lead with ``(dataset, lane)``.
        shared: leads with ``dataset``.
        stage: traced.
        wanted: number of records of each lane, ``(dataset, lane)``: ``stage.steps``, or 0 where a dataset has stopped.
        capacity: static, at least ``stage.steps``.
        patience: steps that the others wait for the last quarter of the lanes (where lanes stay `together`, of the datasets, and then at
            least four times their own steps); the loop then ends, for the caller to continue with the stragglers. None waits without limit.

    Returns:
        states: after the stage.
        shared: after the stage; unchanged unless the engine ``crosses``.
        records: lead with ``(dataset, lane, capacity)``; rows from ``counts`` on are undefined.
        counts: records of each lane, ``(dataset, lane)``.
        left: lanes that are not finished, ``(dataset, lane)``: none without ``patience``.
    """
    done = over_lanes(engine.done, (0,))
    if engine.crosses:
        step = over_lanes(engine.step, (1, 0, 0, 1, None))
        cross: Callable[[PyTree, PyTree], tuple[PyTree, PyTree]] = jax.vmap(
            lambda states, shared: engine.cross_lanes(states, shared, stage)
        )

        def step_and_cross(live: Array, both: tuple[PyTree, PyTree]) -> tuple[tuple[PyTree, PyTree], PyTree, Array]:
            states, record, emitted = step(posterior, keys, *both, stage)
            crossed = cross(states, both[1])
            kept = select(live, crossed[0], both[0]), select(jnp.any(live, 1), crossed[1], both[1])
            return kept, record, emitted

        both, *rest = _loop(
            step_and_cross, lambda both: done(both[0]), (states, shared), wanted, capacity, patience, True
        )
        return *both, *rest

    # The step is traced for its shapes and again in the loop; inside a jit of its own it is traced only once.
    step_where = jax.jit(over_lanes(engine.step_where, (0, 1, 0, 0, 1, None)), inline=True)

    def run_chunk(posterior: Posterior, lanes: PyTree, states: PyTree, shared: PyTree) -> PyTree:
        keys, wanted = lanes
        go = lambda live, states: step_where(live, posterior, keys, states, shared, stage)
        return _loop(go, done, states, wanted, capacity, patience, together(engine))

    live = jnp.ones(keys.shape[:2], bool)
    size = chunk_size(step_where, (keys.shape[0], keys.shape[1]), live, posterior, keys, states, shared, stage)
    states, *rest = map_in_chunks(run_chunk, size, posterior, (keys, wanted), states, shared)
    return states, shared, *rest


def _ravel(record: PyTree) -> tuple[Array, Callable[[Array], PyTree]]:
    """A record as one vector of floats, the small integers and flags in it too; and the way back."""
    with jax.numpy_dtype_promotion("standard"):
        flat, back = ravel_pytree(record)
    return flat, back


def _loop(
    step: Callable[[Array, PyTree], tuple[PyTree, PyTree, Array]],
    done: Callable[[PyTree], Array],
    states: PyTree,
    wanted: Array,
    capacity: int,
    patience: Array | None,
    whole: bool,
) -> tuple[PyTree, PyTree, Array, Array]:
    """The loop of `drive` over lanes that step together."""
    record_of = jax.eval_shape(step, wanted > 0, states)[1]
    one = jax.tree.map(lambda x: jnp.zeros(x.shape[2:], x.dtype), record_of)
    packed, unpack = _ravel(one)
    pack = over_lanes(lambda record: _ravel(record)[0], (0,))
    write = over_lanes(lambda rows, row, i: jax.lax.dynamic_update_index_in_dim(rows, row, i, 0), (0, 0, 0))
    lanes = jax.tree.leaves(record_of)[0].shape[:2]
    alone = lanes == (1, 1)

    def running(states: PyTree, counts: Array) -> Array:
        return (counts < wanted) & ~done(states)

    units = lanes[0] * (1 if whole else lanes[1])
    wait_for_all = patience is None or units < FEW

    def proceed(carry: tuple[PyTree, Array, Array, Array, PyTree]) -> Array:
        live, waiting = carry[3:]
        if wait_for_all:
            return jnp.any(live)
        steps, waited = waiting
        patient = waited <= patience
        if whole:
            patient |= waited <= 4 * (steps - waited)
        goes_on: Array = jnp.any(live) & patient
        return goes_on

    def body(carry: tuple[PyTree, Array, Array, Array, PyTree]) -> tuple[PyTree, Array, Array, Array, PyTree]:
        states, rows, counts, live, waiting = carry
        # A single lane is live as long as the loop runs.
        live = jnp.ones(lanes, bool) if alone else live
        states, record, emitted = step(live, states)
        # Every step overwrites the current record, until a step completes it. Idle lanes write to a spare row.
        rows = write(rows, pack(record), jnp.where(live, counts, capacity))
        counts = counts + (live & emitted).astype(counts.dtype)
        live = running(states, counts)
        if not wait_for_all:
            few = FEW * jnp.sum(jnp.any(live, 1) if whole else live) <= units
            waiting = waiting[0] + 1, waiting[1] + few.astype(jnp.int32)
        return states, rows, counts, live, waiting

    # Derived from the states, so that under shard_map they have the same varying axes.
    counts = 0 * done(states).astype(jnp.int32)
    rows = jnp.zeros((*lanes, capacity + 1, packed.size), packed.dtype) + 0 * counts[..., None, None].astype(
        packed.dtype
    )
    zero = jnp.sum(0 * counts, dtype=counts.dtype)
    carry = (states, rows, counts, running(states, counts), () if wait_for_all else (zero, zero))
    states, rows, counts, live, _ = jax.lax.while_loop(proceed, body, carry)
    return states, jax.vmap(jax.vmap(jax.vmap(unpack)))(rows[:, :, :capacity]), counts, live


def adapt(
    engine: Engine, lanes: int, states: PyTree, shared: PyTree, records: PyTree, counts: Array, stage: Stage
) -> tuple[PyTree, PyTree]:
    """Adapt the first ``lanes`` lanes of every dataset together; the rest are fillers and copy the last of these."""
    total = counts.shape[1]
    if lanes == total:
        return jax.vmap(engine.adapt, (0, 0, 0, 0, None))(states, shared, records, counts, stage)
    own = jax.tree.map(lambda x: x[:, :lanes], (states, records, counts))
    adapted, shared = jax.vmap(engine.adapt, (0, 0, 0, 0, None))(own[0], shared, own[1], own[2], stage)
    repeat = jnp.minimum(jnp.arange(total), lanes - 1)
    return jax.tree.map(lambda x: x[:, repeat], adapted), shared
