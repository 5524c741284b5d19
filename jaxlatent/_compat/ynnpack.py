"""On a CPU, YNNPACK gets products only.

- Versions: all that know the choice, which is experimental; tried with jaxlib 0.10 and 0.12.
- Upstream: jax-ml/jax#37465, openxla/xla#46351. XLA gives YNNPACK products and sums alike; it multiplies matrices well and is slow at
  sums whose terms are computed on the way.
- Gain: the gradient of a mixture of three normals at 60,000 points took 8 ms, and takes 0.5 ms (jaxlib 0.12: 3.4 and 0.4).
"""

from functools import cache
from typing import Any

import jax

_PRODUCTS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


@cache
def products_only() -> dict[str, Any]:
    """The choice, if this XLA knows it."""
    try:
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            jax.jit(lambda: 0, compiler_options=_PRODUCTS).lower().compile()
    except RuntimeError:
        return {}
    return _PRODUCTS
