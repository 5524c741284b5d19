"""Compiled evaluations of a model at named parameters: likelihoods, probabilities of states, most likely paths."""

from typing import Any

import jax.numpy as jnp

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import split
from jaxlatent.latent import Hidden, hidden_in
from jaxlatent.model import Model
from jaxlatent.typing import Array, Data, Params


@compiled("model")
def log_likelihood(model: Model, params: Params, data: Data) -> Array:
    """The log likelihood of every row of a mixture, or sequence of a hidden Markov model."""
    return model.log_likelihood(params, data)["y"]


@compiled("model")
def state_probs(model: Model, params: Params, data: Data) -> Array:
    """The probability of every component or state of each row given all observations, ``(..., K)``."""
    hidden, *observed = _observed(model, params, data)
    return hidden.probs(*observed)


@compiled("model")
def most_likely(model: Model, params: Params, data: Data) -> tuple[Array, Array]:
    """The most likely label or path of every row, and the log density of observations and labels together, a scalar."""
    hidden, *observed = _observed(model, params, data)
    return hidden.most_likely(*observed)


def _observed(model: Model, params: Params, data: Data) -> tuple[Hidden, Any, Array, Array | None]:
    """What hides in the distribution of ``y``, that distribution, values and mask."""
    d = model.observed(params, data)["y"]
    hidden = hidden_in(d)
    assert hidden is not None
    value, mask = split(data["y"])
    return hidden, d, jnp.asarray(value), None if mask is None else jnp.asarray(mask)
