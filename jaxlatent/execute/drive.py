"""The one driver loop: every lane of every dataset through one stage.

Arrays lead with ``(dataset, lane)``. Engines are written for one lane and mapped here; nothing else in the package batches.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxlatent.engines.base import Engine, Stage
from jaxlatent.execute.chunks import chunk_size, map_in_chunks
from jaxlatent.masks import select
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, PyTree

#: Of so many datasets one is few enough to leave.
FEW = 4


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
    """Step all lanes until each has emitted the records ``wanted`` of it or is done.

    A lane's steps and records depend on nothing but itself, whatever the grouping; if the engine ``crosses``, on those of its dataset.

    Args:
        engine: static.
        posterior: data lead with ``dataset``.
        keys: ``(dataset, lane)``.
        states: lead with ``(dataset, lane)``.
        shared: leads with ``dataset``.
        stage: traced.
        wanted: ``(dataset, lane)``, records of each: ``stage.steps``, or none where a dataset has stopped.
        capacity: static, at least ``stage.steps``.
        patience: steps that others wait for the last quarter of the datasets, or four times those that they themselves took if that is
            more; the last are then left where they are, for the caller to go on with. None: for ever.

    Returns:
        states: as they came, a stage later.
        shared: likewise; changed by an engine that ``crosses`` only.
        records: lead with ``(dataset, lane, capacity)``; rows from ``counts`` on are undefined.
        counts: records of each lane, ``(dataset, lane)``.
        left: lanes that have still to go on, ``(dataset, lane)``: none without ``patience``.
    """
    # Traced for its shapes and again in the loop: as a program of its own it is traced once.
    step = jax.jit(over_lanes(engine.step, (1, 0, 0, 1, None)), inline=True)
    done = over_lanes(engine.done, (0,))
    if engine.crosses:
        together = jax.vmap(lambda states, shared: engine.cross_lanes(states, shared, stage))

        def meet(both: tuple[PyTree, PyTree]) -> tuple[tuple[PyTree, PyTree], PyTree, Array]:
            states, record, emitted = step(posterior, keys, *both, stage)
            return together(states, both[1]), record, emitted

        def keep(live: Array, new: tuple[PyTree, PyTree], old: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            return select(live, new[0], old[0]), select(jnp.any(live, 1), new[1], old[1])

        both, *rest = _loop(meet, lambda both: done(both[0]), keep, (states, shared), wanted, capacity, patience)
        return *both, *rest

    def turn(posterior: Posterior, lanes: PyTree, states: PyTree, shared: PyTree) -> PyTree:
        keys, wanted = lanes
        go = lambda states: step(posterior, keys, states, shared, stage)
        return _loop(go, done, select, states, wanted, capacity, patience)

    size = chunk_size(step, (keys.shape[0], keys.shape[1]), posterior, keys, states, shared, stage)
    states, *rest = map_in_chunks(turn, size, posterior, (keys, wanted), states, shared)
    return states, shared, *rest


def _loop(
    step: Any, done: Any, keep: Any, states: PyTree, wanted: Array, capacity: int, patience: Array | None
) -> tuple[PyTree, PyTree, Array, Array]:
    """`drive`, of lanes that go step by step together."""
    record_of = jax.eval_shape(step, states)[1]
    one = jax.tree.map(lambda x: jnp.zeros(x.shape[2:], x.dtype), record_of)
    packed, unpack = ravel_pytree(one)
    pack = over_lanes(lambda record: ravel_pytree(record)[0], (0,))
    write = over_lanes(lambda rows, row, i: jax.lax.dynamic_update_index_in_dim(rows, row, i, 0), (0, 0, 0))
    lanes = jax.tree.leaves(record_of)[0].shape[:2]
    alone = lanes == (1, 1)

    def running(states: PyTree, counts: Array) -> Array:
        return (counts < wanted) & ~done(states)

    patient = patience is None or lanes[0] < FEW

    def go_on(carry: tuple[PyTree, Array, Array, Array, PyTree]) -> Array:
        live, waiting = carry[3:]
        if patient:
            return jnp.any(live)
        steps, waited = waiting
        return jnp.any(live) & ((waited <= patience) | (waited <= 4 * (steps - waited)))

    def body(carry: tuple[PyTree, Array, Array, Array, PyTree]) -> tuple[PyTree, Array, Array, Array, PyTree]:
        states, rows, counts, live, waiting = carry
        # The loop ends with its last lane: one that is alone is live as long as it runs.
        live = jnp.ones(lanes, bool) if alone else live
        stepped, record, emitted = step(states)
        states = keep(live, stepped, states)
        # Every step writes the record as it stands; the one that completes it writes last. Idle lanes write to a spare row.
        rows = write(rows, pack(record), jnp.where(live, counts, capacity))
        counts = counts + (live & emitted)
        live = running(states, counts)
        if not patient:
            few = FEW * jnp.sum(jnp.any(live, 1)) <= lanes[0]
            waiting = waiting[0] + 1, waiting[1] + few
        return states, rows, counts, live, waiting

    # Derived from the states, so that under shard_map they vary over devices as the states do.
    counts = jnp.zeros(lanes, jnp.int32) + 0 * done(states)
    rows = jnp.zeros((*lanes, capacity + 1, packed.size), packed.dtype) + 0 * counts[..., None, None]
    none = jnp.sum(0 * counts)
    carry = (states, rows, counts, running(states, counts), () if patient else (none, none))
    states, rows, counts, live, _ = jax.lax.while_loop(go_on, body, carry)
    return states, jax.vmap(jax.vmap(jax.vmap(unpack)))(rows[:, :, :capacity]), counts, live


def adapt(
    engine: Engine, lanes: int, states: PyTree, shared: PyTree, records: PyTree, counts: Array, stage: Stage
) -> tuple[PyTree, PyTree]:
    """Let the first ``lanes`` lanes of every dataset agree; the rest, there to fill devices, take what they agree on."""
    total = counts.shape[1]
    if lanes == total:
        return jax.vmap(engine.adapt, (0, 0, 0, 0, None))(states, shared, records, counts, stage)
    own = jax.tree.map(lambda x: x[:, :lanes], (states, records, counts))
    adapted, shared = jax.vmap(engine.adapt, (0, 0, 0, 0, None))(own[0], shared, own[1], own[2], stage)
    repeat = jnp.minimum(jnp.arange(total), lanes - 1)
    return jax.tree.map(lambda x: x[:, repeat], adapted), shared
