"""Weights for averaging the predictions of several models (Yao, Vehtari, Simpson and Gelman 2018)."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.typing import Array, Key

#: Lower bound of weights in the optimiser, so that every observation has a finite score.
_SMALLEST_WEIGHT = 1e-12


def stacking_weights(pointwise: np.ndarray) -> np.ndarray:
    """Weights that maximise the log score of the mixture of the models' predictions (Yao et al. 2018).

    The maximum of ``mean_i log sum_k w_k p_ik`` over the simplex is that of ``mean_i log sum_k w_k p_ik - sum_k w_k``
    over all ``w >= 0``: at the optimum of the latter the weights sum to one of their own (Kim, Carbonetto, Stephens and
    Anitescu 2020). It is concave and has only bounds, which L-BFGS-B handles from any start.

    Args:
        pointwise: log predictive density of each observation under each model, shape ``(observations, models)``.

    Returns:
        Shape ``(models,)``, summing to one.
    """
    density = np.exp(pointwise - pointwise.max(1, keepdims=True))
    observations, models = density.shape

    # lazy import, since it is slow
    from scipy.optimize import minimize

    def loss(weights: np.ndarray) -> tuple[np.floating, np.ndarray]:
        mixture = density @ weights
        return weights.sum() - np.log(mixture).mean(), 1 - (density / mixture[:, None]).sum(0) / observations

    start = np.full(models, 1 / models)
    bounds = [(_SMALLEST_WEIGHT, None)] * models
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 10_000, "maxfun": 100_000}
    weights: np.ndarray = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options).x
    weights = np.where(weights <= _SMALLEST_WEIGHT, 0, weights)
    return np.asarray(weights / weights.sum())


def pseudo_bma_weights(pointwise: np.ndarray, key: Key, samples: int = 1000) -> np.ndarray:
    """Pseudo-BMA+ weights: Akaike-type weights averaged over the Bayesian bootstrap (Yao et al. 2018).

    Args:
        pointwise: log predictive density of each observation under each model, shape ``(observations, models)``.
        key: for the bootstrap.
        samples: bootstrap replications.

    Returns:
        Shape ``(models,)``, summing to one.
    """
    observations = len(pointwise)
    # only differences between models matter; without the common part they keep their digits in float32
    contrast = jnp.asarray(pointwise - pointwise.mean(1, keepdims=True))

    def replicate(key: Key) -> Array:
        share = jax.random.exponential(key, (observations,), contrast.dtype)
        return jax.nn.softmax(observations * (share / share.sum()) @ contrast)

    # one replication at a time: all shares together would take samples × observations
    weights = jax.lax.map(replicate, jax.random.split(key, samples), batch_size=32)
    return np.asarray(weights.mean(0), float)
