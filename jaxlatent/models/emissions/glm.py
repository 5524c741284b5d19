"""Generalised linear emissions of inputs ``x`` ``(..., T, num_inputs)``: events and counts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.distributions.bernoulli import BernoulliLogits
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import Coefficients, Design, Scale, level_of_logits
from jaxlatent.models.emissions.linear import Regression, no_slope, solve
from jaxlatent.models.parts import Priors, Updates, weights_of
from jaxlatent.models.units import Units, units_of_y
from jaxlatent.typing import Array, Params

#: The smallest part of a Newton step that is tried.
_LEAST = 1e-7


@dataclass(frozen=True)
class GeneralisedLinear(Regression):
    """A one-parameter exponential family with its canonical link, ``log p = y eta - A(eta) + c(y)`` (McCullagh and Nelder 1989).

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal prior of weights and biases, see `Coefficients`: "auto" is weak, in units of the inputs; None is flat:
            then nothing keeps the weights finite where inputs separate the observations.
        bias: False where a column of ``x`` is one already; there are no ``biases`` then.
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
        """Where linear predictors lie, for a prior in units of the data."""
        return level_of_logits(d)

    def link(self, mean: Array) -> Array:
        """The linear predictor of a mean inside the support."""
        raise NotImplementedError

    @property
    def coefficients(self) -> Coefficients:
        """``weights``, and ``biases`` if there are any."""
        return Coefficients(self.num_inputs, self.prior_scale, ("weights", "biases") if self.bias else ("weights",))

    def prior(self, num_states: int) -> Priors:
        """Of the coefficients."""
        return self.coefficients.prior((num_states,), self.inputs, self.level)

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """Of batch shape ``(..., T, K)``."""
        return self.family(self.predictors(p, d))

    def start(self, num_states: int, d: Namespace) -> Params:
        """No slope, at the mean of the observations."""
        flat = no_slope(num_states, self.num_inputs, self.link(units_of_y(d).centre))
        return flat if self.bias else {"weights": flat["weights"]}

    def m_step(self) -> Updates:
        """One Newton step (iteratively reweighted least squares), all states at once; no state is ever lowered.

        On the benchmark's GLM-HMM a second one saved no iteration of EM.
        """

        def both(p: Namespace, d: Namespace, expected: Expected) -> Any:
            design = self.coefficients.design(d, self.inputs(d), self.level)
            now = design.standardise(p.weights, p.biases if self.bias else None)
            weights, biases = design.restore(
                self._climb(now, design, d.y.ravel().astype(now.dtype), weights_of(expected).T)
            )
            return (weights, biases) if self.bias else weights

        return {("weights", "biases") if self.bias else "weights": both}

    def _climb(self, now: Array, design: Design, y: Array, w: Array) -> Array:
        """Standardised coefficients ``(K, P)`` raised from ``now``, given observations ``(N,)`` and weights ``(K, N)``."""
        x, precision = design.x, design.precision
        squares = (x[:, :, None] * x[:, None]).reshape(x.shape[0], -1)
        eta = now @ x.T
        mean, variance = self.moments(eta)
        slope = (w * (y - mean)) @ x - (now - design.mean) @ precision
        bent = ((w * variance) @ squares).reshape(*now.shape, -1) + precision
        direction = solve(bent, slope)
        direction = jnp.where(jnp.isfinite(direction), direction, 0.0)
        along = direction @ x.T

        def gain(fraction: Array) -> Array:
            move, step = fraction[:, None] * direction, fraction[:, None] * along
            fit = jnp.sum(w * (y * step - (self.log_partition(eta + step) - self.log_partition(eta))), 1)
            return fit - jnp.sum(((now - design.mean + 0.5 * move) @ precision) * move, 1)

        none = jnp.zeros_like(along[:, 0])
        # Gains are most of the cost: the full step is taken wherever it climbs, and cut only for the states where it does not. What
        # is lost by rounding is no reason to cut.
        rounding = jnp.finfo(now.dtype).eps * jnp.sum(w, 1)
        too_far: Callable[[Array], Array] = lambda fraction: ~(gain(fraction) >= -rounding) & (fraction > 0)

        def cut(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            fraction, far = carry
            fraction = jnp.where(far, jnp.where(fraction > _LEAST, fraction / 4, 0.0), fraction)
            return fraction, too_far(fraction)

        fraction, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[1]), cut, (none + 1, too_far(none + 1)))
        return now + fraction[:, None] * direction


@dataclass(frozen=True)
class BernoulliRegression(GeneralisedLinear):
    """Zeros and ones by logistic regression: ``weights`` ``(K, num_inputs)`` and ``biases`` ``(K,)``."""

    def family(self, eta: Array) -> dist.Distribution:
        """At logits."""
        return BernoulliLogits(eta)

    def link(self, mean: Array) -> Array:
        """The logit, of 0 and 1 too."""
        probability = jnp.clip(mean, 1e-3, 1 - 1e-3)
        return jnp.log(probability) - jnp.log1p(-probability)

    def log_partition(self, eta: Array) -> Array:
        """``log(1 + exp(eta))``."""
        return jax.nn.softplus(eta)

    def moments(self, eta: Array) -> tuple[Array, Array]:
        """Of a probability ``p``: ``p`` and ``p (1 - p)``."""
        probs = jax.nn.sigmoid(eta)
        return probs, probs * (1 - probs)


@dataclass(frozen=True)
class PoissonRegression(GeneralisedLinear):
    """Counts by log-linear regression: ``weights`` ``(K, num_inputs)`` and ``biases`` ``(K,)``."""

    def family(self, eta: Array) -> dist.Distribution:
        """At log rates."""
        return dist.Poisson(jnp.exp(eta))

    def link(self, mean: Array) -> Array:
        """The logarithm, of 0 too."""
        return jnp.log(jnp.maximum(mean, 1e-3))

    def level(self, d: Namespace) -> Units:
        """About the logarithm of the mean count."""
        return Units(self.link(units_of_y(d).centre), jnp.ones(()))

    def log_partition(self, eta: Array) -> Array:
        """``exp(eta)``."""
        return jnp.exp(eta)

    def moments(self, eta: Array) -> tuple[Array, Array]:
        """The rate, twice."""
        rate = jnp.exp(eta)
        return rate, rate
