"""`compiled`: `jax.jit` for whatever calls a model, with the compiler options of the platform."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import jax

from jaxlatent._compat.fusion_emitters import QUICK
from jaxlatent._compat.tracing import tracing_for, tracing_platform
from jaxlatent._compat.ynnpack import products_only


def compiled(
    *static: str, quick: bool | None = None, donate: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], Any]:
    """`jax.jit`, for the platform of the devices in use and with the workarounds that it needs (`jaxlatent._compat`).

    Args:
        static: names of static arguments.
        quick: on a CPU, and where XLA has the choice, whether to compile in two thirds of the time to code of half the speed, or less
            where all is exponentials: right for what runs once. None: no choice is made, as JAX takes none where it is already tracing.
        donate: names of arguments whose buffers the program may use for its results.
    """

    def decorate(fn: Callable[..., Any]) -> Any:
        @cache
        def program(platform: str) -> Any:
            on_cpu = quick is not None and platform == "cpu"
            options = (QUICK if quick else {}) | products_only() if on_cpu else None
            return jax.jit(fn, static_argnames=static, donate_argnames=donate, compiler_options=options)

        @wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            with tracing_for(args, kwargs):
                return program(tracing_platform())(*args, **kwargs)

        return call

    return decorate
