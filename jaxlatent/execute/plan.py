"""`plan`: how much memory a fit needs, and in how many groups its datasets fit into what there is, before anything runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import Batch
from jaxlatent.engines.base import Engine, Outputs, Stage
from jaxlatent.errors import InputError
from jaxlatent.execute import programs
from jaxlatent.execute.conditioning import conditioned_for
from jaxlatent.execute.devices import free_memory, own_devices
from jaxlatent.execute.grid import make_grid
from jaxlatent.execute.padding import pad_rows
from jaxlatent.execute.session import LEADS, Session, begin
from jaxlatent.keys import streams
from jaxlatent.model.model import Model
from jaxlatent.posterior.guides import find_guides
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Data, Key, PyTree

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Plan:
    """What a fit takes.

    Attributes:
        datasets, lanes: in all, and for each dataset.
        groups: in which the datasets are fitted one after the other.
        device_bytes: most of a device at a time, by one group: data, states, records of a segment, work arrays of the compiled program.
        free_bytes: of that device.
        draws_bytes: of everything that is kept of all datasets: on the host, or with ``store=`` on the disk.
    """

    datasets: int
    lanes: int
    groups: int
    device_bytes: int
    free_bytes: int
    draws_bytes: int

    def __str__(self) -> str:
        groups = "at once" if self.groups == 1 else f"in {self.groups} groups, one after the other"
        return "\n".join(
            (
                f"{self.datasets} x {self.lanes} lanes {groups}",
                f"each device     {words(self.device_bytes)} of {words(self.free_bytes)} free",
                f"draws           {words(self.draws_bytes)} on the host, or in the store with those of a segment on the host",
            )
        )


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
        remedy="change this setting.",
    )


def plan(
    model: Model | Posterior,
    data: Data | Batch | None,
    engine: Engine,
    *,
    devices: Sequence[jax.Device] | None = None,
    memory: int | float | str | None = None,
    segment: int = 250,
) -> Plan:
    """How much memory `jaxlatent.fit` would take with the same arguments, before anything runs.

    It compiles the program of a segment and asks the compiler; nothing is allocated. A single dataset is never split.

    Args:
        model, data, engine, devices, segment: see `jaxlatent.fit`.
        memory: of each device, in bytes or as in "8GiB"; what is free by default.

    Raises:
        InputError: as `jaxlatent.fit`, and where even one dataset does not fit.
    """
    given, _ = conditioned_for(model, data, {}, wanted=False)
    return plan_for(given, engine, devices, memory, segment)


def plan_for(
    given: Posterior,
    engine: Engine,
    devices: Sequence[jax.Device] | None,
    memory: int | float | str | None,
    segment: int,
) -> Plan:
    """Like `plan`, of a posterior whose data have been checked."""
    devices = own_devices(jax.local_devices() if devices is None else devices)
    free = free_memory(devices[0]) if memory is None else as_bytes(memory)
    # The devices of a CPU share its memory.
    shared = len(devices) if devices[0].platform == "cpu" and memory is None else 1
    datasets = 1 if given.names is None else len(given.names)
    kept = _kept_bytes(given, engine, segment) * datasets * engine.lanes
    groups, needed = 1, 0
    while groups <= datasets:
        needed = _device_bytes(given, engine, devices, segment, -(-datasets // groups))
        if needed * shared <= free:
            return Plan(datasets, engine.lanes, groups, needed, free // shared, kept)
        # Roughly in proportion; at least one group more.
        groups = (
            max(groups + 1, min(datasets, math.ceil(groups * needed * shared / free)))
            if groups < datasets
            else datasets + 1
        )
    raise InputError(
        "memory",
        got=f"{words(free // shared)} for each device",
        expected=f"at least {words(needed)}, which one dataset takes by {type(engine).__name__} with {engine.lanes} lanes",
        remedy="use fewer lanes, a shorter segment, minibatches, or a larger device.",
    )


def _device_bytes(given: Posterior, engine: Engine, devices: Sequence[Any], segment: int, datasets: int) -> int:
    """The most that a device holds at a time, with so many of the datasets."""
    one = given.nameless if given.names is None else given.one(0)
    first: Posterior = jax.tree.map(lambda x: x[None], one)
    padded = first if engine.by_rows else pad_rows(first)
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
    keys = jax.eval_shape(lambda key: streams(key, *grid.filled), jax.random.key(0))
    positions = jax.ShapeDtypeStruct((*grid.filled, given.dim), jnp.result_type(float))
    session = jax.eval_shape(partial(begin, key), posterior, keys, positions)
    parts = (abstract(part, leads) for part, leads in zip(session, LEADS, strict=True))
    stage = Stage(*cast(Any, (np.int32(value) for value in stages[-1])))
    wanted = abstract(jax.ShapeDtypeStruct(grid.filled, jnp.int32), 2)
    return programs.advance_bytes(grid, key, capacity, posterior, Session(*parts), stage, wanted, np.int32(0))


def _kept_bytes(given: Posterior, engine: Engine, segment: int) -> int:
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
