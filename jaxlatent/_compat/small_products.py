"""Abort of XLA in small batched matrix products on a CPU.

- Versions: jaxlib 0.10.
- Upstream: jax-ml/jax#801 is an earlier case of the same check; none known for this one. The algebraic simplifier turns
  ``transpose(dot(a, b))`` into ``dot(b, a)``. If it does so only after layout assignment, the product keeps the layout of the transpose,
  but the emitter of batched products of two to five rows and columns accepts only the canonical one.
- Gain: no abort. `jax.vmap` leaves the mapped axis of ``matrix @ vector`` last and transposes it at each use. A single transpose is
  always simplified in time; of several, as with a derived quantity that is returned twice, those merged late are not. Here the axis is
  moved to the front at once, by one transpose that all uses share.
"""

from typing import Any

import jax.numpy as jnp
from jax.lax import dot_general_p

from jaxlatent._compat.rules import Rule, within_jaxlatent
from jaxlatent._compat.versions import FORMER_XLA


def _leading(usual: Rule) -> Rule:
    """The usual rule with the mapped axis moved to the front."""

    def rule(*arguments: Any, **settings: Any) -> tuple[Any, Any]:
        product, axis = usual(*arguments, **settings)
        return (product, axis) if axis is None else (jnp.moveaxis(product, axis, 0), 0)

    return rule


if FORMER_XLA:
    within_jaxlatent(dot_general_p, _leading)
