"""The widely applicable information criterion (Watanabe 2010)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from jaxlatent.diagnostics.information import InformationCriterion, flatten_log_likelihood, unreliable
from jaxlatent.typing import AnyArray, Array, PyTree

#: Posterior variance of an observation's log likelihood above which WAIC fails (Vehtari, Gelman and Gabry 2017).
_LARGEST_VARIANCE = 0.4


def waic(log_likelihood: PyTree, mask: PyTree = None) -> InformationCriterion:
    """WAIC from the pointwise log likelihood (Watanabe 2010; Vehtari, Gelman and Gabry 2017, equation 12).

    Args:
        log_likelihood: an array of shape ``(chains, draws, *observations)``, or a pytree of them for several observed
            variables.
        mask: which observations count, of the same structure with arrays of shape ``(*observations)``; all by default.

    Returns:
        The criterion, with a warning if the posterior variance of an observation's log likelihood exceeds 0.4.
    """
    table = flatten_log_likelihood(log_likelihood, mask)
    return waic_from_pointwise(table.shape[1], *waic_pointwise(table))


def waic_from_pointwise(n_samples: int, elpd: AnyArray, variance: AnyArray) -> InformationCriterion:
    """The criterion of ``n_samples`` draws from what `waic_pointwise` returns, each ``(observations,)``."""
    variance = np.asarray(variance, float)
    suspects = ~(variance <= _LARGEST_VARIANCE)
    return InformationCriterion(
        kind="waic",
        pointwise=np.asarray(elpd, float),
        pointwise_p=variance,
        n_samples=n_samples,
        warning=unreliable(
            suspects,
            f"a posterior variance of log likelihood above {_LARGEST_VARIANCE}",
            "use loo()",
        ),
        n_unreliable=int(suspects.sum()),
    )


@jax.jit
def waic_pointwise(table: Array) -> tuple[Array, Array]:
    """Contribution of each observation to elpd and to p, from ``(observations, samples)``."""
    mean = table.mean(1)
    centred = table - mean[:, None]
    variance = jnp.square(centred).mean(1)
    return mean + (logsumexp(centred, axis=1) - math.log(table.shape[1]) - variance), variance
