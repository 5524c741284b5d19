"""`jax.jit` with the compiler options of the platform."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxlatent._compat.fusion_emitters import QUICK
from jaxlatent._compat.tracing import tracing_platform
from jaxlatent._compat.ynnpack import products_only


def jit(fn: Callable[..., Any], static: Sequence[str], donate: Sequence[str], quick: bool | None) -> Any:
    """``jax.jit(fn)`` for the platform of the current trace; see `jaxlatent._compat.compiled` for ``quick``."""
    on_cpu = quick is not None and tracing_platform() == "cpu"
    options = (QUICK if quick else {}) | products_only() if on_cpu else None
    return jax.jit(fn, static_argnames=static, donate_argnames=donate, compiler_options=options)
