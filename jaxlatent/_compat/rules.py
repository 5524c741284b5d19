"""Batching rules of JAX's primitives that hold only where jaxlatent traces."""

from collections.abc import Callable, Sequence
from typing import Any

from jax.interpreters import batching

from jaxlatent._compat.tracing import tracing_platform

#: ``(axis_data, arguments, axes, **settings)``, as JAX calls it.
Rule = Callable[..., tuple[Any, Any]]


def within_jaxlatent(primitive: Any, make: Callable[[Rule], Rule]) -> None:
    """Give a primitive the rule ``make(usual)`` where jaxlatent traces; everywhere else the usual one holds.

    Set once, when the package is imported: what changes from thread to thread is the context, never the table of rules.
    """
    usual = batching.fancy_primitive_batchers[primitive]
    own = make(usual)

    def rule(axis_data: Any, arguments: Sequence[Any], axes: Sequence[Any], **settings: Any) -> tuple[Any, Any]:
        return (own if tracing_platform() else usual)(axis_data, arguments, axes, **settings)

    batching.fancy_primitive_batchers[primitive] = rule
