"""Logistic and Poisson regression emissions, with inputs ``x`` ``(..., T, num_inputs)``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.distributions.bernoulli import BernoulliLogits
from jaxlatent.distributions.counts import Poisson
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import Coefficients, Design, Scale, level_of_logits
from jaxlatent.models.emissions.linear import Regression, solve, zero_weights
from jaxlatent.models.parts import Priors, Updates, columns
from jaxlatent.models.units import Units, units_of_y
from jaxlatent.typing import Array, Params

#: A Newton step that changes no linear predictor by more than this never decreases the objective. The third derivative of `log_partition`
#: is at most the second in absolute value, so that ``A(eta + s) - A(eta) - A'(eta) s <= A''(eta) (exp(|s|) - |s| - 1)`` (Bach 2010,
#: proposition 1), and a full step gains what is left of ``A''(eta) s^2``, which is positive up to here.
_SAFE_STEP = 1.79
#: The smallest fraction of a Newton step that is tried.
_MIN_FRACTION = 1e-7


def fraction_of_step(too_far: Callable[[Array], Array], longest: Array) -> Array:
    """The fraction ``(K,)`` of a Newton step that each state takes: all of it, or so much that its objective does not decrease.

    Args:
        too_far: whether the objective of each state decreases beyond rounding at given fractions.
        longest: the largest change of a linear predictor by the whole step, or a bound on it ``(K,)``.
    """

    def shorten(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        fraction, unsettled = carry
        far = unsettled & too_far(fraction)
        fraction = jnp.where(far, jnp.where(fraction > _MIN_FRACTION, fraction / 4, 0.0), fraction)
        return fraction, far & (fraction > 0)

    # To evaluate the gain costs more than all else, and is needed only where the full step might decrease the objective.
    start = jnp.ones_like(longest), ~(longest <= _SAFE_STEP)
    fraction: Array = jax.lax.while_loop(lambda carry: jnp.any(carry[1]), shorten, start)[0]
    return fraction


@dataclass(frozen=True)
class GeneralisedLinear(Regression):
    """A one-parameter exponential family with its canonical link, ``log p = y eta - A(eta) + c(y)`` (McCullagh and Nelder 1989).

    It is assumed that ``|A'''| <= A''``, as for binary and Poisson observations.

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
            assert expected.weights is not None
            design = self.coefficients.design(d, self.inputs(d), self.level)
            now = design.standardise(p.weights, p.biases if self.bias else None)
            y, w = columns(d.y, 0).astype(now.dtype), columns(expected.weights, 1)
            weights, biases = design.restore(self._newton_step(now, design, design.columns(self.inputs(d)), y, w))
            return (weights, biases) if self.bias else weights

        return {("weights", "biases") if self.bias else "weights": both}

    def _newton_step(self, now: Array, design: Design, x: Array, y: Array, w: Array) -> Array:
        """Update standardised coefficients ``(K, P)`` from ``now``, given inputs ``(P, N)``, observations ``(N,)``, weights ``(K, N)``."""
        precision, half = design.precision, np.triu_indices(x.shape[0])
        eta = now @ x
        mean, variance = self.moments(eta)
        slope = (w * (y - mean)) @ x.T - (now - design.mean) @ precision
        upper = (w * variance) @ (x[half[0]] * x[half[1]]).T
        curvature = jnp.zeros((*now.shape, x.shape[0]), now.dtype).at[:, *half].set(upper).at[:, *half[::-1]].set(upper)
        direction = solve(curvature + precision, slope)
        direction = jnp.where(jnp.isfinite(direction), direction, 0.0)

        def too_far(fraction: Array) -> Array:
            # Tied to the carry of the loop, or XLA would evaluate parts of the gain before it, whether needed or not.
            fraction, before, weights = jax.lax.optimization_barrier((fraction, eta, w))
            move = fraction[:, None] * direction
            step = move @ x
            fit = jnp.sum(weights * (y * step - (self.log_partition(before + step) - self.log_partition(before))), 1)
            gain = fit - jnp.sum(((now - design.mean + 0.5 * move) @ precision) * move, 1)
            return ~(gain >= -jnp.finfo(now.dtype).eps * jnp.sum(weights, 1))

        fraction = fraction_of_step(too_far, jnp.abs(direction) @ jnp.max(jnp.abs(x), 1))
        return now + fraction[:, None] * direction


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
        return Poisson(jnp.exp(eta))

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
