"""The likelihood by dynamax, differentiated by JAX: a slower reference for tests."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxlatent.typing import Array


def log_normalizer(initial: Array, transition: Array, log_likelihoods: Array) -> Array:
    """The log likelihood of sequences in the layout of `jaxlatent.latent.markov.messages`, ``(B,)``."""
    # Lazy import: dynamax imports TensorFlow Probability, which takes seconds.
    from dynamax.hidden_markov_model.inference import hmm_filter

    sequences = log_likelihoods.shape[-1]
    initial = jnp.broadcast_to(initial, (initial.shape[0], sequences))
    if transition.ndim == 4:
        transition = jnp.broadcast_to(transition, (*transition.shape[:-1], sequences))
    one: Callable[[Array, Array, Array], Array] = lambda *chain: hmm_filter(*chain).marginal_loglik
    return jax.vmap(one, (-1, None if transition.ndim == 2 else -1, -1))(initial, transition, log_likelihoods)
