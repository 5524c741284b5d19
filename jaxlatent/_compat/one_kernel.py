"""Compilation of a loop to a single kernel on a CPU.

- Versions: jaxlib 0.10; that of 0.12 merges kernels by itself.
- Upstream: jax-ml/jax#26021, jax-ml/jax#26145. XLA runs every fusion of a loop body as a separate kernel, about fifteen per step of a
  hidden Markov chain, except for loops that touch less than a kilobyte per step; here its mark for such loops is set on others.
- Gain: the forward messages of 20 sequences of 1,000 steps take 0.3 ms instead of 0.9 ms with 8 states and 0.75 ms with 3.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.experimental.xla_metadata import set_xla_metadata

from jaxlatent._compat.tracing import on_cpu
from jaxlatent._compat.versions import FORMER_XLA

Loop = TypeVar("Loop", bound=Callable[..., Any])


def one_kernel(loop: Loop) -> Loop:
    """Compile ``loop`` to one kernel on a CPU; it must consist of scans of elementwise operations that use all arguments."""
    if not FORMER_XLA:
        return loop

    def unmarked(*args: Any) -> Any:
        # Nested calls must not inherit the mark.
        with set_xla_metadata(inlineable="true", xla_cpu_small_call="false"):
            return loop(*args)

    program = jax.jit(unmarked)

    # Differentiate the unmarked loop: its transpose has sums that XLA does not support within such a kernel.
    @jax.custom_jvp
    def marked(*args: Any) -> Any:
        # XLA aborts if a constant argument is optimised away.
        args = jax.lax.optimization_barrier(args)
        with set_xla_metadata(inlineable="false", xla_cpu_small_call="true"):
            return program(*args)

    marked.defjvp(lambda primals, tangents: jax.jvp(loop, primals, tangents))
    return lambda *args: on_cpu(marked, loop, *args)  # type: ignore[return-value]
