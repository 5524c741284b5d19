"""Products of one matrix with a few vectors, along its rows, on a CPU.

- Versions: all; measured with jaxlib 0.10.
- Upstream: none known. XLA packs the matrix anew for every product that sums along its rows, as ``x @ slopes`` does.
- Gain: with a transposed copy, made once before a loop, a product of 2000 × 20 with two vectors takes 3.6 µs instead of 9 µs, with four 7
  instead of 13, with sixteen 37 instead of 45. One vector gains nothing.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax.lax import dot_general_p

from jaxlatent._compat.rules import Rule, within_jaxlatent
from jaxlatent._compat.tracing import tracing_platform

_NO_BATCH = ((), ())


def _transposing(usual: Rule) -> Rule:
    """The usual rule, for a transposed copy of a matrix that all entries of the mapped axis share."""

    def rule(axis_data: Any, arguments: Sequence[Any], axes: Sequence[Any], **settings: Any) -> tuple[Any, Any]:
        summed, batch = settings["dimension_numbers"]
        for matrix, vector in ((0, 1), (1, 0)):
            shared = axes[matrix] is None and arguments[matrix].ndim == 2 and summed[matrix] == (1,)
            single = axes[vector] is not None and arguments[vector].ndim == 2 and summed[vector] == (0,)
            if shared and single and batch == _NO_BATCH and axis_data.size > 1 and tracing_platform() == "cpu":
                # The barrier keeps XLA from undoing the transpose.
                copy = jax.lax.optimization_barrier(arguments[matrix].T)
                settings["dimension_numbers"] = (((0,), (0,)), _NO_BATCH)
                return usual(axis_data, (arguments[vector], copy), (axes[vector], None), **settings)
        return usual(axis_data, arguments, axes, **settings)

    return rule


within_jaxlatent(dot_general_p, _transposing)
