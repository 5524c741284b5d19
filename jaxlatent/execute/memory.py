"""How much memory a fit takes, on its devices and on the host."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.tracing import tracing_for
from jaxlatent.engines.base import Engine, Outputs, Stage
from jaxlatent.errors import InputError
from jaxlatent.execute import programs
from jaxlatent.execute.grid import make_grid
from jaxlatent.execute.padding import pad_rows
from jaxlatent.execute.session import LEADS, Session, begin
from jaxlatent.keys import Streams, streams
from jaxlatent.posterior.guides import find_guides
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, PyTree

#: Rough sizes: numbers of statistics in a record, of positions in a state, and of work arrays as large as the data.
_STATISTICS, _STATES, _WORK = 16, 64, 16
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def words(count: float) -> str:
    """A number of bytes, as in "3.2 GiB"."""
    power = min(int(math.log(max(count, 1), 1024)), len(_UNITS) - 1)
    return f"{count / 1024**power:.{0 if power == 0 else 1}f} {_UNITS[power]}"


def as_bytes(memory: int | float | str) -> int:
    """A number of bytes from a number, or from a text such as "8GiB" or "500 MB"."""
    if isinstance(memory, int | float) and not isinstance(memory, bool) and memory > 0:
        return int(memory)
    text = str(memory).strip()
    for unit, size in {
        f"{p}{i}B": (1024 if i else 1000) ** k for k, p in enumerate(("", "K", "M", "G", "T")) for i in ("", "i")
    }.items():
        number = text[: -len(unit)].strip()
        if text.upper().endswith(unit.upper()) and number.replace(".", "", 1).isdigit() and float(number) > 0:
            return int(float(number) * size)
    raise InputError(
        "memory",
        got=repr(memory),
        expected='bytes as a number or a text, such as "8GiB"',
        remedy='write the unit after the number, as in "500 MB"; or leave it out, for what is free.',
    )


def device_bytes(given: Posterior, engine: Engine, devices: Sequence[Any], segment: int, datasets: int) -> int:
    """The most that a device holds at a time, with so many of the datasets, by the compiler."""
    padded = given.nameless if given.names is not None else jax.tree.map(lambda x: x[None], given.nameless)
    padded = padded if engine.by_rows else pad_rows(padded)
    padded = jax.tree.map(lambda x: x[:1], padded)
    if isinstance(padded.density, ModelDensity):
        padded = Posterior(padded.density, padded.data, find_guides(padded, batched=True))
    grid = make_grid(datasets, engine.lanes, devices, whole=engine.crosses)
    stages, key = engine.schedule(segment), engine.compile_key()
    capacity = max(stage.steps for stage in stages)

    def abstract(tree: PyTree, leading: int, shape: tuple[int, ...] = ()) -> PyTree:
        sharding = jax.sharding.NamedSharding(grid.mesh, grid.spec(leading))
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((*shape, *x.shape[len(shape) :]), x.dtype, sharding=sharding), tree
        )

    posterior = abstract(padded, 1, grid.filled[:1])
    keys = jax.eval_shape(lambda key: streams(key, np.arange(grid.filled[0]), grid.filled[1]), jax.random.key(0))
    positions = jax.ShapeDtypeStruct((*grid.filled, given.dim), jnp.result_type(float))
    session = jax.eval_shape(partial(begin, key), posterior, keys, positions)
    parts = (abstract(part, leads) for part, leads in zip(session, LEADS, strict=True))
    stage = Stage(*cast(Any, (np.int32(value) for value in stages[-1])))
    wanted = abstract(jax.ShapeDtypeStruct(grid.filled, jnp.int32), 2)
    streams_of = Streams(*(abstract(part, 1 if i == 0 else 2) for i, part in enumerate(keys)))
    return programs.most_bytes(grid, key, capacity, posterior, streams_of, Session(*parts), stage, wanted, np.int32(0))


def roughly(given: Posterior, engine: Engine, segment: int) -> tuple[int, int]:
    """About how many bytes a fit takes on its devices, rather too many, and how many its draws; without tracing anything."""
    datasets = 1 if given.names is None else len(given.names)
    stages = engine.schedule(segment)
    data = sum(x.nbytes for x in jax.tree.leaves(given.data))
    width = 8 * (given.dim + _STATISTICS)
    held = _WORK * data + datasets * width * (max(stage.steps for stage in stages) + _STATES)
    kept = datasets * 2 * width * sum(stage.steps for stage in stages if stage.keep)
    return held * engine.lanes, kept * engine.lanes if engine.kind == "chains" else 0


def kept_bytes(given: Posterior, engine: Engine, segment: int) -> int:
    """Bytes that a result keeps of a lane: named values and positions of draws or of a point, statistics, the history of an objective."""
    one = given.nameless if given.names is None else given.one(0)
    rows = sum(stage.steps for stage in engine.schedule(segment) if stage.keep)
    stage = engine.schedule(segment)[-1]

    def walk(posterior: Posterior, key: Key, position: Array) -> tuple[PyTree, Outputs, Outputs]:
        params = posterior.constrain(position)
        named = params, posterior.density.derived(params, posterior.data)
        shared = engine.shared(posterior, key)
        state, record, _ = engine.step(posterior, key, engine.init(posterior, key, position, shared), shared, stage)
        return named, engine.outputs(record), engine.finish(posterior, key, state).outputs

    with tracing_for():
        named, records, last = jax.eval_shape(walk, one, jax.random.key(0), jnp.zeros(one.dim))
    draws = rows if records.positions is not None else last.positions.shape[0] if last.positions.ndim == 2 else 1
    return rows * _size(records) + _size(last._replace(params=None)) + draws * _size(named)


def _size(tree: PyTree) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))
