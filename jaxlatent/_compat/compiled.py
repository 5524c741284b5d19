"""`compiled`: `jax.jit` for whatever calls a model."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from jaxlatent._compat.compiling import jit
from jaxlatent._compat.tracing import tracing_for, tracing_platform

Result = TypeVar("Result")


def compiled(
    *static: str, quick: bool | None = None, donate: tuple[str, ...] = ()
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """`jax.jit`, for the platform of the devices in use and with the workarounds that it needs (`jaxlatent._compat`).

    Args:
        static: names of static arguments.
        quick: on a CPU, and where XLA has the choice, whether to compile in two thirds of the time to code of half the speed, or less
            where all is exponentials: right for what runs once. None: no choice is made, as JAX takes none where it is already tracing.
        donate: names of arguments whose buffers the program may use for its results.
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
