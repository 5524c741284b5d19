"""Multinomial logistic regression emissions, with inputs ``x`` ``(..., T, num_inputs)``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.engines.optimize.newton import damped_newton
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import Coefficients, Design, require_scale
from jaxlatent.models.emissions.linear import Regression, affine, centre_of
from jaxlatent.models.parts import Priors, Updates, weights_of
from jaxlatent.models.settings import require_count
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class CategoricalRegression(Regression):
    """One of ``num_classes`` by multinomial logits: ``weights`` ``(K, C, num_inputs)`` and ``biases`` ``(K, C)``.

    Args:
        num_inputs: of ``x``.
        num_classes: ``C``.
        prior_scale: of the normal prior of weights and biases, which identifies them: see `Coefficients`; "auto" is weak, in units of
            the inputs.
        bias: whether there are ``biases``; False if ``x`` has a column of ones.
    """

    num_inputs: int
    num_classes: int
    prior_scale: float | Literal["auto"] = "auto"
    bias: bool = True

    event_dim = 0

    def __post_init__(self) -> None:
        require_count("CategoricalRegression(num_classes=...)", self.num_classes, 2)
        require_scale("CategoricalRegression(prior_scale=...)", self.prior_scale, flat=False)

    @property
    def coefficients(self) -> Coefficients:
        """``weights``, and ``biases`` if there are any."""
        return Coefficients(self.num_inputs, self.prior_scale, ("weights", "biases") if self.bias else ("weights",))

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"weights": ("category", "input"), **({"biases": ("category",)} if self.bias else {})}

    @property
    def softmax(self) -> Mapping[str, int]:
        """The axis of the softmax of its logits, see `jaxlatent.Model`."""
        return {"weights": -2, "biases": -1}

    def prior(self, num_states: int) -> Priors:
        """The prior of the coefficients."""
        return self.coefficients.prior((num_states, self.num_classes), self.inputs)

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(..., T, K)``."""
        flat: Callable[[Array], Array] = lambda value: value.reshape(-1, *value.shape[2:])
        biases = flat(p.biases) if self.bias else None
        logits = affine(d.x, flat(p.weights), biases, centre_of(d, d.x))
        return dist.Categorical(logits=logits.reshape(*d.x.shape[:-1], *p.weights.shape[:2]))

    def m_step(self) -> Updates:
        """Two Newton steps for every state."""

        def both(p: Namespace, d: Namespace, expected: Expected) -> Any:
            w, design = weights_of(expected), self.coefficients.design(d, d.x)
            seen = jax.nn.one_hot(d.y.ravel(), self.num_classes, dtype=w.dtype)
            one: Callable[[Array, Array], Array] = lambda now, w: update_logits(now, design, w[:, None] * seen)
            now = design.standardise(p.weights, p.biases if self.bias else None)
            weights, biases = design.restore(jax.vmap(one, (0, 1))(now, w))
            return (weights, biases) if self.bias else weights

        return {("weights", "biases") if self.bias else "weights": both}

    def start(self, num_states: int, d: Namespace) -> Params:
        """Zero weights and biases."""
        shape = (num_states, self.num_classes)
        weights = {"weights": jnp.zeros((*shape, self.num_inputs))}
        return {**weights, "biases": jnp.zeros(shape)} if self.bias else weights


def update_logits(now: Array, design: Design, counts: Array) -> Array:
    """Two damped Newton steps for the coefficients of multinomial logits, which never decrease their log posterior.

    Args:
        now: standardised coefficients ``(C, P)``.
        design: of ``N`` rows.
        counts: observed or expected count of each class, ``(N, C)``.
    """

    def objective(flat: Array) -> Array:
        beta = flat.reshape(now.shape)
        return jnp.sum(counts * jax.nn.log_softmax(design.x @ beta.T, -1)) - jnp.sum(design.penalty(beta))

    return damped_newton(objective, now.ravel(), 2).reshape(now.shape)
