"""`Session`: the state of a run between two stages, which can be stored, moved to other devices, and resumed."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from jaxlatent.engines.base import Engine, Stage
from jaxlatent.execute.chunks import map_lanes
from jaxlatent.execute.drive import adapt, drive
from jaxlatent.execute.grid import Grid, drop_weak_types, on_host
from jaxlatent.keys import Streams
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, PyTree


class Session(NamedTuple):
    """Everything needed to continue a run, besides its posterior.

    Attributes:
        done: completed steps of the schedule, a scalar; independent of the segment length.
        keys: step key of each lane, ``(dataset, lane)``.
        last_keys: key of the outcome of each lane, ``(dataset, lane)``.
        states: lane states, leading with ``(dataset, lane)``.
        shared: shared state, leading with ``dataset``.
    """

    done: Array
    keys: Key
    last_keys: Key
    states: PyTree
    shared: PyTree


#: Number of leading axes of each field of a session: 2 for ``(dataset, lane)``, 1 for ``dataset``, or 0.
LEADS: Any = Session(*cast(Any, (0, 2, 2, 2, 1)))


class Emitted(NamedTuple):
    """The records of a stage.

    Attributes:
        records: leading with ``(dataset, lane, capacity)``.
        counts: number of records of each lane, ``(dataset, lane)``; later rows are undefined.
        left: lanes that are not finished, ``(dataset, lane)``.
    """

    records: PyTree
    counts: Array
    left: Array


def begin(engine: Engine, posterior: Posterior, keys: Streams, positions: Array) -> Session:
    """The initial session of lanes that start at ``positions`` ``(dataset, lane, dim)``."""
    shared = jax.vmap(engine.shared)(posterior, keys.shared)
    states = map_lanes(engine.init, posterior, (keys.init, positions), (shared,))
    # A weak type is none after the first step, and all programs of the run would be compiled for both.
    states, shared = drop_weak_types((states, shared))
    return Session(jnp.zeros((), jnp.int32), keys.step, keys.finish, states, shared)


def advance(
    engine: Engine,
    posterior: Posterior,
    session: Session,
    stage: Stage,
    wanted: Array,
    capacity: int,
    patience: Array | None = None,
) -> tuple[Session, Emitted]:
    """Step every lane through one stage; pure. See `jaxlatent.execute.drive.drive` for the arguments."""
    keys, states, shared = session.keys, session.states, session.shared
    states, shared, *emitted = drive(engine, posterior, keys, states, shared, stage, wanted, capacity, patience)
    return session._replace(done=session.done + stage.steps, states=states, shared=shared), Emitted(*emitted)


def pool(engine: Engine, lanes: int, session: Session, emitted: Emitted, stage: Stage) -> Session:
    """Adapt the lanes of each dataset together at the end of a stage; pure."""
    states, shared = adapt(engine, lanes, session.states, session.shared, emitted.records, emitted.counts, stage)
    return session._replace(states=states, shared=shared)


def remaining(stages: Sequence[Stage], done: int) -> list[Stage]:
    """The stages of a schedule that remain after ``done`` steps, the first perhaps shortened."""
    left = []
    for stage in stages:
        behind = min(done, stage.steps)
        done -= behind
        if behind < stage.steps:
            left.append(stage._replace(steps=stage.steps - behind))
    return left


def session_like(grid: Grid, engine: Engine, posterior: Posterior, keys: Streams) -> Session:
    """The shapes of a session that `to_host` returns."""
    positions = jax.ShapeDtypeStruct((*grid.filled, posterior.dim), jnp.result_type(float))
    filled: Session = jax.eval_shape(partial(begin, engine), posterior, keys, positions)
    own = (grid.datasets, grid.lanes)

    def one(x: Any, leads: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((*own[:leads], *x.shape[leads:]), x.dtype)

    parts = zip(filled, LEADS, strict=True)
    return Session(*(jax.tree.map(lambda x, n=n: one(x, n), part) for part, n in parts))


def to_host(grid: Grid, session: Session) -> Session:
    """The session on the host, without fillers, as it can be stored."""
    own = (slice(grid.datasets), slice(grid.lanes))
    parts = zip(on_host(session), LEADS, strict=True)
    return Session(*(jax.tree.map(lambda x, n=n: x[own[:n]], part) for part, n in parts))


def to_devices(grid: Grid, session: Session) -> Session:
    """A stored session on the devices of a grid, which may be other devices than before."""
    parts = zip(copy_buffers(session), LEADS, strict=True)
    return Session(*(grid.put(grid.fill(part, n), n) for part, n in parts))


@jax.jit
def copy_buffers(session: Session) -> Session:
    """The session in buffers of its own, which `advance` may overwrite. One program: leaf by leaf, each shape would compile its own."""
    copy: Session = jax.tree.map(jnp.copy, session)
    return copy
