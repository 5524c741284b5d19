"""What a fit is worth: log likelihood per observed value, and information criteria of point fits."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent import hidden, predictive
from jaxlatent.data import split
from jaxlatent.latent import unit_shape
from jaxlatent.posterior import Posterior
from jaxlatent.typing import Array, Params


def per_value(posterior: Posterior, params: Params, draws: bool) -> Array:
    """Log likelihood in nats per observed value, ``(dataset, lane)``, and ``draw`` if ``draws``."""
    total = _total(predictive.log_likelihood(posterior, params, draws), 3 if draws else 2)
    return total / seen(posterior, params, draws).reshape(-1, *(1,) * (total.ndim - 1))


def criteria(posterior: Posterior, params: Params) -> dict[str, np.ndarray]:
    """Information criteria ``(dataset, lane)`` of point fits, on the log likelihood without the prior.

    AIC (Akaike 1974), BIC (Schwarz 1978), and where something is hidden ICL, which counts the most likely paths or labels as data
    (Biernacki, Celeux and Govaert 2000). The number of free parameters is the length of a position.
    """
    terms = predictive.log_likelihood(posterior, params, False)
    if not terms:
        return {}
    total, dim = _total(terms, 2), posterior.dim
    penalty = dim * np.log(seen(posterior, params, False))[:, None]
    found = {"aic": -2 * total + 2 * dim, "bic": -2 * total + penalty}
    _, complete = hidden.most_likely(posterior, params, False)
    if complete:
        found["icl"] = -2 * _total({**terms, **complete}, 2) + penalty
    return {**{name: np.asarray(value) for name, value in found.items()}, "free_parameters": np.full(total.shape, dim)}


def seen(posterior: Posterior, params: Params, draws: bool) -> np.ndarray:
    """How many values of all observations were seen, by dataset."""
    first = jax.tree.map(lambda x: x[0, 0, 0] if draws else x[0, 0], params)
    one = jax.tree.map(lambda x: x[0], posterior.data)
    sizes: dict[str, int] = {}

    def walk(params: Params, data: dict[str, Array]) -> None:
        for name, d in posterior.density.observed(params, data).items():
            if name in data:
                sizes[name] = math.prod(unit_shape(d))

    jax.eval_shape(walk, first, one)
    datasets = next(iter(params.values())).shape[0]
    total = np.zeros(datasets)
    for name, size in sizes.items():
        mask = split(posterior.data[name])[1]
        total += size if mask is None else np.asarray(mask).reshape(datasets, -1).sum(-1)
    return total


def _total(terms: dict[str, Array], leading: int) -> Array:
    """The sum of all terms, over everything but the ``leading`` axes."""
    return sum((jnp.sum(term.reshape(*term.shape[:leading], -1), -1) for term in terms.values()), start=jnp.zeros(()))
