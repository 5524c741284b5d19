"""The context of jaxlatent's traces, which holds the platform that a program is traced for, and multiplies in full precision.

JAX's default on the GPUs of NVIDIA and on TPUs multiplies float32 matrices with 10 or 7 bits of mantissa, which log densities and the
promise of a status do not bear. A precision that the user has set, `jax_default_matmul_precision`, stays.

The platform is a user context of JAX (`jax.make_user_context`): local to the thread, and part of the cache keys of traces, so that a trace
for one platform is not reused for another, nor outside jaxlatent.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
from jax.sharding import Mesh

_UNKNOWN = "unknown"
_PLATFORM: Any = jax.make_user_context(None)


@contextmanager
def tracing_for(*arguments: Any) -> Iterator[None]:
    """A context for tracing on the platform of ``arguments``, with the workarounds of tracing."""
    chosen: str | None = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    with _PLATFORM(_platform_of(arguments)), jax.default_matmul_precision(chosen or "float32"):
        yield


def tracing_platform() -> str | None:
    """The platform inside `tracing_for`, "unknown" if that is inside an outer trace; None outside."""
    platform: str | None = _PLATFORM.value
    return platform


def probably_on_cpu() -> bool:
    """Whether the program being traced is for CPUs; if unknown, whether JAX's default device is a CPU."""
    return (_default() if _PLATFORM.value in (None, _UNKNOWN) else _PLATFORM.value) == "cpu"


def on_cpu(this: Callable[..., Any], otherwise: Callable[..., Any], *arguments: Any) -> Any:
    """``this(*arguments)`` on CPUs, else ``otherwise(*arguments)``; if unknown in the trace, the compiler decides."""
    if _PLATFORM.value in (None, _UNKNOWN):
        return jax.lax.platform_dependent(*arguments, cpu=this, default=otherwise)
    return (this if _PLATFORM.value == "cpu" else otherwise)(*arguments)


def _platform_of(arguments: Any) -> str:
    """The platform of a mesh or of committed arrays, else of the current context, else JAX's default."""
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
