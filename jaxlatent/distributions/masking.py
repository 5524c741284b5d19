"""Masked log densities: masked entries contribute nothing to values and gradients."""

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.arrays import split
from jaxlatent.distributions.factor import Factor
from jaxlatent.errors import InputError
from jaxlatent.masks import widen
from jaxlatent.typing import AnyArray, Array, ArrayLike


def feasible(d: dist.Distribution, value: AnyArray, mask: AnyArray) -> Array:
    """Replace masked entries by a value inside the support of ``d``, so that their log density is finite."""
    filler = jnp.zeros_like(value) if d.support is None else d.support.feasible_like(value)
    return jnp.where(widen(mask, value.ndim), value, filler.astype(value.dtype))


def masked_log_prob(d: dist.Distribution, value: ArrayLike | None, mask: AnyArray | None) -> Array:
    """The log density of ``value`` (None for a `Factor`), zero where ``mask`` is False.

    Raises:
        InputError: if the mask has more axes than the batch shape of ``d``.
    """
    log_prob: Array
    if mask is None:
        log_prob = d.log_prob(value)
        return log_prob
    if isinstance(d, Factor):  # has no value
        value = jnp.zeros(d.batch_shape)
    if hasattr(d, "state_log_likelihoods"):  # hidden Markov models handle masks themselves
        log_prob = d.log_prob(value, mask)
        return log_prob
    if mask.ndim > len(d.batch_shape):
        raise InputError(
            "a mask",
            got=f"{mask.ndim} axes",
            expected=f"at most those of the batch shape {d.batch_shape} of {type(d).__name__}",
            remedy="an observation with several entries is missing as a whole; declare its entries independent to mask them one by one.",
        )
    log_prob = d.log_prob(feasible(d, jnp.asarray(value), mask))
    return jnp.where(widen(mask, log_prob.ndim), log_prob, 0.0)


def inside_support(d: dist.Distribution, observation: Any) -> Array:
    """Which values of an observation lie in the support of ``d``; True for masked ones and for a `Factor`."""
    if isinstance(d, Factor):
        return jnp.ones((), bool)
    value, mask = split(observation)
    # For sequences by step, so that messages can name the first one outside.
    d = getattr(d, "emissions", d)
    inside: Array = d.support(value if mask is None else feasible(d, value, mask))
    return inside
