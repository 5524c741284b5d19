"""Batching rules of JAX primitives that apply only inside jaxlatent's traces."""

from collections.abc import Callable, Sequence
from typing import Any

from jax.interpreters import batching

from jaxlatent._compat.tracing import tracing_platform

#: ``(axis_data, arguments, axes, **settings)``, as JAX calls it.
Rule = Callable[..., tuple[Any, Any]]


def within_jaxlatent(primitive: Any, make: Callable[[Rule], Rule]) -> None:
    """Give a primitive the batching rule ``make(usual)`` inside jaxlatent's traces, and the usual one elsewhere.

    Installed once, at import; only the tracing context differs between threads.
    """
    usual = batching.fancy_primitive_batchers[primitive]
    own = make(usual)

    def rule(axis_data: Any, arguments: Sequence[Any], axes: Sequence[Any], **settings: Any) -> tuple[Any, Any]:
        return (own if tracing_platform() else usual)(axis_data, arguments, axes, **settings)

    batching.fancy_primitive_batchers[primitive] = rule
