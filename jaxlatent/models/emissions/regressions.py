"""Emissions about a line of inputs ``x`` ``(..., T, num_inputs)``: regressions whose coefficients switch with the state."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.engines.newton import climb
from jaxlatent.latent import Expected
from jaxlatent.models.emissions.linear import Regression, affine, coefficients, gram, linear, no_slope, solve, with_ones
from jaxlatent.models.parts import Updates, floored_scale, rows, weights_of
from jaxlatent.typing import Array, Params


@dataclass(frozen=True)
class LinearRegression(Regression):
    """Normal observations about a line: ``weights`` ``(K, num_inputs)``, ``biases`` ``(K,)``, variances ``covs`` ``(K,)``.

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal prior of weights and biases; None is flat.
        variance_shape, variance_scale: of the inverse gamma prior of the variances; a shape of None is flat.
    """

    num_inputs: int
    prior_scale: float | None = None
    variance_shape: float | None = None
    variance_scale: float = 1e-4

    event_dim = 0

    def prior(self, num_states: int) -> dict[str, Any]:
        """``weights``, ``biases`` and ``covs``."""
        covs = (
            dist.ImproperUniform(dist.constraints.positive, (), (num_states,))
            if self.variance_shape is None
            else dist.InverseGamma(self.variance_shape, self.variance_scale).expand([num_states]).to_event(1)
        )
        return {**coefficients(num_states, self.num_inputs, self.prior_scale), "covs": covs}

    def distribution(self, p: Any, d: Any) -> dist.Distribution:
        """Of batch shape ``(..., T, K)``."""
        return dist.Normal(linear(p, self.inputs(d)), jnp.sqrt(p.covs))

    def m_step(self) -> Updates:
        """Weighted least squares, then the variances."""

        def both(p: Any, d: Any, expected: Expected) -> tuple[Array, Array]:
            w, y = weights_of(expected), d.y.ravel()
            x = with_ones(rows(self.inputs(d), 1))
            ridge = 0.0 if self.prior_scale is None else p.covs / self.prior_scale**2
            normal = gram(w, x) + jnp.eye(x.shape[1]) * jnp.reshape(ridge, (-1, 1, 1))
            solved = solve(normal, w.T @ (x * y[:, None]))
            return solved[:, :-1], solved[:, -1]

        def covs(p: Any, d: Any, expected: Expected) -> Array:
            w, y = weights_of(expected), d.y.ravel()
            squares = jnp.sum(w * (y[:, None] - linear(p, rows(self.inputs(d), 1))) ** 2, 0)
            size = jnp.sum(w, 0)
            if self.variance_shape is None:
                return jnp.maximum(squares / jnp.maximum(size, 1e-20), 1e-12)
            return (2 * self.variance_scale + squares) / (2 * self.variance_shape + 2 + size)

        return {("weights", "biases"): both, "covs": covs}

    def start(self, num_states: int, d: Any) -> Params:
        """No slope."""
        return {**no_slope(num_states, self.num_inputs), "covs": jnp.ones(num_states)}


@dataclass(frozen=True)
class Autoregression(LinearRegression):
    """Each step's scalar ``y`` regressed on those before it: `LinearRegression` whose inputs are the last ``num_inputs`` values.

    What lies before the first step counts as zero. A gap inside of a sequence is refused, as nothing is known of what follows it.

    Args:
        num_inputs: lags; ``weights[:, 0]`` is that of the step before.
    """

    def inputs(self, d: Any) -> Array:
        """Lagged values ``(..., T, num_inputs)``."""
        steps = d.y.shape[-1]
        before = jnp.concatenate([jnp.zeros((*d.y.shape[:-1], self.num_inputs), d.y.dtype), d.y], -1)
        lags = [
            before[..., self.num_inputs - lag : self.num_inputs - lag + steps] for lag in range(1, self.num_inputs + 1)
        ]
        return jnp.stack(lags, -1)


@dataclass(frozen=True)
class HeteroscedasticRegression(Regression):
    """Normal observations whose mean and log scale are both linear in the inputs.

    ``weights`` ``(K, num_inputs)`` and ``biases`` ``(K,)`` make the means, ``scale_weights`` and ``scale_biases`` of the same shapes the
    scales: ``exp(x @ scale_weights.T + scale_biases) + floor``.

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal prior of all coefficients.
        floor: the least scale.
    """

    num_inputs: int
    prior_scale: float = 5.0
    floor: float = 0.01

    event_dim = 0

    def prior(self, num_states: int) -> dict[str, Any]:
        """Coefficients of means and scales."""
        one = coefficients(num_states, self.num_inputs, self.prior_scale)
        return {**one, **{f"scale_{name}": prior for name, prior in one.items()}}

    def distribution(self, p: Any, d: Any) -> dist.Distribution:
        """Of batch shape ``(..., T, K)``."""
        return dist.Normal(linear(p, d.x), self.scales(d.x, p.scale_weights, p.scale_biases))

    def scales(self, x: Array, weights: Array, biases: Array) -> Array:
        """Standard deviations ``(..., K)``; finite at any coefficients."""
        return affine(x, weights, biases, lambda eta: floored_scale(eta, self.floor))

    def m_step(self) -> Updates:
        """Weighted least squares for the means, then Newton steps for the scales."""

        def means(p: Any, d: Any, expected: Expected) -> tuple[Array, Array]:
            x = with_ones(rows(d.x, 1))
            w = weights_of(expected) / self.scales(rows(d.x, 1), p.scale_weights, p.scale_biases) ** 2
            normal = gram(w, x) + jnp.eye(x.shape[1]) / self.prior_scale**2
            solved = solve(normal, w.T @ (x * d.y.ravel()[:, None]))
            return solved[:, :-1], solved[:, -1]

        def scales(p: Any, d: Any, expected: Expected) -> tuple[Array, Array]:
            x, w = rows(d.x, 1), weights_of(expected)
            off = d.y.ravel()[:, None] - linear(p, x)

            def one(weights: Array, bias: Array, off: Array, w: Array) -> Array:
                def height(flat: Array) -> Array:
                    scale = self.scales(x, flat[None, :-1], flat[-1:])[:, 0]
                    return jnp.sum(w * dist.Normal(0.0, scale).log_prob(off)) - 0.5 * jnp.sum(
                        (flat / self.prior_scale) ** 2
                    )

                return climb(height, jnp.append(weights, bias), 2)

            raised = jax.vmap(one, (0, 0, 1, 1))(p.scale_weights, p.scale_biases, off, w)
            return raised[:, :-1], raised[:, -1]

        return {("weights", "biases"): means, ("scale_weights", "scale_biases"): scales}

    def start(self, num_states: int, d: Any) -> Params:
        """No slope, and the scale of the data: M-steps move from there."""
        flat = no_slope(num_states, self.num_inputs)
        spread = jnp.log(jnp.std(d.y) + 1e-6)
        return {**flat, "scale_weights": flat["weights"], "scale_biases": jnp.full(num_states, spread)}
