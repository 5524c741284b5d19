"""`compiled`: `jax.jit` for all functions that call a model, with the workarounds and compiler options of the platform."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

import jax

from jaxlatent._compat.fusion_emitters import QUICK
from jaxlatent._compat.tracing import tracing_for, tracing_platform
from jaxlatent._compat.ynnpack import products_only

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
            on_cpu = quick is not None and platform == "cpu"
            options = (QUICK if quick else {}) | products_only() if on_cpu else None
            return jax.jit(fn, static_argnames=static, donate_argnames=donate, compiler_options=options)

        @wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Result:
            with tracing_for(args, kwargs):
                result: Result = program(tracing_platform())(*args, **kwargs)
                return result

        def lower(*args: Any, **kwargs: Any) -> Any:
            with tracing_for(args, kwargs):
                return program(tracing_platform()).lower(*args, **kwargs)

        # As of `jax.jit`, with `jax.ShapeDtypeStruct` in the place of arrays.
        call.lower = lower  # type: ignore[attr-defined]
        return call

    return decorate
