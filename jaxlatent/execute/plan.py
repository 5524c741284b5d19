"""`plan`: how much memory a fit takes, and in which parts its datasets are fitted, before anything runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, require
from jaxlatent.execute.buckets import by_shape
from jaxlatent.execute.conditioning import conditioned_for
from jaxlatent.execute.devices import free_memory, own_devices
from jaxlatent.execute.memory import as_bytes, device_bytes, kept_bytes, roughly, words
from jaxlatent.model.model import Model
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Data

#: Share of the free memory above which it is worth asking the compiler how much a fit takes.
_CLOSE = 0.25


@dataclass(frozen=True)
class Plan:
    """What a fit takes.

    Attributes:
        datasets, lanes: in all, and for each dataset.
        parts: indices of the datasets that are fitted together, one part after the other.
        device_bytes: most of a device at a time, by one part: data, states, records of a segment, work arrays of the compiled program.
        free_bytes: of that device.
        draws_bytes: of everything that is kept of all datasets: on the host, or with ``store=`` on the disk.
    """

    datasets: int
    lanes: int
    parts: tuple[tuple[int, ...], ...]
    device_bytes: int
    free_bytes: int
    draws_bytes: int

    @property
    def groups(self) -> int:
        """The number of parts."""
        return len(self.parts)

    def __str__(self) -> str:
        sizes = ", ".join(str(len(part)) for part in self.parts[:8]) + (", ..." if self.groups > 8 else "")
        groups = "at once" if self.groups == 1 else f"in {self.groups} groups ({sizes} datasets), one after the other"
        return "\n".join(
            (
                f"{self.datasets} x {self.lanes} lanes {groups}",
                f"each device     {words(self.device_bytes)} of {words(self.free_bytes)} free",
                f"draws           {words(self.draws_bytes)} on the host, or in the store with those of a segment on the host",
            )
        )

    __repr__ = __str__


def plan(
    model: Model | Posterior,
    data: Data | Batch | None,
    engine: Engine,
    *,
    devices: Sequence[jax.Device] | None = None,
    memory: int | float | str | None = None,
    segment: int = 250,
) -> Plan:
    """How much memory `jaxlatent.fit` would take with the same arguments, and which datasets it would fit together, before anything runs.

    It compiles the programs of the start, a segment and the end, and asks the compiler; nothing is allocated. A single dataset is never
    split.

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
    each = free // (len(devices) if devices[0].platform == "cpu" and memory is None else 1)
    parts, most = [], 0
    for bucket in by_shape(given, engine, devices, segment):
        part = given if given.names is None else given.some(bucket)
        groups, needed = _groups(part, engine, devices, each, segment, len(bucket))
        most = max(most, needed)
        parts += np.array_split(bucket, groups)
    datasets = sum(map(len, parts))
    kept = kept_bytes(given, engine, segment) * datasets * engine.lanes
    return Plan(datasets, engine.lanes, tuple(tuple(part.tolist()) for part in parts), most, each, kept)


def parts_for(
    given: Posterior,
    engine: Engine,
    devices: Sequence[jax.Device] | None,
    memory: int | float | str | None,
    segment: int,
    stored: bool,
) -> list[np.ndarray]:
    """The parts of a plan; nothing is compiled for it where everything fits by far.

    Raises:
        InputError: as `plan`, and where the draws do not fit into the memory of the host, unless they are ``stored``.
    """
    used = own_devices(jax.local_devices() if devices is None else devices)
    held, kept = roughly(given, engine, segment)
    host = free_memory(jax.local_devices(backend="cpu")[0])
    if not stored and kept > host * _CLOSE:
        datasets = 1 if given.names is None else len(given.names)
        kept = kept_bytes(given, engine, segment) * datasets * engine.lanes
        require(
            kept < host,
            "fit(...)",
            got=f"{words(kept)} of draws, {words(host)} of free memory",
            expected="draws that fit into the memory of the host",
            remedy="keep them on the disk with store=path, or make fewer.",
        )
    if memory is None and held < free_memory(used[0]) * _CLOSE:
        return by_shape(given, engine, used, segment)
    return [np.array(part) for part in plan_for(given, engine, devices, memory, segment).parts]


def _groups(
    given: Posterior, engine: Engine, devices: Sequence[jax.Device], free: int, segment: int, datasets: int
) -> tuple[int, int]:
    """The number of groups of datasets of one shape that each fit into ``free`` bytes, and what one takes."""
    groups, needed = 1, 0
    while groups <= datasets:
        needed = device_bytes(given, engine, devices, segment, -(-datasets // groups))
        if needed <= free:
            return groups, needed
        # Roughly in proportion; at least one group more.
        more = max(groups + 1, min(datasets, math.ceil(groups * needed / free)))
        groups = more if groups < datasets else datasets + 1
    raise InputError(
        "memory",
        got=f"{words(free)} for each device",
        expected=f"at least {words(needed)}, which one dataset takes by {type(engine).__name__} with {engine.lanes} lanes",
        remedy="use fewer lanes, a shorter segment, minibatches, or a larger device.",
    )
