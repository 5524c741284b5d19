"""Normal emissions."""

from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.distributions.normals import InverseWishart, Normals
from jaxlatent.latent import Expected
from jaxlatent.models.parts import Clustered, Updates, rows, weights_of
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class Gaussian(Clustered):
    """Normal vectors: ``means`` ``(K, D)`` and ``covs``.

    The prior is normal-inverse-Wishart (inverse gamma where covariances are not matrices), by default as weak as dynamax's.

    Args:
        dim: ``D``; None for scalar observations: ``means`` ``(K,)`` and variances ``covs`` ``(K,)``.
        covariance: "full" ``(K, D, D)``, "diagonal" ``(K, D)``, "spherical" ``(K,)``, or "tied" ``(D, D)`` for all states.
        mean: of the prior of the means.
        mean_concentration: how many observations it is worth.
        df: degrees of freedom, above ``D - 1``, of the prior of the covariances (of an inverse gamma: twice its shape).
        scale: diagonal of its scale matrix (of an inverse gamma: twice its scale).
    """

    dim: int | None = None
    covariance: Literal["full", "diagonal", "spherical", "tied"] = "full"
    mean: float = 0.0
    mean_concentration: float = 1e-4
    df: float = 0.1
    scale: float = 1e-4

    event_dim = property(lambda self: 0 if self.dim is None else 1)
    _matrices = property(lambda self: self.dim is not None and self.covariance in ("full", "tied"))

    def prior(self, num_states: int) -> dict[str, Any]:
        """``covs``, then ``means`` given them."""
        deviation = lambda covs: jnp.sqrt(covs / self.mean_concentration)
        if self._matrices:
            one = InverseWishart(self.df + (self.dim or 1) - 1, self.scale * jnp.eye(self.dim))
            covs = one if self.covariance == "tied" else one.expand([num_states]).to_event(1)
            middle = jnp.full((num_states, self.dim), self.mean)
            means = lambda p: dist.MultivariateNormal(middle, p.covs / self.mean_concentration).to_event(1)
            return {"covs": covs, "means": means}
        gamma = dist.InverseGamma(self.df / 2, self.scale / 2)
        if self.dim is None:
            means = lambda p: dist.Normal(self.mean, deviation(p.covs)).to_event(1)
            return {"covs": gamma.expand([num_states]).to_event(1), "means": means}
        shape = [num_states, self.dim]
        if self.covariance == "diagonal":
            means = lambda p: dist.Normal(self.mean, deviation(p.covs)).to_event(2)
            return {"covs": gamma.expand(shape).to_event(2), "means": means}
        means = lambda p: dist.Normal(self.mean, deviation(p.covs)[:, None]).expand(shape).to_event(2)
        return {"covs": gamma.expand([num_states]).to_event(1), "means": means}

    def distribution(self, p: Any, d: Any) -> dist.Distribution:
        """Of batch shape ``(K,)``."""
        if self.dim is None:
            return dist.Normal(p.means, jnp.sqrt(p.covs))
        if self._matrices:
            return Normals(p.means, p.covs)
        deviations = jnp.sqrt(p.covs if self.covariance == "diagonal" else p.covs[:, None])
        return dist.Normal(p.means, jnp.broadcast_to(deviations, p.means.shape)).to_event(1)

    def m_step(self) -> Updates:
        """The joint mode of means and covariances, in closed form."""
        return {"means": self._raise_means, "covs": self._raise_covs}

    def _raise_means(self, p: Any, d: Any, expected: Expected) -> Array:
        w, y = weights_of(expected), rows(d.y, self.event_dim)
        # About the current means: sums of small numbers.
        centre = jnp.mean(p.means, 0)
        sums = w.T @ (y - centre)
        size = jnp.sum(w, 0)
        size = size if self.dim is None else size[:, None]
        prior = self.mean_concentration
        return centre + (sums + prior * (self.mean - centre)) / (size + prior)

    def _raise_covs(self, p: Any, d: Any, expected: Expected) -> Array:
        w, y = weights_of(expected), rows(d.y, self.event_dim)
        size, off = jnp.sum(w, 0), p.means - self.mean
        if self._matrices:
            num_states, dim = p.means.shape
            # (K, D, N): one batch of matrix products over the observations.
            residuals = y.T[None] - p.means[..., None]
            scatter = (residuals * w.T[:, None]) @ jnp.swapaxes(residuals, -1, -2)
            scatter = scatter + self.mean_concentration * off[..., None] * off[:, None]
            if self.covariance == "tied":
                df = self.df + 2 * dim + num_states + jnp.sum(size)
                return (self.scale * jnp.eye(dim) + jnp.sum(scatter, 0)) / df
            df = self.df + 2 * dim + 1 + size
            return (self.scale * jnp.eye(dim) + scatter) / df[:, None, None]
        squares = jnp.einsum("nk,nk...->k...", w, (y[:, None] - p.means) ** 2) + self.mean_concentration * off**2
        if self.dim is None:
            return (self.scale + squares) / (self.df + 3 + size)
        if self.covariance == "diagonal":
            return (self.scale + squares) / (self.df + 3 + size)[:, None]
        return (self.scale + jnp.sum(squares, 1)) / (self.df + 2 + self.dim * (1 + size))

    def start(self, num_states: int, d: Any) -> Params:
        """Means and covariances of nothing yet: the M-step fills them."""
        shape = (num_states,) if self.dim is None else (num_states, self.dim)
        if self._matrices:
            covs = jnp.eye(self.dim)
            return {
                "means": jnp.zeros(shape),
                "covs": covs if self.covariance == "tied" else jnp.tile(covs, (num_states, 1, 1)),
            }
        return {"means": jnp.zeros(shape), "covs": jnp.ones(shape if self.covariance == "diagonal" else num_states)}
