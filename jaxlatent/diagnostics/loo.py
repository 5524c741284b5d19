"""Leave-one-out cross-validation by Pareto-smoothed importance sampling (Vehtari, Gelman and Gabry 2017)."""

import math

import jax
import numpy as np
from jax.scipy.special import logsumexp

from jaxlatent.diagnostics.information import InformationCriterion, flatten_log_likelihood, unreliable
from jaxlatent.diagnostics.psis import khat_threshold, psis
from jaxlatent.typing import AnyArray, Array, PyTree


def loo(log_likelihood: PyTree, mask: PyTree = None) -> InformationCriterion:
    """PSIS-LOO from the pointwise log likelihood (Vehtari, Gelman and Gabry 2017, equation 10).

    Agrees with ``arviz.loo(reff=1)``: the length of the tail is that for independent draws.

    Args:
        log_likelihood: an array of shape ``(chains, draws, *observations)``, or a pytree of them for several observed
            variables.
        mask: which observations count, of the same structure with arrays of shape ``(*observations)``; all by default.

    Returns:
        The criterion, with a warning if the tail shape of an observation exceeds ``min(1 - 1 / log10(S), 0.7)`` for
        ``S`` draws.
    """
    table = flatten_log_likelihood(log_likelihood, mask)
    return loo_from_pointwise(table.shape[1], *loo_pointwise(table))


def loo_from_pointwise(n_samples: int, elpd: AnyArray, p: AnyArray, pareto_k: AnyArray) -> InformationCriterion:
    """The criterion of ``n_samples`` draws from what `loo_pointwise` returns, each ``(observations,)``."""
    threshold, pareto_k = khat_threshold(n_samples), np.asarray(pareto_k, float)
    suspects = ~(pareto_k <= threshold)
    return InformationCriterion(
        kind="loo",
        pointwise=np.asarray(elpd, float),
        pointwise_p=np.asarray(p, float),
        pareto_k=pareto_k,
        n_samples=n_samples,
        warning=unreliable(
            suspects,
            f"a Pareto k above {threshold:.2f}",
            "refit without them, or use a more robust likelihood",
        ),
        n_unreliable=int(suspects.sum()),
    )


@jax.jit
def loo_pointwise(table: Array) -> tuple[Array, Array, Array]:
    """Contribution of each observation to elpd and to p, and its ``k_hat``, from ``(observations, samples)``."""
    mean = table.mean(1)
    # what is left after centring is small, so that p, a difference of logarithms, keeps its digits in float32
    centred = table - mean[:, None]
    log_weights, pareto_k = psis(-centred, table)
    left_out = logsumexp(log_weights + centred, axis=1)
    p = logsumexp(centred, axis=1) - math.log(table.shape[1]) - left_out
    return mean + left_out, p, pareto_k
