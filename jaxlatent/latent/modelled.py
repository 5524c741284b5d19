"""Which values a distribution gives a density: those that it masks itself have none, and are conditioned on."""

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.typing import Array


def modelled(d: dist.Distribution) -> Array | None:
    """Which values count in the log density of ``d``; None if all do.

    An autoregression, for example, leaves out the steps without earlier ones.

    Returns:
        Of the batch shape of ``d``, for a hidden Markov model of its sequences ``(..., T)``; or of shape ``()``.
    """
    if isinstance(d, HiddenMarkov):
        steps = modelled(d.emissions)
        return steps if steps is None or steps.ndim == 0 else jnp.any(steps, -1)
    if isinstance(d, dist.MaskedDistribution):
        own, inner = jnp.asarray(d._mask), modelled(d.base_dist)
        return own if inner is None else own & inner
    if isinstance(d, dist.ExpandedDistribution):
        inner = modelled(d.base_dist)
        return inner if inner is None or inner.ndim == 0 else jnp.broadcast_to(inner, d.batch_shape)
    if isinstance(d, dist.Independent):
        inner = modelled(d.base_dist)
        axes = tuple(range(-d.reinterpreted_batch_ndims, 0))
        return inner if inner is None or inner.ndim == 0 else jnp.any(inner, axes)
    return None
