"""The compiled programs of a fit, cached at module level by density, the engine's compile key, grid and shapes.

Data are arguments, so a second fit with the same shapes compiles nothing.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxlatent._compat.compiled import compiled
from jaxlatent.engines.base import Engine, Final, Stage
from jaxlatent.errors import InputError
from jaxlatent.execute import session as sessions
from jaxlatent.execute.chunks import map_lanes
from jaxlatent.execute.grid import Grid
from jaxlatent.execute.initial_position import initial_position
from jaxlatent.execute.session import LEADS, Emitted, Session
from jaxlatent.keys import Streams, streams
from jaxlatent.masks import widen
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.posterior.support import supported
from jaxlatent.typing import Array, Key, Params, PyTree

_once = partial(compiled, quick=True)
#: Compiling these takes longer than running them unoptimised, up to so many bytes: of the data, with which a start may take as long as a
#: hundred steps, and of the records of all lanes. To pool those of four chains of eight schools (0.1 MB) compiles in 0.3 s instead of 1.3
#: and takes 2 ms instead of 0.6, a dozen times in a fit.
_start = partial(compiled, quick=True, brief=2**12)
_between = partial(compiled, quick=True, brief=2**18)
#: Bytes of one dataset up to which compile time dominates run time.
_FEW = 4096


@_between("grid")
def keys_of(grid: Grid, key: Key, datasets: Array) -> Streams:
    """The keys of all lanes; ``datasets`` are indices in the whole batch, with those of fillers."""
    keys = streams(key, datasets, grid.filled[1])
    return Streams(grid.constrain(keys.shared, 1), *grid.constrain(keys[1:], 2))


@_start("grid")
def find_starts(grid: Grid, posterior: Posterior, keys: Key) -> tuple[Array, Array, dict[str, Array]]:
    """Random starts ``(dataset, lane, dim)``, whether their density is finite, and which observations lie in their support."""

    def one(posterior: Posterior, key: Key) -> tuple[Array, Array, dict[str, Array]]:
        position, found = initial_position(posterior, key)
        return position, found, supported(posterior, posterior.constrain(position))

    found: tuple[Array, Array, dict[str, Array]] = _on_own_device(grid, one, posterior, (keys,))
    return found


@_start("grid")
def place_starts(grid: Grid, posterior: Posterior, params: Params) -> tuple[Array, Array, dict[str, Array]]:
    """Like `find_starts`, at named values that lead with ``(dataset, lane)``."""

    def one(posterior: Posterior, params: Params) -> tuple[Array, Array, dict[str, Array]]:
        position = posterior.unconstrain(params)
        return (
            position,
            jnp.isfinite(posterior.log_density(position)),
            supported(posterior, posterior.constrain(position)),
        )

    found: tuple[Array, Array, dict[str, Array]] = _on_own_device(grid, one, posterior, (params,))
    return found


@_between("grid", "engine")
def begin(grid: Grid, engine: Engine, posterior: Posterior, keys: Streams, positions: Array) -> Session:
    """The initial session of all lanes."""
    one, two = grid.spec(1), grid.spec(2)
    local: Callable[..., Session] = lambda *arguments: sessions.begin(engine, *arguments)
    leads = Streams(*cast(Any, (one, *(two for _ in keys[1:]))))
    session: Session = _local(grid, local, (one, leads, two), _specs(grid))(posterior, keys, positions)
    return session


def advance(grid: Grid, engine: Engine, capacity: int, posterior: Posterior, *rest: PyTree) -> tuple[Session, Emitted]:
    """Run one stage (``session, stage, wanted, patience``) on all devices; each loops independently until its lanes have finished."""
    return _advance_of(grid, posterior)(grid, engine, capacity, posterior, *rest)


def most_bytes(
    grid: Grid, engine: Engine, capacity: int, posterior: Posterior, keys: Streams, session: Session, *rest: PyTree
) -> int:
    """The most that a device holds at the start, in `advance` or at the end, by the compiler; arguments are `jax.ShapeDtypeStruct`."""
    steps: Any = _advance_of(grid, posterior)
    starts: Any = find_starts
    ends: Any = finish
    lowered = (
        steps.lower(grid, engine, capacity, posterior, session, *rest),
        starts.lower(grid, posterior, keys.start),
        ends.lower(grid, engine, posterior, session),
    )
    return max(map(_bytes, lowered))


def _bytes(lowered: Any) -> int:
    used = lowered.compile().memory_analysis()
    whole: int = used.argument_size_in_bytes + used.output_size_in_bytes - used.alias_size_in_bytes
    return whole + int(used.temp_size_in_bytes)


def _advance_of(grid: Grid, posterior: Posterior) -> Callable[..., tuple[Session, Emitted]]:
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(posterior.data)) // grid.filled[0]
    return _advance_few if size <= _FEW else _advance_many


def _advance(
    grid: Grid,
    engine: Engine,
    capacity: int,
    posterior: Posterior,
    session: Session,
    stage: Stage,
    wanted: Array,
    patience: Array | None,
) -> tuple[Session, Emitted]:
    two, one, replicated = grid.spec(2), grid.spec(1), grid.spec(0)

    def local(
        posterior: Posterior, session: Session, stage: Stage, wanted: Array, patience: Array | None
    ) -> tuple[Session, Emitted]:
        return sessions.advance(engine, posterior, session, stage, wanted, capacity, patience)

    sharded = _local(grid, local, (one, _specs(grid), replicated, two, replicated), (_specs(grid), two))
    out: tuple[Session, Emitted] = sharded(posterior, session, stage, wanted, patience)
    return out


def _local(grid: Grid, fn: Callable[..., Any], in_specs: PyTree, out_specs: PyTree) -> Callable[..., Any]:
    """``fn`` of what a device holds.

    One device needs no `jax.shard_map`, within which the closures of diffrax's default adjoint cannot be differentiated.
    """
    if grid.mesh.size == 1:
        return fn
    sharded = jax.shard_map(fn, mesh=grid.mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)

    def explained(*arguments: PyTree) -> Any:
        try:
            return sharded(*arguments)
        except ValueError as error:
            if "Closure-converted function" not in str(error):
                raise
            raise InputError(
                f"the gradient of the log density on {grid.mesh.size} devices",
                got="a closure of Equinox, as in diffrax's default adjoint, which cannot be differentiated within jax.shard_map",
                expected="a density that can",
                remedy="give diffrax.diffeqsolve(..., adjoint=diffrax.DirectAdjoint()), or fit on one device: devices=jax.devices()[:1].",
            ) from None

    return explained


def _specs(grid: Grid) -> Session:
    """Where the parts of a session are."""
    return Session(*map(cast(Any, grid.spec), LEADS))


_advance_few, _advance_many = (
    compiled("grid", "engine", "capacity", quick=quick, donate=("session",))(_advance) for quick in (True, False)
)


def _on_own_device(grid: Grid, fn: Callable[..., PyTree], posterior: Posterior, lanes: tuple[PyTree, ...]) -> PyTree:
    """Map a function of one lane over those of each device, in chunks: all at once may take many times the memory of a step."""
    local: Callable[[Posterior, tuple[PyTree, ...]], PyTree] = lambda posterior, lanes: map_lanes(fn, posterior, lanes)
    return _local(grid, local, (grid.spec(1), grid.spec(2)), grid.spec(2))(posterior, lanes)


@_once("grid")
def take(
    grid: Grid, posterior: Posterior, session: Session, datasets: Array, lanes: Array
) -> tuple[Posterior, Session]:
    """Move some lanes of a run to a grid of their own; indices out of range take the last one.

    Args:
        grid: their own.
        posterior, session: of the run.
        datasets: ``(dataset,)``.
        lanes: of each, ``(dataset, lane)``.
    """
    places = ((), (datasets,), (datasets[:, None], lanes))
    pick: Callable[[PyTree, int], PyTree] = lambda tree, leads: jax.tree.map(
        lambda x: x.at[places[leads]].get(mode="clip") if leads else x, tree
    )
    parts = (pick(part, leads) for part, leads in zip(session, LEADS, strict=True))
    return grid.constrain(pick(posterior, 1), 1), _constrain(grid, Session(*parts))


@_once("grid")
def put_back(
    grid: Grid, all_of: tuple[Session, Emitted], some: tuple[Session, Emitted], datasets: Array, lanes: Array
) -> tuple[Session, Emitted]:
    """Merge lanes that finished the stage on their own grid, see `take`, appending their new records to those they had."""
    (session, emitted), (alone, rest) = all_of, some
    places = (datasets[:, None], lanes)
    begun = emitted.counts.at[places].get(mode="clip")

    def joined(rows: Array, more: Array) -> Array:
        had = rows.at[places].get(mode="clip")
        place = widen(jnp.arange(rows.shape[2], dtype=begun.dtype) - begun[..., None], rows.ndim)
        last = jnp.take_along_axis(more, jnp.maximum(place, 0), 2)
        return rows.at[places].set(jnp.where(place < 0, had, last), mode="drop")

    back: Callable[[PyTree, PyTree, Any], PyTree] = lambda old, new, at: jax.tree.map(
        lambda x, y: x.at[at].set(y, mode="drop"), old, new
    )
    states, shared = back(session.states, alone.states, places), back(session.shared, alone.shared, datasets)
    session = session._replace(states=states, shared=shared)
    counts = emitted.counts.at[places].add(rest.counts, mode="drop")
    records = jax.tree.map(joined, emitted.records, rest.records)
    return _constrain(grid, session), grid.constrain(Emitted(records, counts, jnp.zeros_like(emitted.left)), 2)


@_between("grid", "engine", "longest")
def pool(grid: Grid, engine: Engine, longest: int, session: Session, emitted: Emitted, stage: Stage) -> Session:
    """Adapt the lanes of each dataset together, from ``longest`` record rows, so that sums do not depend on the segment length."""
    records = jax.tree.map(lambda x: x[:, :, :longest], emitted.records)
    return _constrain(grid, sessions.pool(engine, grid.lanes, session, emitted._replace(records=records), stage))


def _constrain(grid: Grid, session: Session) -> Session:
    return Session(*(grid.constrain(part, leads) for part, leads in zip(session, LEADS, strict=True)))


@_once("grid", "engine")
def finish(grid: Grid, engine: Engine, posterior: Posterior, session: Session) -> Final:
    """The outcome of every lane."""
    final: Final = _on_own_device(grid, engine.finish, posterior, (session.last_keys, session.states))
    return final


@_once("grid")
def derive(grid: Grid, posterior: Posterior, params: Params) -> Params:
    """Derived quantities at named values that lead with ``(dataset, lane)``."""
    fn = over_lanes(lambda posterior, params: posterior.density.derived(params, posterior.data), (1, 0))
    return grid.constrain(fn(posterior, params), 2)


@_once("grid", "size")
def slice_draws(grid: Grid, size: int, positions: Array, start: Array) -> Array:
    """``size`` draws from ``start`` on of positions ``(dataset, lane, draw, dim)``; indices out of range take the last draw."""
    return grid.constrain(jnp.take(positions, start + jnp.arange(size, dtype=start.dtype), 2, mode="clip"), 2)


@_once("grid", "depth")
def name_values(grid: Grid, depth: int, posterior: Posterior, positions: Array) -> tuple[Params, Params]:
    """Parameters and derived quantities at positions ``(dataset, lane, [draw,] dim)``; ``depth`` is 1 with draws, else 0."""

    def one(posterior: Posterior, position: Array) -> tuple[Params, Params]:
        params = posterior.constrain(position)
        return params, posterior.density.derived(params, posterior.data)

    fn = over_lanes(jax.vmap(one, (None, 0)) if depth else one, (1, 0))
    return grid.constrain(fn(posterior, positions), 2)
