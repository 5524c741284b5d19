"""How much of a mixture each component has: the same everywhere, or by inputs. Parts of `jaxlatent.models.mixture`."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.latent import Expected
from jaxlatent.models.emissions.linear import affine, with_ones
from jaxlatent.models.emissions.multinomial import climb_logits
from jaxlatent.models.parts import Updates, rows, simplex_mode, weights_of
from jaxlatent.typing import Array


@dataclass(frozen=True)
class Constant:
    """``mixture_weights`` ``(K,)`` for all observations, under a Dirichlet prior.

    Args:
        concentration: of the prior; 1 is flat.
    """

    concentration: float = 1.1

    def prior(self, num_components: int) -> dict[str, Any]:
        """``mixture_weights``."""
        return {"mixture_weights": dist.Dirichlet(jnp.full(num_components, self.concentration))}

    def start(self, num_components: int) -> dict[str, Array]:
        """All components alike."""
        return {"mixture_weights": jnp.full(num_components, 1 / num_components)}

    def shape(self, d: Any) -> tuple[int, ...]:
        """Of the observations, as far as it depends on inputs."""
        return ()

    def labels(self, p: Any, d: Any) -> dist.Distribution:
        """The same for all observations."""
        return dist.Categorical(p.mixture_weights)

    def m_step(self) -> Updates:
        """In closed form."""

        def mixture_weights(p: Any, d: Any, expected: Expected) -> Array:
            return simplex_mode(jnp.sum(weights_of(expected), 0), self.concentration)

        return {"mixture_weights": mixture_weights}


@dataclass(frozen=True)
class Gate:
    """A softmax gate: multinomial logits of inputs ``x`` ``(..., num_inputs)``, as in a mixture of experts (Jordan and Jacobs 1994).

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal priors of ``gate_weights`` ``(K, num_inputs)`` and ``gate_biases`` ``(K,)``, which identifies them.
    """

    num_inputs: int
    prior_scale: float = 5.0

    def prior(self, num_components: int) -> dict[str, Any]:
        """Weights and biases."""
        normal = dist.Normal(0.0, self.prior_scale)
        return {
            "gate_weights": normal.expand((num_components, self.num_inputs)).to_event(2),
            "gate_biases": normal.expand((num_components,)).to_event(1),
        }

    def start(self, num_components: int) -> dict[str, Array]:
        """All components alike."""
        shape = (num_components, self.num_inputs)
        return {"gate_weights": jnp.zeros(shape), "gate_biases": jnp.zeros(num_components)}

    def shape(self, d: Any) -> tuple[int, ...]:
        """Of the observations, as far as it depends on inputs."""
        return d.x.shape[:-1]

    def labels(self, p: Any, d: Any) -> dist.Distribution:
        """One for each of the inputs."""
        return dist.Categorical(logits=affine(d.x, p.gate_weights, p.gate_biases))

    def m_step(self) -> Updates:
        """Newton steps: iteratively reweighted least squares (Jordan and Xu 1995)."""

        def both(p: Any, d: Any, expected: Expected) -> tuple[Array, Array]:
            now = jnp.concatenate([p.gate_weights, p.gate_biases[:, None]], 1)
            raised = climb_logits(now, with_ones(rows(d.x, 1)), weights_of(expected), self.prior_scale)
            return raised[:, :-1], raised[:, -1]

        return {("gate_weights", "gate_biases"): both}
