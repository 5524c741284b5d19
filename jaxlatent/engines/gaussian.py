"""What the engines that end in a Gaussian have in common: a factor of its covariance, and how well its draws do."""

from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from jaxlatent.diagnostics.psis import khat_threshold, psis
from jaxlatent.engines.base import Final, Outputs, Search
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array

#: Draws whose log density is evaluated at once: bounds memory where data are large.
_TOGETHER = 50


class GaussianSearch(Search):
    """A search whose lanes end in a Gaussian each, and hand over draws from it."""

    draws: int
    kind: ClassVar[str] = "draws"

    def review(
        self, positions: np.ndarray, statistics: Mapping[str, np.ndarray], status: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """A warning where the approximation misses the posterior, once for all lanes."""
        khat, limit = statistics["khat"], khat_threshold(self.draws)
        if not np.any(khat > limit):
            return status, []
        return status, [
            f"{type(self).__name__}: Pareto k-hat above {limit:.2f} in {np.sum(khat > limit)} of {khat.size} lanes, up to "
            f"{np.nanmax(khat):.2f}: these draws do not follow the posterior, and may be far too narrow. "
            "Check them against NUTS; DADVI() or ADVI(family='full_rank') know correlations."
        ]


def inverse_root(hessian: Array) -> tuple[Array, Array]:
    """A factor ``F`` with ``F F' = hessian**-1``, upper triangular, and whether it is safely positive definite.

    Rows and columns are first scaled to a unit diagonal, so that the verdict does not depend on units.

    Args:
        hessian: ``(dim, dim)``, symmetric.
    """
    dim, dtype = hessian.shape[0], hessian.dtype
    scale = jax.lax.rsqrt(jnp.diagonal(hessian))
    root = jnp.linalg.cholesky(scale[:, None] * hessian * scale)
    definite = jnp.all(jnp.diagonal(root) ** 2 > dim * jnp.finfo(dtype).eps)
    inverse = solve_triangular(root, jnp.eye(dim, dtype=dtype), lower=True, trans=1)
    return jnp.where(definite, scale[:, None] * inverse, jnp.nan), definite


def standard_log_density(z: Array) -> Array:
    """Log density of standard normal vectors, over the last axis."""
    return -0.5 * jnp.sum(z**2, -1) - 0.5 * z.shape[-1] * jnp.log(2 * jnp.pi).astype(z.dtype)


def outcome(
    posterior: Posterior, positions: Array, log_q: Array, status: Array, objective: Array | None = None
) -> Final:
    """Draws from an approximation, with their log densities and the Pareto k-hat of their importance weights.

    Above 0.7 draws and approximation cannot be trusted (Yao, Vehtari, Simpson and Gelman 2018).

    Args:
        posterior: what is approximated.
        positions: ``(draws, dim)``.
        log_q: log density of the approximation at them, ``(draws,)``.
        status: of the lane.
        objective: the ELBO of the draws if None.
    """
    lp = jax.lax.map(posterior.log_density, positions, batch_size=_TOGETHER)
    log_weights = lp - log_q
    elbo = jnp.mean(log_weights)
    # A draw outside the support has no weight.
    k_hat = psis(jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights))[1]
    statistics = {"lp": lp, "log_q": log_q, "khat": k_hat, "elbo": elbo}
    return Final(Outputs(statistics, positions), elbo if objective is None else objective, status)
