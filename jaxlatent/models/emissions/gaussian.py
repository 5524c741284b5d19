"""Normal emissions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxlatent.data.namespace import Namespace, is_held
from jaxlatent.distributions.normals import InverseGamma, InverseWishart, Normals
from jaxlatent.errors import require
from jaxlatent.latent import Expected
from jaxlatent.model.model import Prior
from jaxlatent.models.coefficients import require_scale
from jaxlatent.models.parts import Priors, Updates, event_shape, rows, weights_of
from jaxlatent.models.settings import require_dim
from jaxlatent.models.starts import Clustered
from jaxlatent.models.units import units_of_y
from jaxlatent.typing import Array, Params

#: Which covariances: matrices, their diagonals, multiples of the identity, or one matrix for all states.
Covariance: TypeAlias = Literal["full", "diagonal", "spherical", "tied"]

#: The scale of the default prior of variances, as a fraction of the variance of all observations.
_WEAK_SCALE = 1e-4


@dataclass(frozen=True)
class Gaussian(Clustered):
    """Normal vectors: ``means`` ``(K, D)`` and ``covs``.

    The prior is normal-inverse-Wishart (inverse gamma where covariances are not matrices), by default weak and relative to the data.
    With flat priors (``mean_concentration=None, df=None``) there is no maximum: a state may collapse onto one observation.

    Args:
        dim: ``D``; None for scalar observations: ``means`` ``(K,)`` and variances ``covs`` ``(K,)``.
        covariance: "full" ``(K, D, D)``, "diagonal" ``(K, D)``, "spherical" ``(K,)``, or "tied" ``(D, D)`` for all states.
        mean: of the prior of the means; "auto" is the mean of all observations.
        mean_concentration: of the prior of the means, in observations; None is flat.
        df: the inverse Wishart prior of the covariances has ``df + D - 1`` degrees of freedom (an inverse gamma the shape ``df / 2``);
            None is flat.
        scale: diagonal of the scale matrix of that prior (for an inverse gamma: twice its scale); "auto" is 1e-4 of the variance of all
            observations, by entry.

    Raises:
        InputError: for settings out of range.
    """

    dim: int | None = None
    covariance: Covariance = "full"
    mean: float | Literal["auto"] = "auto"
    mean_concentration: float | None = 1e-4
    df: float | None = 0.1
    scale: float | Literal["auto"] = "auto"

    @property
    def event_dim(self) -> int:
        """1 for vectors, 0 for numbers."""
        return 0 if self.dim is None else 1

    @property
    def _matrices(self) -> bool:
        return self.dim is not None and self.covariance in ("full", "tied")

    def __post_init__(self) -> None:
        kinds = ("full", "diagonal", "spherical", "tied")
        positive: Callable[[float | None], bool] = lambda value: value is None or value > 0
        require_dim("Gaussian(dim=...)", self.dim)
        require(self.covariance in kinds, "Gaussian(covariance=...)", got=self.covariance, expected=f"one of {kinds}")
        require(
            self.dim is not None or self.covariance != "tied",
            "Gaussian(covariance=...)",
            got="'tied' for scalar observations",
            expected="dim=1 or more, where it is one matrix for all states",
            remedy="give Gaussian(1, 'tied') and y[..., None].",
        )
        for name, value in (("mean_concentration", self.mean_concentration), ("df", self.df)):
            require(positive(value), f"Gaussian({name}=...)", got=value, expected="a positive number, or None for flat")
        require_scale("Gaussian(scale=...)", self.scale, flat=False)

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        if self.dim is None:
            return {"means": (), "covs": ()}
        # Tied matrices have no axis of states.
        covs = {"full": ("feature", "other_feature"), "diagonal": ("feature",), "spherical": ()}
        return {"means": ("feature",), **({"covs": covs[self.covariance]} if self.covariance in covs else {})}

    def prior(self, num_states: int) -> Priors:
        """``covs``, then ``means`` given them."""
        shape = event_shape(num_states, self.dim)
        return {"covs": self._prior_of_covs(num_states), "means": self._prior_of_means(shape)}

    def _prior_of_covs(self, num_states: int) -> Prior:
        tied = self.covariance == "tied" and self.dim is not None
        if self._matrices:
            dim = self.dim or 1
            square = (dim, dim)
            if self.df is None:
                leading: tuple[int, ...] = () if tied else (num_states,)
                support = constraints.independent(constraints.positive_definite, len(leading))
                return dist.ImproperUniform(support, (), (*leading, *square))
            df = self.df + dim - 1

            def matrices(p: Namespace, d: Namespace) -> dist.Distribution:
                one = InverseWishart(df, self._scale(d) * jnp.eye(dim))
                return one if tied else one.expand([num_states]).to_event(1)

            return matrices
        shape = event_shape(num_states, self.dim if self.covariance == "diagonal" else None)
        if self.df is None:
            return dist.ImproperUniform(constraints.positive, (), shape)
        half = self.df / 2
        return lambda p, d: InverseGamma(half, self._scale(d) / 2).expand(shape).to_event(len(shape))

    def _mean(self, d: Namespace) -> Array | float:
        """The mean of the prior of the means, a scalar or one for each entry."""
        return units_of_y(d, self.dim).centre if self.mean == "auto" else self.mean

    def _scale(self, d: Namespace) -> Array | float:
        """The scale of the prior of the covariances, a scalar or one for each entry."""
        if self.scale != "auto":
            return self.scale
        variances = _WEAK_SCALE * units_of_y(d, self.dim).spread ** 2
        return jnp.mean(variances) if self.covariance == "spherical" else variances

    def _prior_of_means(self, shape: tuple[int, ...]) -> Prior:
        prior_count = self.mean_concentration
        if prior_count is None:
            return dist.ImproperUniform(constraints.real, (), shape)
        if self._matrices:
            middle: Callable[[Namespace], Array] = lambda d: jnp.broadcast_to(
                jnp.asarray(self._mean(d), jnp.result_type(float)), shape
            )
            return lambda p, d: dist.MultivariateNormal(middle(d), p.covs / prior_count).to_event(1)
        wide: Callable[[Array], Array] = lambda covs: jnp.sqrt(
            (covs[:, None] if covs.ndim < len(shape) else covs) / prior_count
        )
        return lambda p, d: dist.Normal(self._mean(d), wide(p.covs)).expand(shape).to_event(len(shape))

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(K,)``."""
        if self.dim is None:
            return dist.Normal(p.means, jnp.sqrt(p.covs))
        if self._matrices:
            return Normals(p.means, p.covs)
        deviations = jnp.sqrt(p.covs if self.covariance == "diagonal" else p.covs[:, None])
        return dist.Normal(p.means, jnp.broadcast_to(deviations, p.means.shape)).to_event(1)

    def m_step(self) -> Updates:
        """The joint mode of means and covariances, in closed form."""
        return {"means": self._update_means, "covs": self._update_covs}

    def _update_means(self, p: Namespace, d: Namespace, expected: Expected) -> Array:
        w, y = weights_of(expected), rows(d.y, self.event_dim)
        # Relative to the mean of the current means, for accuracy far from zero.
        centre, prior_count = jnp.mean(p.means, 0), self.mean_concentration or 0.0
        size = jnp.sum(w, 0)
        size = size if self.dim is None else size[:, None]
        raised: Array = centre + (w.T @ (y - centre) + prior_count * (self._mean(d) - centre)) / (size + prior_count)
        return raised

    def _update_covs(self, p: Namespace, d: Namespace, expected: Expected) -> Array:
        w, y = weights_of(expected), rows(d.y, self.event_dim)
        size, off = jnp.sum(w, 0), p.means - self._mean(d)
        # The prior of the means depends on the covariances.
        prior_count = None if is_held(p, "means") else self.mean_concentration
        # The contributions of the priors to the exponent of the determinant (means, df) and to the scatter (scale).
        means, prior_count = (0, 0.0) if prior_count is None else (1, prior_count)
        df, scale = (0.0, 0.0) if self.df is None else (self.df, self._scale(d))
        if self._matrices:
            num_states, dim = p.means.shape
            # (K, D, N): one batch of matrix products over the observations.
            residuals = y.T[None] - p.means[..., None]
            scatter: Array = (residuals * w.T[:, None]) @ jnp.swapaxes(residuals, -1, -2)
            scatter = scatter + prior_count * off[..., None] * off[:, None]
            covariances = 0.0 if self.df is None else df + 2 * dim
            if self.covariance == "tied":
                total: Array = covariances + means * num_states + jnp.sum(size)
                return (scale * jnp.eye(dim) + jnp.sum(scatter, 0)) / total
            return (scale * jnp.eye(dim) + scatter) / (covariances + means + size)[:, None, None]
        squares: Array = jnp.einsum("nk,nk...->k...", w, (y[:, None] - p.means) ** 2) + prior_count * off**2
        variances = 0.0 if self.df is None else df + 2
        if self.dim is None:
            return (scale + squares) / (variances + means + size)
        if self.covariance == "diagonal":
            return (scale + squares) / (variances + means + size)[:, None]
        return (scale + jnp.sum(squares, 1)) / (variances + self.dim * (means + size))

    def start(self, num_states: int, d: Namespace) -> Params:
        """Mean and covariance of all observations, for each state; the M-step moves them to the clusters."""
        units = units_of_y(d, self.dim)
        means, variances = jnp.broadcast_to(units.centre, event_shape(num_states, self.dim)), units.spread**2
        if self._matrices:
            covs = variances * jnp.eye(self.dim)
            return {"means": means, "covs": covs if self.covariance == "tied" else jnp.tile(covs, (num_states, 1, 1))}
        if self.covariance == "spherical":
            variances = jnp.mean(variances)
        return {"means": means, "covs": jnp.broadcast_to(variances, (num_states, *variances.shape))}
