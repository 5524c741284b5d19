"""Normal components as scikit-learn estimates them: by maximum likelihood, with ``reg_covar`` on the diagonal."""

from dataclasses import dataclass
from numbers import Real

import jax.numpy as jnp
import numpy as np

from jaxlatent.data.namespace import Namespace
from jaxlatent.errors import require
from jaxlatent.latent import Expected
from jaxlatent.models.emissions import Gaussian
from jaxlatent.models.emissions.gaussian import Covariance
from jaxlatent.models.parts import Updates, weights_of
from jaxlatent.models.units import units_of_y
from jaxlatent.typing import Array

#: scikit-learn's names of covariances, and ours.
COVARIANCES: dict[str, Covariance] = {
    "full": "full",
    "tied": "tied",
    "diag": "diagonal",
    "spherical": "spherical",
}
#: The least that is added to a variance, in roundings of the variance of all observations: less is lost in a Cholesky decomposition.
_ROUNDINGS = 10


@dataclass(frozen=True)
class Regularised(Gaussian):
    """Normals under flat priors, whose M-step adds ``reg_covar`` to the diagonal of covariances, as in scikit-learn.

    Args:
        dim: ``D``.
        covariance: as for `jaxlatent.models.emissions.Gaussian`.
        mean_concentration: None, a flat prior.
        df: None, a flat prior.
        reg_covar: added to every variance; at least ten roundings of the variance of all observations.
    """

    mean_concentration: float | None = None
    df: float | None = None
    reg_covar: float = 1e-6

    def m_step(self) -> Updates:
        """Weighted means and covariances; those of a component without any observation stay as they are."""
        return {"means": self._means, "covs": self._covs}

    def _means(self, p: Namespace, d: Namespace, expected: Expected) -> Array:
        return _where_seen(expected, self._update_means(p, d, expected), p.means)

    def _covs(self, p: Namespace, d: Namespace, expected: Expected) -> Array:
        covs = self._update_covs(p, d, expected)
        least = _ROUNDINGS * jnp.finfo(covs.dtype).eps * units_of_y(d, self.dim).spread ** 2
        added = jnp.maximum(self.reg_covar, least)
        if self.covariance == "spherical":
            covs = covs + jnp.mean(added)
        else:
            covs = covs + (added if self.covariance == "diagonal" else jnp.diag(added))
        return covs if self.covariance == "tied" else _where_seen(expected, covs, p.covs)


def _where_seen(expected: Expected, updated: Array, before: Array) -> Array:
    """The ``updated`` parameters ``(K, ...)`` of components that have observations, and those ``before`` of the others."""
    seen = jnp.sum(weights_of(expected), 0) > 0
    return jnp.where(seen.reshape(-1, *(1,) * (updated.ndim - 1)), updated, before)


def normals(covariance_type: str, num_features: int, reg_covar: float) -> Regularised:
    """The emissions of an estimator.

    Raises:
        InputError: for an unknown ``covariance_type`` or a negative ``reg_covar``.
    """
    known = isinstance(covariance_type, str) and covariance_type in COVARIANCES
    require(known, "covariance_type", got=covariance_type, expected=f"one of {tuple(COVARIANCES)}")
    fine = isinstance(reg_covar, Real) and reg_covar >= 0
    require(fine, "reg_covar", got=reg_covar, expected="a number of at least 0")
    return Regularised(num_features, COVARIANCES[covariance_type], reg_covar=float(reg_covar))


def num_parameters(means: np.ndarray, covariances: np.ndarray, covariance_type: str) -> int:
    """The number of free parameters of means and covariances."""
    matrices = covariance_type in ("full", "tied")
    dim = means.shape[-1]
    free = covariances.size * (dim + 1) // (2 * dim) if matrices else covariances.size
    return int(means.size + free)


def as_matrices(means: np.ndarray, covariances: np.ndarray, covariance_type: str) -> np.ndarray:
    """The covariance matrix of every component, ``(K, D, D)``."""
    num_components, dim = means.shape
    if covariance_type in ("full", "tied"):
        return np.broadcast_to(covariances, (num_components, dim, dim)).copy()
    variances = covariances if covariance_type == "diag" else covariances[:, None]
    matrices: np.ndarray = variances[..., None] * np.eye(dim)
    return matrices


def draw(
    rng: np.random.RandomState, labels: np.ndarray, means: np.ndarray, covariances: np.ndarray, covariance_type: str
) -> np.ndarray:
    """A draw ``(N, D)`` from the component of each of the ``labels`` ``(N,)``."""
    roots = np.linalg.cholesky(as_matrices(means, covariances, covariance_type))
    noise = rng.standard_normal((len(labels), means.shape[1]))
    drawn: np.ndarray = means[labels]
    for label, root in enumerate(roots):
        own = labels == label
        drawn[own] += noise[own] @ root.T
    return drawn
