"""Weights of mixture components, constant or dependent on inputs: parts of `jaxlatent.models.mixture`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import Coefficients, require_scale
from jaxlatent.models.emissions.linear import affine, centre_of
from jaxlatent.models.emissions.multinomial import update_logits
from jaxlatent.models.parts import Priors, Updates, simplex_mode, weights_of
from jaxlatent.models.settings import require_positive
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class Constant:
    """``mixture_weights`` ``(K,)`` common to all observations, with a Dirichlet prior.

    Args:
        concentration: of the prior; 1 is flat.
    """

    concentration: float = 1.1

    def __post_init__(self) -> None:
        require_positive("Constant(concentration=...)", self.concentration)

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"mixture_weights": ()}

    def prior(self, num_components: int) -> Priors:
        """``mixture_weights``."""
        return {"mixture_weights": dist.Dirichlet(jnp.full(num_components, self.concentration))}

    def start(self, num_components: int) -> Params:
        """Equal weights."""
        return {"mixture_weights": jnp.full(num_components, 1 / num_components)}

    def shape(self, d: Namespace) -> tuple[int, ...]:
        """Batch shape implied by inputs: none."""
        return ()

    def labels(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of labels."""
        return dist.Categorical(p.mixture_weights)

    def m_step(self) -> Updates:
        """The M-step in closed form."""

        def mixture_weights(p: Namespace, d: Namespace, expected: Expected) -> Array:
            return simplex_mode(jnp.sum(weights_of(expected), 0), self.concentration)

        return {"mixture_weights": mixture_weights}


@dataclass(frozen=True)
class Gate:
    """A softmax gate: multinomial logits of inputs ``x`` ``(..., num_inputs)``, as in a mixture of experts (Jordan and Jacobs 1994).

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal priors of ``gate_weights`` ``(K, num_inputs)`` and ``gate_biases`` ``(K,)``, which identifies them: see
            `Coefficients`; "auto" is weak, in units of the inputs.
    """

    num_inputs: int
    prior_scale: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        require_scale("Gate(prior_scale=...)", self.prior_scale, flat=False)

    @property
    def coefficients(self) -> Coefficients:
        """``gate_weights`` and ``gate_biases`` with their prior."""
        return Coefficients(self.num_inputs, self.prior_scale, ("gate_weights", "gate_biases"))

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"gate_weights": ("input",), "gate_biases": ()}

    @property
    def softmax(self) -> Mapping[str, int]:
        """The axis of the softmax of its logits, see `jaxlatent.Model`."""
        return {"gate_weights": -2, "gate_biases": -1}

    def prior(self, num_components: int) -> Priors:
        """Weights and biases."""
        return self.coefficients.prior((num_components,), lambda d: d.x)

    def start(self, num_components: int) -> Params:
        """Equal weights."""
        shape = (num_components, self.num_inputs)
        return {"gate_weights": jnp.zeros(shape), "gate_biases": jnp.zeros(num_components)}

    def shape(self, d: Namespace) -> tuple[int, ...]:
        """Batch shape implied by inputs."""
        leading: tuple[int, ...] = d.x.shape[:-1]
        return leading

    def labels(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of labels, one for each row of inputs."""
        return dist.Categorical(logits=affine(d.x, p.gate_weights, p.gate_biases, centre_of(d, d.x)))

    def m_step(self) -> Updates:
        """Newton steps: iteratively reweighted least squares (Jordan and Xu 1995)."""

        def both(p: Namespace, d: Namespace, expected: Expected) -> tuple[Array, Array | None]:
            design = self.coefficients.design(d, d.x)
            now = design.standardise(p.gate_weights, p.gate_biases)
            return design.restore(update_logits(now, design, weights_of(expected)))

        return {("gate_weights", "gate_biases"): both}
