"""Log likelihood per observed value, and information criteria of point fits."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.latent import counted, unit_shape
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results import hidden, predictive
from jaxlatent.typing import AnyArray, Array, Params


def score(posterior: Posterior, params: Mapping[str, AnyArray], draws: bool) -> dict[str, Array]:
    """``score``: log likelihood in nats per observed value, ``(dataset, lane)``, and ``draw`` if ``draws``; empty without likelihood."""
    terms = predictive.log_likelihood(posterior, params, draws)
    if not terms:
        return {}
    total = _total(terms, 3 if draws else 2)
    return {"score": total / seen(posterior, params, draws).reshape(-1, *(1,) * (total.ndim - 1))}


def criteria(posterior: Posterior, params: Mapping[str, AnyArray]) -> dict[str, np.ndarray]:
    """Information criteria ``(dataset, lane)`` of point fits, on the log likelihood without the prior.

    AIC (Akaike 1974), BIC (Schwarz 1978), and with latent labels or paths ICL, which treats the most likely ones as data (Biernacki,
    Celeux and Govaert 2000). The number of free parameters is the length of a position, less one for every softmax, whose logits have a
    common shift that changes nothing.
    """
    terms = predictive.log_likelihood(posterior, params, False)
    if not terms:
        return {}
    total, dim = _total(terms, 2), posterior.density.free_parameters
    penalty = dim * np.log(seen(posterior, params, False))[:, None]
    found = {"aic": -2 * total + 2 * dim, "bic": -2 * total + penalty}
    _, complete = hidden.most_likely(posterior, params, False)
    if complete:
        found["icl"] = -2 * _total({**terms, **complete}, 2) + penalty
    return {**{name: np.asarray(value) for name, value in found.items()}, "free_parameters": np.full(total.shape, dim)}


def seen(posterior: Posterior, params: Mapping[str, AnyArray], draws: bool) -> np.ndarray:
    """The number of observed values that have a density, over all observations, by dataset."""
    first = jax.tree.map(lambda x: x[:, 0, 0] if draws else x[:, 0], params)
    return np.asarray(_seen(posterior, first), float)


@compiled()
def _seen(posterior: Posterior, params: Params) -> Array:
    def one(posterior: Posterior, params: Params) -> Array:
        density, data = posterior.density, posterior.data
        total = jnp.zeros((), int)
        observed = density.observed(params, data)
        if not observed:
            # The density knows log likelihoods only: each is one observed value.
            return total + sum(term.size for term in density.log_likelihood(params, data).values())
        for name, d in observed.items():
            observation = density.observation(name, params, data)
            if observation is not None:
                own = counted(d, observation)
                total += math.prod(unit_shape(d)) if own is None else jnp.sum(own)
        return total

    return jax.vmap(one)(posterior, params)


def _total(terms: dict[str, Array], leading: int) -> Array:
    """The sum of all terms over all but the ``leading`` axes."""
    return sum((jnp.sum(term.reshape(*term.shape[:leading], -1), -1) for term in terms.values()), start=jnp.zeros(()))
