"""Logistic and Poisson regression emissions, with inputs ``x`` ``(..., T, num_inputs)``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.distributions.bernoulli import BernoulliLogits
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import Coefficients, Design, Scale, level_of_logits
from jaxlatent.models.emissions.linear import Regression, solve, zero_weights
from jaxlatent.models.parts import Priors, Updates, weights_of
from jaxlatent.models.units import Units, units_of_y
from jaxlatent.typing import Array, Params

#: The smallest fraction of a Newton step that is tried.
_MIN_FRACTION = 1e-7


def fraction_of_step(gain: Callable[[Array], Array], size: Array) -> Array:
    """The fraction ``(K,)`` of a Newton step that each state takes: all of it, or so much that its objective does not decrease.

    Args:
        gain: of the objective of every state at given fractions.
        size: the weight of its observations ``(K,)``, by which the rounding error of the gain grows.
    """
    whole = jnp.ones_like(size)
    # Gains are most of the cost: take the full step for the states where it does not decrease the objective beyond rounding, and
    # shorten it for the others.
    rounding = jnp.finfo(size.dtype).eps * size
    too_far: Callable[[Array], Array] = lambda fraction: ~(gain(fraction) >= -rounding) & (fraction > 0)

    def shorten(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        fraction, far = carry
        fraction = jnp.where(far, jnp.where(fraction > _MIN_FRACTION, fraction / 4, 0.0), fraction)
        return fraction, too_far(fraction)

    fraction: Array = jax.lax.while_loop(lambda carry: jnp.any(carry[1]), shorten, (whole, too_far(whole)))[0]
    return fraction


@dataclass(frozen=True)
class GeneralisedLinear(Regression):
    """A one-parameter exponential family with its canonical link, ``log p = y eta - A(eta) + c(y)`` (McCullagh and Nelder 1989).

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal prior of weights and biases, see `Coefficients`: "auto" is weak, in units of the inputs; None is flat,
            so that weights diverge if inputs separate the observations.
        bias: whether there are ``biases``; False if ``x`` has a column of ones.
    """

    num_inputs: int
    prior_scale: Scale = "auto"
    bias: bool = True

    event_dim = 0

    def family(self, eta: Array) -> dist.Distribution:
        """The distribution at linear predictors."""
        raise NotImplementedError

    def log_partition(self, eta: Array) -> Array:
        """``A(eta)``."""
        raise NotImplementedError

    def moments(self, eta: Array) -> tuple[Array, Array]:
        """Mean and variance: the first two derivatives of ``A``."""
        raise NotImplementedError

    def level(self, d: Namespace) -> Units:
        """Expected centre and spread of linear predictors, for a prior in units of the data."""
        return level_of_logits(d)

    def link(self, mean: Array) -> Array:
        """The linear predictor of a mean inside the support."""
        raise NotImplementedError

    @property
    def coefficients(self) -> Coefficients:
        """``weights``, and ``biases`` if there are any."""
        return Coefficients(self.num_inputs, self.prior_scale, ("weights", "biases") if self.bias else ("weights",))

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"weights": ("input",), **({"biases": ()} if self.bias else {})}

    def prior(self, num_states: int) -> Priors:
        """The prior of the coefficients."""
        return self.coefficients.prior((num_states,), self.inputs, self.level)

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(..., T, K)``."""
        return self.family(self.predictors(p, d))

    def start(self, num_states: int, d: Namespace) -> Params:
        """Zero weights, at the mean of the observations."""
        flat = zero_weights(num_states, self.num_inputs, self.link(units_of_y(d).centre))
        return flat if self.bias else {"weights": flat["weights"]}

    def m_step(self) -> Updates:
        """One damped Newton step (iteratively reweighted least squares) for all states at once, which never decreases the objective.

        On the benchmark's GLM-HMM a second step saved no iteration of EM.
        """

        def both(p: Namespace, d: Namespace, expected: Expected) -> Any:
            design = self.coefficients.design(d, self.inputs(d), self.level)
            now = design.standardise(p.weights, p.biases if self.bias else None)
            weights, biases = design.restore(
                self._newton_step(now, design, d.y.ravel().astype(now.dtype), weights_of(expected).T)
            )
            return (weights, biases) if self.bias else weights

        return {("weights", "biases") if self.bias else "weights": both}

    def _newton_step(self, now: Array, design: Design, y: Array, w: Array) -> Array:
        """Update standardised coefficients ``(K, P)`` from ``now``, given observations ``(N,)`` and weights ``(K, N)``."""
        x, precision = design.x, design.precision
        squares = (x[:, :, None] * x[:, None]).reshape(x.shape[0], -1)
        eta = now @ x.T
        mean, variance = self.moments(eta)
        slope = (w * (y - mean)) @ x - (now - design.mean) @ precision
        hessian = ((w * variance) @ squares).reshape(*now.shape, -1) + precision
        direction = solve(hessian, slope)
        direction = jnp.where(jnp.isfinite(direction), direction, 0.0)
        along = direction @ x.T

        def gain(fraction: Array) -> Array:
            move, step = fraction[:, None] * direction, fraction[:, None] * along
            fit = jnp.sum(w * (y * step - (self.log_partition(eta + step) - self.log_partition(eta))), 1)
            return fit - jnp.sum(((now - design.mean + 0.5 * move) @ precision) * move, 1)

        return now + fraction_of_step(gain, jnp.sum(w, 1))[:, None] * direction


@dataclass(frozen=True)
class BernoulliRegression(GeneralisedLinear):
    """Zeros and ones by logistic regression: ``weights`` ``(K, num_inputs)`` and ``biases`` ``(K,)``."""

    def family(self, eta: Array) -> dist.Distribution:
        """Bernoulli with logits ``eta``."""
        return BernoulliLogits(eta)

    def link(self, mean: Array) -> Array:
        """The logit, clipped to be finite at 0 and 1."""
        probability = jnp.clip(mean, 1e-3, 1 - 1e-3)
        return jnp.log(probability) - jnp.log1p(-probability)

    def log_partition(self, eta: Array) -> Array:
        """``log(1 + exp(eta))``."""
        return jax.nn.softplus(eta)

    def moments(self, eta: Array) -> tuple[Array, Array]:
        """``p`` and ``p (1 - p)`` for the probability ``p``."""
        probs = jax.nn.sigmoid(eta)
        return probs, probs * (1 - probs)


@dataclass(frozen=True)
class PoissonRegression(GeneralisedLinear):
    """Counts by log-linear regression: ``weights`` ``(K, num_inputs)`` and ``biases`` ``(K,)``."""

    def family(self, eta: Array) -> dist.Distribution:
        """Poisson with log rates ``eta``."""
        return dist.Poisson(jnp.exp(eta))

    def link(self, mean: Array) -> Array:
        """The logarithm, clipped to be finite at 0."""
        return jnp.log(jnp.maximum(mean, 1e-3))

    def level(self, d: Namespace) -> Units:
        """Centred on the logarithm of the mean count."""
        return Units(self.link(units_of_y(d).centre), jnp.ones(()))

    def log_partition(self, eta: Array) -> Array:
        """``exp(eta)``."""
        return jnp.exp(eta)

    def moments(self, eta: Array) -> tuple[Array, Array]:
        """The rate for both."""
        rate = jnp.exp(eta)
        return rate, rate
