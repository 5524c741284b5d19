"""Emissions with heavy tails."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.latent import Expected
from jaxlatent.models.parts import Clustered, Updates, weights_of
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class StudentT(Clustered):
    """Scalar observations with heavy tails: ``means`` and ``scales`` ``(K,)``; normal and half-normal priors, weak by default.

    Args:
        df: degrees of freedom, the same for all states.
        prior_scale: of the normal prior of the means, and of the half-normal prior of the scales.
    """

    df: float = 4.0
    prior_scale: float = 100.0

    event_dim = 0

    def prior(self, num_states: int) -> dict[str, Any]:
        """``means`` and ``scales``."""
        return {
            "means": dist.Normal(0.0, self.prior_scale).expand([num_states]).to_event(1),
            "scales": dist.HalfNormal(self.prior_scale).expand([num_states]).to_event(1),
        }

    def distribution(self, p: Any, d: Any) -> dist.Distribution:
        """Of batch shape ``(K,)``."""
        return dist.StudentT(self.df, p.means, p.scales)

    def m_step(self) -> Updates:
        """One step of EM on the hidden precisions that make a Student-t of normals (Liu and Rubin 1995); raises, not maximises."""

        def pull(p: Any, d: Any, expected: Expected) -> tuple[Array, Array]:
            w, y = weights_of(expected), d.y.ravel()[:, None]
            return w * (self.df + 1) / (self.df + ((y - p.means) / p.scales) ** 2), y

        def means(p: Any, d: Any, expected: Expected) -> Array:
            w, y = pull(p, d, expected)
            precision = 1 / p.scales**2
            return jnp.sum(w * y, 0) * precision / (jnp.sum(w, 0) * precision + self.prior_scale**-2)

        def scales(p: Any, d: Any, expected: Expected) -> Array:
            # Of -n log s - S / (2 s^2) - s^2 / (2 v^2): a quadratic equation in s^2.
            w, y = pull(p, d, expected)
            size, spread = jnp.sum(weights_of(expected), 0), jnp.sum(w * (y - p.means) ** 2, 0)
            ratio = 4 * spread / (self.prior_scale**2 * jnp.maximum(size, 1e-20) ** 2)
            return jnp.sqrt(2 * spread / (jnp.maximum(size, 1e-20) * (1 + jnp.sqrt(1 + ratio))))

        return {"means": means, "scales": scales}

    def start(self, num_states: int, d: Any) -> Params:
        """The spread of the data: a first M-step moves to the clusters."""
        y = d.y.ravel().astype(jnp.result_type(float))
        return {"means": jnp.full(num_states, jnp.mean(y)), "scales": jnp.full(num_states, 10 * jnp.std(y) + 1e-3)}
