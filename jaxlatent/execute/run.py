"""`run`: a pure, traceable fit, for use inside another package's ``jit``, ``vmap`` or ``shard_map``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxlatent._compat.tracing import tracing_for
from jaxlatent.engines.base import Engine, Stage
from jaxlatent.errors import InputError, require
from jaxlatent.execute.chunks import map_lanes
from jaxlatent.execute.initial_position import initial_position
from jaxlatent.execute.session import Emitted, Session, advance, begin, pool
from jaxlatent.keys import as_key, streams
from jaxlatent.masks import blank, select
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, Params


class Run(NamedTuple):
    """What `run` returns: arrays only.

    Attributes:
        params: named values: ``(lane, draw, ...)``, or ``(lane, ...)`` for a point fit.
        positions: the same, unconstrained and flat.
        statistics: under ArviZ's names; see the engine.
        objective: ``(lane,)``: final log density or ELBO.
        status: ``(lane,)``: `jaxlatent.status.Status` codes.
    """

    params: Params
    positions: Array
    statistics: dict[str, Array]
    objective: Array
    status: Array


# A program that returns a `Run` can be serialised; a process that reads it imports jaxlatent first.
export.register_namedtuple_serialization(Run, serialized_name="jaxlatent.Run")


def run(posterior: Posterior, engine: Engine, key: Key, init: Array | None = None) -> Run:
    """Run an engine on one dataset and its lanes: pure and traceable, without file or terminal output.

    For use inside ``jit``, ``vmap`` and ``shard_map`` (with ``check_vma=False``), and in programs that ``jax.export`` writes. The stages of
    the schedule are iterations of one ``scan``, so the program holds the log density and its gradient once.

    Workarounds for versions of JAX and NumPyro (`jaxlatent._compat`) apply as in `fit` where they concern tracing, also under a ``vmap``
    around a direct call of `run`, but not under a ``vmap`` around a ``jit`` of it, which is traced after `run` has returned. Compiler
    options are set by ``fit`` alone: inside your ``jit`` they are yours.

    Args:
        posterior: of one dataset.
        engine: any engine.
        key: a typed JAX key.
        init: optional starting positions ``(lane, dim)``.

    Raises:
        InputError: inside ``jax.shard_map`` without ``check_vma=False``, and of data whose types name axes of a mesh.
    """
    require(
        isinstance(posterior, Posterior),
        "jl.run(posterior, ...)",
        got=posterior,
        expected="a posterior of one dataset",
        remedy="give jl.condition(model, data), or a posterior of jl.from_numpyro, jl.from_pymc or jl.from_log_density.",
    )
    with _explained(), tracing_for(posterior, key, init):
        return _run(posterior, engine, key, init)


@contextmanager
def _explained() -> Iterator[None]:
    """A context in which the types of the caller's arrays that loops cannot hold are an error that says what to do.

    Loops begin with constants, which are the same on all devices, where their results are not; those of a user's density as well as ours.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if "manual axis types do not match" in str(error):
            raise InputError(
                "jl.run inside jax.shard_map",
                got="check_vma=True, JAX's default, which the loops of engines and densities do not pass",
                expected="check_vma=False",
                remedy="call jax.shard_map(..., check_vma=False): datasets are independent, so there is nothing for it to check.",
            ) from None
        if "Resource axis" in str(error) and "not found in mesh" in str(error):
            raise InputError(
                "jl.run of sharded data",
                got="data on a mesh with explicit axes, the default of jax.make_mesh",
                expected="axes that the compiler shards, or jax.shard_map",
                remedy="give jax.make_mesh(..., axis_types=(jax.sharding.AxisType.Auto,)), "
                "or call jl.run inside jax.shard_map(..., check_vma=False).",
            ) from None
        raise


def _run(posterior: Posterior, engine: Engine, key: Key, init: Array | None) -> Run:
    stages = engine.schedule(segment=250)
    capacity = max(stage.steps for stage in stages)
    keys = streams(as_key(key, "run"), np.arange(1), engine.lanes)
    batched = jax.tree.map(lambda x: jnp.asarray(x)[None], posterior)
    if init is None:
        init = map_lanes(initial_position, batched, (keys.start,))[0][0]

    def row(session: Session, stage: Stage) -> tuple[Session, Emitted]:
        wanted = jnp.full((1, engine.lanes), stage.steps)
        session, emitted = advance(engine, batched, session, stage, wanted, capacity)
        pooled = pool(engine, engine.lanes, session, emitted, stage)
        return select(jnp.asarray(stage.keep, bool), session, pooled), emitted

    # As in `fit`, whatever the precision: the session counts in 32 bits.
    rows = Stage(*cast(Any, [jnp.asarray(column, jnp.int32) for column in zip(*stages, strict=True)]))
    session, emitted = jax.lax.scan(row, begin(engine, batched, keys, init[None]), rows)
    kept = [i for i, stage in enumerate(stages) if stage.keep]
    valid = jnp.concatenate(
        [jnp.arange(stages[i].steps, dtype=jnp.int32) < emitted.counts[i, 0, :, None] for i in kept], 1
    )
    joined = jax.tree.map(lambda x: jnp.concatenate([x[i, 0, :, : stages[i].steps] for i in kept], 1), emitted.records)
    last = map_lanes(engine.finish, batched, (session.last_keys, session.states))
    final = jax.tree.map(lambda x: x[0], last)
    records = blank(engine.outputs(joined), valid)
    positions = final.outputs.positions if records.positions is None else records.positions
    constrain = jax.vmap(posterior.constrain)
    params = final.outputs.params
    if params is None:
        params = (jax.vmap(constrain) if positions.ndim == 3 else constrain)(positions)
    statistics = {**records.statistics, **final.outputs.statistics}
    # A `Run` does not hold the trace of an optimisation.
    statistics.pop("objective", None)
    return Run(params, positions, statistics, final.objective, final.status)
