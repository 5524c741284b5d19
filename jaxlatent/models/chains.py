"""How the states of a hidden Markov model begin and follow each other: parts of `jaxlatent.models.hmm`."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.engines.newton import climb
from jaxlatent.latent import Expected
from jaxlatent.models.parts import Updates, simplex_mode
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class Initial:
    """The same initial probabilities for every sequence, under a Dirichlet prior.

    Args:
        concentration: of the prior; 1 is flat.
    """

    concentration: float = 1.1

    def prior(self, num_states: int) -> dict[str, Any]:
        """``initial_probs`` ``(K,)``."""
        return {"initial_probs": dist.Dirichlet(jnp.full(num_states, self.concentration))}

    def start(self, num_states: int) -> Params:
        """All states alike."""
        return {"initial_probs": jnp.full(num_states, 1 / num_states)}

    def m_step(self) -> Updates:
        """In closed form."""

        def initial_probs(p: Any, d: Any, expected: Expected) -> Array:
            assert expected.initial is not None
            counts = expected.initial.reshape(-1, expected.initial.shape[-1]).sum(0)
            return simplex_mode(counts, self.concentration)

        return {"initial_probs": initial_probs}


@dataclass(frozen=True)
class Stationary:
    """One transition matrix for all steps; each row has a Dirichlet prior that may favour staying.

    Args:
        concentration: of the prior of every entry; 1 is flat.
        stickiness: added to the concentration of staying.
    """

    concentration: float = 1.1
    stickiness: float = 0.0

    def prior(self, num_states: int) -> dict[str, Any]:
        """``transition_matrix`` ``(K, K)``, rows from, columns to."""
        return {"transition_matrix": dist.Dirichlet(self._concentrations(num_states)).to_event(1)}

    def start(self, num_states: int) -> Params:
        """States that last for ten steps."""
        return {"transition_matrix": 0.9 * jnp.eye(num_states) + 0.1 / num_states}

    def matrix(self, p: Any, d: Any) -> Array:
        """``(K, K)``."""
        return p.transition_matrix

    def m_step(self) -> Updates:
        """In closed form."""

        def transition_matrix(p: Any, d: Any, expected: Expected) -> Array:
            assert expected.transitions is not None
            num_states = expected.transitions.shape[-1]
            counts = expected.transitions.reshape(-1, num_states, num_states).sum(0)
            return simplex_mode(counts, self._concentrations(num_states))

        return {"transition_matrix": transition_matrix}

    def _concentrations(self, num_states: int) -> Array:
        return self.concentration + self.stickiness * jnp.eye(num_states)


@dataclass(frozen=True)
class InputDriven:
    """Transitions by multinomial logits of inputs: data ``u`` ``(..., T, num_inputs)``; ``u[t]`` acts on the step into ``t``.

    Args:
        num_inputs: of ``u``.
        prior_scale: of the normal priors of ``transition_biases`` ``(K, K)`` and ``transition_weights`` ``(K, K, num_inputs)``.
    """

    num_inputs: int
    prior_scale: float = 2.0

    def prior(self, num_states: int) -> dict[str, Any]:
        """Biases and weights."""
        normal = dist.Normal(0.0, self.prior_scale)
        square = (num_states, num_states)
        return {
            "transition_biases": normal.expand(square).to_event(2),
            "transition_weights": normal.expand((*square, self.num_inputs)).to_event(3),
        }

    def start(self, num_states: int) -> Params:
        """States that last, whatever the inputs."""
        return {
            "transition_biases": 2.0 * jnp.eye(num_states),
            "transition_weights": jnp.zeros((num_states, num_states, self.num_inputs)),
        }

    def matrix(self, p: Any, d: Any) -> Array:
        """``(..., T - 1, K, K)``."""
        return jax.nn.softmax(self._logits(p.transition_biases, p.transition_weights, d.u), -1)

    def m_step(self) -> Updates:
        """Two Newton steps on both together."""

        def both(p: Any, d: Any, expected: Expected) -> tuple[Array, Array]:
            biases, weights, counts = p.transition_biases, p.transition_weights, expected.transitions
            assert counts is not None

            def height(flat: Array) -> Array:
                b, w = flat[: biases.size].reshape(biases.shape), flat[biases.size :].reshape(weights.shape)
                log_matrix = jax.nn.log_softmax(self._logits(b, w, d.u), -1)
                return jnp.sum(counts * log_matrix) - 0.5 * jnp.sum((flat / self.prior_scale) ** 2)

            flat = climb(height, jnp.concatenate([biases.ravel(), weights.ravel()]), 2)
            return flat[: biases.size].reshape(biases.shape), flat[biases.size :].reshape(weights.shape)

        return {
            ("transition_biases", "transition_weights"): both,
        }

    def _logits(self, biases: Array, weights: Array, u: Array) -> Array:
        return biases + jnp.einsum("...tu,iju->...tij", u[..., 1:, :], weights)
