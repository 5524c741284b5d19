"""Base of the engines with a Gaussian approximation: covariance factor, draws, and their Pareto k-hat."""

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
_CHUNK_SIZE = 50


class GaussianSearch(Search):
    """A search that fits one Gaussian per lane and returns draws from it."""

    draws: int
    kind: ClassVar[str] = "draws"

    def review(
        self, positions: np.ndarray, statistics: Mapping[str, np.ndarray], status: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Warn once for all lanes with a large k-hat."""
        khat, limit = statistics["khat"], khat_threshold(self.draws)
        if not np.any(khat > limit):
            return status, []
        return status, [
            f"{type(self).__name__}: Pareto k-hat above {limit:.2f} in {np.sum(khat > limit)} of {khat.size} lanes, up to "
            f"{np.nanmax(khat):.2f}: these draws do not follow the posterior, and may be far too narrow. "
            "Check them against NUTS; DADVI() and ADVI(family='full_rank') model correlations."
        ]


def inverse_root(hessian: Array) -> tuple[Array, Array]:
    """An upper triangular factor ``F`` with ``F F' = hessian**-1``, and whether ``hessian`` is safely positive definite.

    The Hessian is first scaled to a unit diagonal, so that the verdict does not depend on units. ``F`` is NaN if not definite.

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
    """The draws of an approximation with their log densities, ELBO and Pareto k-hat of the importance weights.

    Above a k-hat of 0.7 the approximation is unreliable (Yao, Vehtari, Simpson and Gelman 2018).

    Args:
        posterior: the approximated posterior.
        positions: draws, ``(draws, dim)``.
        log_q: log density of the approximation at the draws, ``(draws,)``.
        status: of the lane.
        objective: of the lane; None for the ELBO of the draws.
    """
    lp = jax.lax.map(posterior.log_density, positions, batch_size=_CHUNK_SIZE)
    log_weights = lp - log_q
    elbo = jnp.mean(log_weights)
    # A draw outside the support has no weight.
    k_hat = psis(jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights), jnp.maximum(jnp.abs(lp), jnp.abs(log_q)))[1]
    statistics = {"lp": lp, "log_q": log_q, "khat": k_hat, "elbo": elbo}
    return Final(Outputs(statistics, positions), elbo if objective is None else objective, status)
