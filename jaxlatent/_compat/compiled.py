"""`compiled`: `jax.jit` with the workarounds of the platform, for all functions that call a model."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from jaxlatent._compat.compiling import jit
from jaxlatent._compat.tracing import tracing_for, tracing_platform

Result = TypeVar("Result")


def compiled(
    *static: str, quick: bool | None = None, donate: tuple[str, ...] = ()
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Decorate a function with `jax.jit` for the platform of the devices in use, with the workarounds that it needs.

    Args:
        static: names of static arguments.
        quick: on a CPU, with an XLA that has the option, whether to compile in two thirds of the time to code of half the speed (or less,
            for exponentials), which pays for programs that run once. None sets no compiler options, which JAX rejects inside a trace.
        donate: names of donated arguments.
    """

    def decorate(fn: Callable[..., Result]) -> Callable[..., Result]:
        @cache
        def program(platform: str | None) -> Any:
            return jit(fn, static, donate, quick)

        @wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Result:
            with tracing_for(args, kwargs):
                result: Result = program(tracing_platform())(*args, **kwargs)
                return result

        return call

    return decorate
