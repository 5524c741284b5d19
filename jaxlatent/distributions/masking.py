"""The one meaning of a mask: what was not seen contributes nothing, to values and gradients."""

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.arrays import split
from jaxlatent.distributions.factor import Factor
from jaxlatent.errors import InputError
from jaxlatent.masks import widen
from jaxlatent.typing import Array


def feasible(d: dist.Distribution, value: Array, mask: Array) -> Array:
    """``value`` with something inside the support of ``d`` where ``mask`` is False: no NaN, no infinite log density."""
    filler = jnp.zeros_like(value) if d.support is None else d.support.feasible_like(value)
    return jnp.where(widen(mask, value.ndim), value, filler.astype(value.dtype))


def masked_log_prob(d: dist.Distribution, value: Array, mask: Array | None) -> Array:
    """The log density of ``value``, zero where ``mask`` is False.

    Raises:
        InputError: if the mask does not go with the batch shape of ``d``.
    """
    if mask is None:
        return d.log_prob(value)
    if isinstance(d, Factor):  # it meets no value
        value = jnp.zeros(d.batch_shape)
    if hasattr(d, "state_log_likelihoods"):  # sequences look after their own gaps
        return d.log_prob(value, mask)
    if mask.ndim > len(d.batch_shape):
        raise InputError(
            "a mask",
            got=f"{mask.ndim} axes",
            expected=f"at most those of the batch shape {d.batch_shape} of {type(d).__name__}",
            remedy="an observation with several entries is missing as a whole; declare its entries independent to mask them one by one.",
        )
    log_prob = d.log_prob(feasible(d, value, mask))
    return jnp.where(widen(mask, log_prob.ndim), log_prob, 0.0)


def inside_support(d: dist.Distribution, observation: Any) -> Array:
    """Which values of an observation lie in the support of ``d``; masked ones do, and what a `Factor` meets."""
    if isinstance(d, Factor):
        return jnp.ones((), bool)
    value, mask = split(observation)
    # Of a sequence step by step: the first that is outside can then be named.
    d = getattr(d, "emissions", d)
    return d.support(value if mask is None else feasible(d, value, mask))
