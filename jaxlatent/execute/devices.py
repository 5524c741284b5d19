"""The CPU cores of the machine as JAX devices, and the devices of this process."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxlatent.errors import InputError

#: Seconds of computing after which a fit says that cores are idle.
_LONG = 10.0


def cpu_cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_cpu_cores(count: int | None = None) -> None:
    """Make each CPU core a JAX device, so that lanes run in parallel. Call it before any JAX computation.

    Args:
        count: number of devices; by default all cores that this process may use.

    Raises:
        InputError: if JAX is already running with another number of devices.
    """
    count = count or cpu_cores()
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        if jax.local_device_count("cpu") != count:
            raise InputError(
                f"use_cpu_cores({count})",
                got=f"JAX already running with {jax.local_device_count('cpu')} CPU device(s)",
                expected="a call before the first JAX computation of the process",
                remedy="move it to the top of the program, right after the imports.",
            ) from None


def idle_cores(devices: Sequence[Any], lanes: int, seconds: float) -> str | None:
    """What to say after a long fit of several lanes on one core of many.

    Args:
        devices: that the fit used.
        lanes: of all datasets.
        seconds: that it computed.
    """
    alone = devices[0].platform == "cpu" and jax.local_device_count("cpu") == 1
    if not alone or lanes == 1 or seconds < _LONG or cpu_cores() == 1:
        return None
    return (
        f"the {lanes} lanes of this fit shared one JAX device, which mostly computes on one of the {cpu_cores()} cores. With "
        "jl.use_cpu_cores() at the top of the program, before the first computation of JAX, lanes run on all of them."
    )


def free_memory(device: Any) -> int:
    """Bytes that are free on a device; of a CPU, what the machine and the control group of the process have left."""
    statistics = device.memory_stats() if device.platform != "cpu" else None
    if statistics and "bytes_limit" in statistics:
        return int(statistics["bytes_limit"] - statistics["bytes_in_use"])
    return min(_available(), _allowed())


def _available() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _allowed() -> int:
    group = Path("/sys/fs/cgroup")
    try:
        most, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return int(most) - int(used)
    except (OSError, ValueError):  # no control group, or "max"
        return sys.maxsize


def own_devices(devices: Sequence[Any]) -> list[Any]:
    """The devices that this process can address."""
    return [device for device in devices if device.process_index == jax.process_index()]
