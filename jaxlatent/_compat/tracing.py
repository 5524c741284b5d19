"""For which platform a program is traced, and that it is traced by jaxlatent at all.

The platform is that of the devices in use, kept in a context of JAX's own (`jax.make_user_context`): it belongs to the thread, and it
is part of the keys under which JAX remembers traces, so that none is used where another platform, or nothing of ours, is meant.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
from jax.sharding import Mesh

_UNKNOWN = "unknown"
_PLATFORM: Any = jax.make_user_context(None)


def tracing_for(*arguments: Any) -> AbstractContextManager[None]:
    """Inside, what is traced is meant for the platform of ``arguments``, and the workarounds that concern tracing hold."""
    context: AbstractContextManager[None] = _PLATFORM(_platform_of(arguments))
    return context


def tracing_platform() -> str | None:
    """The platform inside `tracing_for`, "unknown" if that is inside somebody else's trace; None outside."""
    platform: str | None = _PLATFORM.value
    return platform


def probably_on_cpu() -> bool:
    """Whether the program being traced is for CPUs; JAX's default decides where only the compiler will know."""
    return (_default() if _PLATFORM.value in (None, _UNKNOWN) else _PLATFORM.value) == "cpu"


def on_cpu(this: Callable[..., Any], otherwise: Callable[..., Any], *arguments: Any) -> Any:
    """``this(*arguments)`` if the program is for CPUs; the compiler decides where the trace cannot know."""
    if _PLATFORM.value in (None, _UNKNOWN):
        return jax.lax.platform_dependent(*arguments, cpu=this, default=otherwise)
    return (this if _PLATFORM.value == "cpu" else otherwise)(*arguments)


def _platform_of(arguments: Any) -> str:
    """The platform of a mesh or of arrays that are bound to devices, else what is known already, else JAX's default."""
    platform: str
    known: str = _PLATFORM.value or _default()
    for leaf in jax.tree.leaves(arguments):
        if isinstance(leaf, Mesh):
            platform = leaf.devices.flat[0].platform
            return platform
        if isinstance(leaf, jax.core.Tracer):
            known = _PLATFORM.value or _UNKNOWN
        elif isinstance(leaf, jax.Array) and leaf.committed:
            platform = next(iter(leaf.devices())).platform
            return platform
    return known


def _default() -> str:
    device: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform
