"""Generalised linear emissions of inputs ``x`` ``(..., T, num_inputs)``: events and counts."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.distributions.bernoulli import BernoulliLogits
from jaxlatent.latent import Expected
from jaxlatent.models.emissions.linear import Regression, coefficients, linear, no_slope, solve, with_ones
from jaxlatent.models.parts import Updates, rows, weights_of
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class GeneralisedLinear(Regression):
    """A one-parameter exponential family with its canonical link, ``log p = y eta - A(eta) + c(y)`` (McCullagh and Nelder 1989).

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal prior of weights and biases; None is flat.
        bias: False where a column of ``x`` is one already; there are no ``biases`` then.
    """

    num_inputs: int
    prior_scale: float | None = None
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

    def prior(self, num_states: int) -> dict[str, Any]:
        """``weights``, and ``biases`` if there are any."""
        return coefficients(num_states, self.num_inputs, self.prior_scale, self.bias)

    def distribution(self, p: Any, d: Any) -> dist.Distribution:
        """Of batch shape ``(..., T, K)``."""
        return self.family(linear(p, d.x))

    def start(self, num_states: int, d: Any) -> Params:
        """No slope."""
        return no_slope(num_states, self.num_inputs, self.bias)

    def m_step(self) -> Updates:
        """One Newton step (iteratively reweighted least squares), all states at once; no state is ever lowered.

        On the benchmark's GLM-HMM a second one saved no iteration of EM.
        """

        def both(p: Any, d: Any, expected: Expected) -> Any:
            x = with_ones(rows(d.x, 1)) if self.bias else rows(d.x, 1)
            now = jnp.concatenate([p.weights, p.biases[:, None]], 1) if self.bias else p.weights
            raised = self._climb(now, x, d.y.ravel().astype(x.dtype), weights_of(expected).T)
            return (raised[:, :-1], raised[:, -1]) if self.bias else raised

        return {("weights", "biases") if self.bias else "weights": both}

    def _climb(self, now: Array, x: Array, y: Array, w: Array) -> Array:
        """Coefficients ``(K, D)`` raised from ``now``, given inputs ``(N, D)``, observations ``(N,)`` and weights ``(K, N)``."""
        precision = 0.0 if self.prior_scale is None else self.prior_scale**-2
        squares = (x[:, :, None] * x[:, None]).reshape(x.shape[0], -1)
        eta = now @ x.T
        mean, variance = self.moments(eta)
        slope = (w * (y - mean)) @ x - precision * now
        bent = ((w * variance) @ squares).reshape(*now.shape, -1) + precision * jnp.eye(x.shape[1])
        direction = solve(bent, slope)
        direction = jnp.where(jnp.isfinite(direction), direction, 0.0)
        along = direction @ x.T

        def gain(fraction: Array) -> Array:
            move, step = fraction[:, None] * direction, fraction[:, None] * along
            fit = jnp.sum(w * (y * step - (self.log_partition(eta + step) - self.log_partition(eta))), 1)
            return fit - 0.5 * precision * jnp.sum((2 * now + move) * move, 1)

        none = jnp.zeros_like(along[:, 0])
        # Gains are most of the cost: the full step is taken wherever it climbs, and cut only for the states where it does not.
        too_far = lambda fraction: ~(gain(fraction) >= 0) & (fraction > 0)

        def cut(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            fraction, far = carry
            fraction = jnp.where(far, jnp.where(fraction > 0.02, fraction / 4, 0.0), fraction)
            return fraction, too_far(fraction)

        fraction, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[1]), cut, (none + 1, too_far(none + 1)))
        return now + fraction[:, None] * direction


@dataclass(frozen=True)
class BernoulliRegression(GeneralisedLinear):
    """Zeros and ones by logistic regression: ``weights`` ``(K, num_inputs)`` and ``biases`` ``(K,)``."""

    def family(self, eta: Array) -> dist.Distribution:
        """At logits."""
        return BernoulliLogits(eta)

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

    def log_partition(self, eta: Array) -> Array:
        """``exp(eta)``."""
        return jnp.exp(eta)

    def moments(self, eta: Array) -> tuple[Array, Array]:
        """The rate, twice."""
        rate = jnp.exp(eta)
        return rate, rate
