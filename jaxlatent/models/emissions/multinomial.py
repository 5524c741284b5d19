"""Emissions of classes that depend on inputs ``x`` ``(..., T, num_inputs)``."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.engines.newton import climb
from jaxlatent.latent import Expected
from jaxlatent.models.emissions.linear import Regression, with_ones
from jaxlatent.models.parts import Updates, rows, weights_of
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class CategoricalRegression(Regression):
    """One of ``num_classes`` by multinomial logits: ``weights`` ``(K, C, num_inputs)`` and ``biases`` ``(K, C)``.

    Args:
        num_inputs: of ``x``.
        num_classes: ``C``.
        prior_scale: of the normal prior of weights and biases, which identifies them.
    """

    num_inputs: int
    num_classes: int
    prior_scale: float = 2.0

    event_dim = 0

    def prior(self, num_states: int) -> dict[str, Any]:
        """``weights`` and ``biases``."""
        normal = dist.Normal(0.0, self.prior_scale)
        shape = (num_states, self.num_classes)
        return {
            "weights": normal.expand((*shape, self.num_inputs)).to_event(3),
            "biases": normal.expand(shape).to_event(2),
        }

    def distribution(self, p: Any, d: Any) -> dist.Distribution:
        """Of batch shape ``(..., T, K)``."""
        return dist.Categorical(logits=p.biases + jnp.einsum("...i,kci->...kc", d.x, p.weights))

    def m_step(self) -> Updates:
        """Two Newton steps for every state."""

        def both(p: Any, d: Any, expected: Expected) -> tuple[Array, Array]:
            w, x = weights_of(expected), with_ones(rows(d.x, 1))
            seen = jax.nn.one_hot(d.y.ravel(), self.num_classes, dtype=x.dtype)
            now = jnp.concatenate([p.weights, p.biases[..., None]], -1)

            one = lambda now, w: climb_logits(now, x, w[:, None] * seen, self.prior_scale)
            raised = jax.vmap(one, (0, 1))(now, w)
            return raised[..., :-1], raised[..., -1]

        return {("weights", "biases"): both}

    def start(self, num_states: int, d: Any) -> Params:
        """No slope."""
        shape = (num_states, self.num_classes)
        return {"weights": jnp.zeros((*shape, self.num_inputs)), "biases": jnp.zeros(shape)}


def climb_logits(now: Array, x: Array, counts: Array, prior_scale: float) -> Array:
    """Two Newton steps for the coefficients of multinomial logits, which never lower their log posterior.

    Args:
        now: coefficients ``(C, D)``.
        x: inputs ``(N, D)``.
        counts: how often each class was seen with them, or how probable it is, ``(N, C)``.
        prior_scale: of the normal prior of the coefficients.
    """

    def height(flat: Array) -> Array:
        logits = jax.nn.log_softmax(x @ flat.reshape(now.shape).T, -1)
        return jnp.sum(counts * logits) - 0.5 * jnp.sum((flat / prior_scale) ** 2)

    return climb(height, now.ravel(), 2).reshape(now.shape)
