"""Emissions with heavy tails."""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.errors import require
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import WEAK, require_scale
from jaxlatent.models.parts import Priors, Updates, weights_of
from jaxlatent.models.starts import Clustered
from jaxlatent.models.units import Units, units_of_y
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class StudentT(Clustered):
    """Scalar observations with heavy tails: ``means`` and ``scales`` ``(K,)``; normal and half-normal priors.

    Args:
        df: degrees of freedom, the same for all states.
        prior_scale: of the normal prior of the means about zero, and of the half-normal prior of the scales. "auto" is weak, in units of
            the data: about their mean, of `WEAK` of their standard deviations.
    """

    df: float = 4.0
    prior_scale: float | Literal["auto"] = "auto"

    event_dim = 0

    def __post_init__(self) -> None:
        require(self.df > 0, "StudentT(df=...)", got=self.df, expected="positive degrees of freedom")
        require_scale("StudentT(prior_scale=...)", self.prior_scale, flat=False)

    def prior(self, num_states: int) -> Priors:
        """``means`` and ``scales``."""
        return {
            "means": lambda p, d: dist.Normal(*self._prior(d)).expand([num_states]).to_event(1),
            "scales": lambda p, d: dist.HalfNormal(self._prior(d).spread).expand([num_states]).to_event(1),
        }

    def _prior(self, d: Namespace) -> Units:
        """Where the means are expected, and how far from there."""
        if self.prior_scale != "auto":
            return Units(jnp.zeros(()), jnp.asarray(self.prior_scale, jnp.result_type(float)))
        units = units_of_y(d)
        return Units(units.centre, WEAK * units.spread)

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """Of batch shape ``(K,)``."""
        return dist.StudentT(self.df, p.means, p.scales)

    def m_step(self) -> Updates:
        """One step of EM on the hidden precisions that make a Student-t of normals (Liu and Rubin 1995); raises, not maximises."""

        def pull(p: Namespace, d: Namespace, expected: Expected) -> tuple[Array, Array]:
            w, y = weights_of(expected), d.y.ravel()[:, None]
            return w * (self.df + 1) / (self.df + ((y - p.means) / p.scales) ** 2), y

        def means(p: Namespace, d: Namespace, expected: Expected) -> Array:
            (w, y), prior = pull(p, d, expected), self._prior(d)
            worth = (p.scales / prior.spread) ** 2
            raised: Array = prior.centre + jnp.sum(w * (y - prior.centre), 0) / (jnp.sum(w, 0) + worth)
            return raised

        def scales(p: Namespace, d: Namespace, expected: Expected) -> Array:
            # Of -n log s - S / (2 s^2) - s^2 / (2 v^2): a quadratic equation in s^2.
            w, y = pull(p, d, expected)
            size, spread = jnp.sum(weights_of(expected), 0), jnp.sum(w * (y - p.means) ** 2, 0)
            ratio = 4 * spread / (self._prior(d).spread * jnp.maximum(size, 1e-20)) ** 2
            return jnp.sqrt(2 * spread / (jnp.maximum(size, 1e-20) * (1 + jnp.sqrt(1 + ratio))))

        return {"means": means, "scales": scales}

    def start(self, num_states: int, d: Namespace) -> Params:
        """The spread of the data: a first M-step moves to the clusters."""
        centre, spread = units_of_y(d)
        return {"means": jnp.full(num_states, centre), "scales": jnp.full(num_states, 10 * spread)}
