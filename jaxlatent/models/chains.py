"""Initial probabilities and transitions of hidden Markov models: parts of `jaxlatent.models.hmm`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.engines.optimize.newton import damped_newton
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import Coefficients, require_inputs, require_scale
from jaxlatent.models.emissions.linear import affine, centre_of
from jaxlatent.models.parts import Priors, Updates, simplex_mode
from jaxlatent.models.settings import require_positive
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class Initial:
    """The same initial probabilities for every sequence, under a Dirichlet prior.

    Args:
        concentration: of the prior; 1 is flat.
    """

    concentration: float = 1.1

    def __post_init__(self) -> None:
        require_positive("Initial(concentration=...)", self.concentration)

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"initial_probs": ()}

    def prior(self, num_states: int) -> Priors:
        """``initial_probs`` ``(K,)``."""
        return {"initial_probs": dist.Dirichlet(jnp.full(num_states, self.concentration))}

    def start(self, num_states: int) -> Params:
        """Equal probabilities."""
        return {"initial_probs": jnp.full(num_states, 1 / num_states)}

    def m_step(self) -> Updates:
        """The M-step in closed form."""

        def initial_probs(p: Namespace, d: Namespace, expected: Expected) -> Array:
            assert expected.initial is not None
            counts = expected.initial.reshape(-1, expected.initial.shape[-1]).sum(0)
            return simplex_mode(counts, self.concentration)

        return {"initial_probs": initial_probs}


@dataclass(frozen=True)
class Stationary:
    """One transition matrix for all steps, with a Dirichlet prior on each row that may favour self-transitions.

    Args:
        concentration: of the prior of every entry; 1 is flat.
        stickiness: added to the concentration of self-transitions.
    """

    concentration: float = 1.1
    stickiness: float = 0.0

    def __post_init__(self) -> None:
        require_positive("Stationary(concentration=...)", self.concentration)
        require_positive("Stationary(), concentration + stickiness", self.concentration + self.stickiness)

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"transition_matrix": ("next_state",)}

    def prior(self, num_states: int) -> Priors:
        """``transition_matrix`` ``(K, K)``, from row to column."""
        return {"transition_matrix": dist.Dirichlet(self._concentrations(num_states)).to_event(1)}

    def start(self, num_states: int) -> Params:
        """States with a mean duration of about ten steps."""
        return {"transition_matrix": 0.9 * jnp.eye(num_states) + 0.1 / num_states}

    def matrix(self, p: Namespace, d: Namespace) -> Array:
        """``(K, K)``."""
        matrix: Array = p.transition_matrix
        return matrix

    def m_step(self) -> Updates:
        """The M-step in closed form."""

        def transition_matrix(p: Namespace, d: Namespace, expected: Expected) -> Array:
            assert expected.transitions is not None
            num_states = expected.transitions.shape[-1]
            counts = expected.transitions.reshape(-1, num_states, num_states).sum(0)
            return simplex_mode(counts, self._concentrations(num_states))

        return {"transition_matrix": transition_matrix}

    def _concentrations(self, num_states: int) -> Array:
        return self.concentration + self.stickiness * jnp.eye(num_states)


@dataclass(frozen=True)
class InputDriven:
    """Multinomial logistic transitions: data ``u`` ``(..., T, num_inputs)``; ``u[t]`` affects the transition into step ``t``.

    Args:
        num_inputs: of ``u``.
        prior_scale: of the normal priors of ``transition_weights`` ``(K, K, num_inputs)`` and ``transition_biases`` ``(K, K)``: see
            `Coefficients`; "auto" is weak, in units of the inputs.
    """

    num_inputs: int
    prior_scale: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        require_scale("InputDriven(prior_scale=...)", self.prior_scale, flat=False)

    @property
    def coefficients(self) -> Coefficients:
        """``transition_weights`` and ``transition_biases`` with their prior."""
        return Coefficients(self.num_inputs, self.prior_scale, ("transition_weights", "transition_biases"), "u")

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"transition_weights": ("next_state", "transition_input"), "transition_biases": ("next_state",)}

    @property
    def softmax(self) -> Mapping[str, int]:
        """The axis of the softmax of its logits, see `jaxlatent.Model`."""
        return {"transition_weights": -2, "transition_biases": -1}

    def prior(self, num_states: int) -> Priors:
        """Weights and biases."""
        return self.coefficients.prior((num_states, num_states), lambda d: d.u)

    def start(self, num_states: int) -> Params:
        """Persistent states, independent of inputs."""
        return {
            "transition_biases": 2.0 * jnp.eye(num_states),
            "transition_weights": jnp.zeros((num_states, num_states, self.num_inputs)),
        }

    def matrix(self, p: Namespace, d: Namespace) -> Array:
        """``(..., T - 1, K, K)``."""
        require_inputs(d.u, self.num_inputs, "u")
        from_state: Callable[[Array], Array] = lambda value: value.reshape(-1, *value.shape[2:])
        logits = affine(d.u, from_state(p.transition_weights), from_state(p.transition_biases), centre_of(d, d.u))
        return jax.nn.softmax(logits.reshape(*d.u.shape[:-1], *p.transition_biases.shape)[..., 1:, :, :], -1)

    def m_step(self) -> Updates:
        """Two Newton steps on weights and biases jointly."""

        def both(p: Namespace, d: Namespace, expected: Expected) -> tuple[Array, Array | None]:
            assert expected.transitions is not None
            design = self.coefficients.design(d, d.u)
            into = design.x.reshape(*d.u.shape[:-1], -1)[..., 1:, :]
            now, counts = design.standardise(p.transition_weights, p.transition_biases), expected.transitions

            def objective(flat: Array) -> Array:
                beta = flat.reshape(now.shape)
                log_matrix = jax.nn.log_softmax(jnp.einsum("...tp,ijp->...tij", into, beta), -1)
                return jnp.sum(counts * log_matrix) - jnp.sum(design.penalty(beta))

            return design.restore(damped_newton(objective, now.ravel(), 2).reshape(now.shape))

        return {("transition_weights", "transition_biases"): both}
