"""The CPU cores of the machine as JAX devices, and the devices of this process."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxlatent.errors import InputError


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
