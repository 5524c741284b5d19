"""The CPU cores of the machine as JAX devices, and the devices of this process."""

import os
from collections.abc import Sequence
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


def own_devices(devices: Sequence[Any]) -> list[Any]:
    """The devices that this process can address."""
    return [device for device in devices if device.process_index == jax.process_index()]
