"""Student-t emissions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import WEAK, require_scale
from jaxlatent.models.parts import Priors, Updates, weights_of
from jaxlatent.models.settings import require_positive
from jaxlatent.models.starts import Clustered
from jaxlatent.models.units import Units, units_of_y
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class StudentT(Clustered):
    """Scalar observations with heavy tails: ``means`` and ``scales`` ``(K,)``; normal and half-normal priors.

    Args:
        df: degrees of freedom, the same for all states.
        prior_scale: of the normal prior of the means about zero, and of the half-normal prior of the scales. "auto" is weak: about the
            mean of the data, with a scale of `WEAK` of their standard deviations.
    """

    df: float = 4.0
    prior_scale: float | Literal["auto"] = "auto"

    event_dim = 0

    def __post_init__(self) -> None:
        require_positive("StudentT(df=...)", self.df)
        require_scale("StudentT(prior_scale=...)", self.prior_scale, flat=False)

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"means": (), "scales": ()}

    def prior(self, num_states: int) -> Priors:
        """``means`` and ``scales``."""
        return {
            "means": lambda p, d: dist.Normal(*self._prior(d)).expand([num_states]).to_event(1),
            "scales": lambda p, d: dist.HalfNormal(self._prior(d).spread).expand([num_states]).to_event(1),
        }

    def _prior(self, d: Namespace) -> Units:
        """Centre and scale of the prior of the means."""
        if self.prior_scale != "auto":
            return Units(jnp.zeros(()), jnp.asarray(self.prior_scale, jnp.result_type(float)))
        units = units_of_y(d)
        return Units(units.centre, WEAK * units.spread)

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(K,)``."""
        return dist.StudentT(self.df, p.means, p.scales)

    def m_step(self) -> Updates:
        """One step of EM on the latent precisions of a Student-t as a scale mixture of normals (Liu and Rubin 1995)."""

        def weighted_rows(p: Namespace, d: Namespace, expected: Expected) -> tuple[Array, Array]:
            w, y = weights_of(expected), d.y.ravel()[:, None]
            return w * (self.df + 1) / (self.df + ((y - p.means) / p.scales) ** 2), y

        def means(p: Namespace, d: Namespace, expected: Expected) -> Array:
            (w, y), prior = weighted_rows(p, d, expected), self._prior(d)
            prior_count = (p.scales / prior.spread) ** 2
            # Relative to the means, for accuracy where outliers move the centre of all observations far away.
            off = jnp.sum(w * (y - p.means), 0) + prior_count * (prior.centre - p.means)
            raised: Array = p.means + off / (jnp.sum(w, 0) + prior_count)
            return raised

        def scales(p: Namespace, d: Namespace, expected: Expected) -> Array:
            # The maximum of -n log s - S / (2 s^2) - s^2 / (2 v^2) solves a quadratic equation in s^2.
            w, y = weighted_rows(p, d, expected)
            size, spread = jnp.sum(weights_of(expected), 0), jnp.sum(w * (y - p.means) ** 2, 0)
            ratio = 4 * spread / (self._prior(d).spread * jnp.maximum(size, 1e-20)) ** 2
            return jnp.sqrt(2 * spread / (jnp.maximum(size, 1e-20) * (1 + jnp.sqrt(1 + ratio))))

        return {"means": means, "scales": scales}

    def start(self, num_states: int, d: Namespace) -> Params:
        """Mean and ten times the spread of the data; the first M-step moves to the clusters."""
        centre, spread = units_of_y(d)
        return {"means": jnp.full(num_states, centre), "scales": jnp.full(num_states, 10 * spread)}
