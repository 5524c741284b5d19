"""Small batched products: XLA aborts the process.

- Versions: jaxlib 0.10.
- Upstream: jax-ml/jax#801 is an earlier case of the same check; none known of this one. Of ``transpose(dot(a, b))`` the algebraic
  simplifier makes ``dot(b, a)``. Where it comes to that only after layouts are assigned, the product keeps the layout of the transpose,
  and the emitter of batched products of two to five rows and columns accepts none but the canonical.
- Gain: the process lives. `jax.vmap` leaves the mapped axis of ``matrix @ vector`` last and transposes it at each use. One transpose
  is always simplified in time; of several, as of a derived quantity that is returned twice, those that XLA finds to be equal late are
  not. Here the axis comes to the front at once, by one transpose that all uses share.
"""

from typing import Any

import jax.numpy as jnp
from jax.lax import dot_general_p

from jaxlatent._compat.rules import Rule, within_jaxlatent
from jaxlatent._compat.versions import FORMER_XLA


def _leading(usual: Rule) -> Rule:
    """The usual rule, its mapped axis brought to the front."""

    def rule(*arguments: Any, **settings: Any) -> tuple[Any, Any]:
        product, axis = usual(*arguments, **settings)
        return (product, axis) if axis is None else (jnp.moveaxis(product, axis, 0), 0)

    return rule


if FORMER_XLA:
    within_jaxlatent(dot_general_p, _leading)
