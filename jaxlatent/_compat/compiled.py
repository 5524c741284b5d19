"""`compiled`: `jax.jit` for all functions that call a model, with the workarounds and compiler options of the platform."""

import math
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

import jax

from jaxlatent._compat.fusion_emitters import QUICK
from jaxlatent._compat.tracing import tracing_for, tracing_platform
from jaxlatent._compat.ynnpack import products_only

Result = TypeVar("Result")

_UNOPTIMISED = {"xla_backend_optimization_level": 0}


def compiled(
    *static: str, quick: bool | None = None, brief: int = 0, donate: tuple[str, ...] = ()
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Decorate a function with `jax.jit` for the platform of the devices in use, with the workarounds that it needs.

    Args:
        static: names of static arguments.
        quick: on a CPU, with an XLA that has the option, whether to compile in two thirds of the time to code of half the speed (or less,
            for exponentials), which pays for programs that run once. None sets no compiler options, which JAX rejects inside a trace.
        brief: on a CPU, bytes of the arguments up to which the code is not optimised: it compiles in a quarter of the time, and runs for
            three to six times as long.
        donate: names of donated arguments.
    """

    def decorate(fn: Callable[..., Result]) -> Callable[..., Result]:
        @cache
        def program(platform: str | None, small: bool) -> Any:
            on_cpu = quick is not None and platform == "cpu"
            options = (QUICK if quick else {}) | products_only() | (_UNOPTIMISED if small else {}) if on_cpu else None
            return jax.jit(fn, static_argnames=static, donate_argnames=donate, compiler_options=options)

        def chosen(*arguments: Any) -> Any:
            return program(tracing_platform(), brief > 0 and _bytes(arguments) <= brief)

        @wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Result:
            with tracing_for(args, kwargs):
                result: Result = chosen(args, kwargs)(*args, **kwargs)
                return result

        def lower(*args: Any, **kwargs: Any) -> Any:
            with tracing_for(args, kwargs):
                return chosen(args, kwargs).lower(*args, **kwargs)

        # As of `jax.jit`, with `jax.ShapeDtypeStruct` in the place of arrays.
        call.lower = lower  # type: ignore[attr-defined]
        return call

    return decorate


def _bytes(arguments: Any) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(arguments) if hasattr(x, "dtype"))
