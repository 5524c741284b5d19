"""Emissions that depend on inputs ``x`` ``(..., T, num_inputs)``: regressions whose coefficients switch with the state."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.linalg import cho_solve

from jaxlatent.engines.newton import climb
from jaxlatent.latent import Expected
from jaxlatent.models.parts import Updates, rows, weights_of, windows
from jaxlatent.typing import Array, Key, Params


class Regression:
    """Emissions that start from regressions on random stretches of the data."""

    num_inputs: int

    def labels(self, key: Key, d: Any, mask: Array, num_states: int) -> Array:
        """A short random stretch for each state, ``(N, K)``."""
        length = max(5 * (self.num_inputs + 1), mask.size // (10 * num_states))
        return windows(key, mask, num_states, length)


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

    def inputs(self, d: Any) -> Array:
        """``(..., T, num_inputs)``."""
        return d.x

    def prior(self, num_states: int) -> dict[str, Any]:
        """``weights``, ``biases`` and ``covs``."""
        covs = (
            dist.ImproperUniform(dist.constraints.positive, (), (num_states,))
            if self.variance_shape is None
            else dist.InverseGamma(self.variance_shape, self.variance_scale).expand([num_states]).to_event(1)
        )
        return {**_coefficients(num_states, self.num_inputs, self.prior_scale), "covs": covs}

    def distribution(self, p: Any, d: Any) -> dist.Distribution:
        """Of batch shape ``(..., T, K)``."""
        return dist.Normal(linear(p, self.inputs(d)), jnp.sqrt(p.covs))

    def m_step(self) -> Updates:
        """Weighted least squares, then the variances."""

        def coefficients(p: Any, d: Any, expected: Expected) -> tuple[Array, Array]:
            w, y = weights_of(expected), d.y.ravel()
            x = with_ones(rows(self.inputs(d), 1))
            ridge = 0.0 if self.prior_scale is None else p.covs / self.prior_scale**2
            gram = _gram(w, x) + jnp.eye(x.shape[1]) * jnp.reshape(ridge, (-1, 1, 1))
            solved = _solve(gram, w.T @ (x * y[:, None]))
            return solved[:, :-1], solved[:, -1]

        def covs(p: Any, d: Any, expected: Expected) -> Array:
            w, y = weights_of(expected), d.y.ravel()
            squares = jnp.sum(w * (y[:, None] - linear(p, rows(self.inputs(d), 1))) ** 2, 0)
            size = jnp.sum(w, 0)
            if self.variance_shape is None:
                return jnp.maximum(squares / jnp.maximum(size, 1e-20), 1e-12)
            return (2 * self.variance_scale + squares) / (2 * self.variance_shape + 2 + size)

        return {("weights", "biases"): coefficients, "covs": covs}

    def start(self, num_states: int, d: Any) -> Params:
        """No slope."""
        return {**_no_slope(num_states, self.num_inputs), "covs": jnp.ones(num_states)}


@dataclass(frozen=True)
class Autoregression(LinearRegression):
    """Each step's scalar ``y`` regressed on those before it: `LinearRegression` whose inputs are the last ``num_inputs`` values.

    What lies before the first step counts as zero, and so does a masked value.

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
class BernoulliRegression(Regression):
    """Zeros and ones by logistic regression: ``weights`` ``(K, num_inputs)`` and ``biases`` ``(K,)``.

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal prior of weights and biases; None is flat.
        bias: False where a column of ``x`` is one already; there are no ``biases`` then.
    """

    num_inputs: int
    prior_scale: float | None = None
    bias: bool = True

    event_dim = 0

    def prior(self, num_states: int) -> dict[str, Any]:
        """``weights``, and ``biases`` if there are any."""
        return _coefficients(num_states, self.num_inputs, self.prior_scale, self.bias)

    def distribution(self, p: Any, d: Any) -> dist.Distribution:
        """Of batch shape ``(..., T, K)``."""
        return dist.Bernoulli(logits=linear(p, d.x))

    def m_step(self) -> Updates:
        """Two Newton steps for every state."""
        sigmoid = jax.nn.sigmoid
        slope = lambda eta: (sigmoid(eta), sigmoid(eta) * sigmoid(-eta))
        return _newton(self, slope, lambda y, eta: y * eta - jax.nn.softplus(eta))

    def start(self, num_states: int, d: Any) -> Params:
        """No slope."""
        return _no_slope(num_states, self.num_inputs, self.bias)


@dataclass(frozen=True)
class PoissonRegression(Regression):
    """Counts by log-linear regression: ``weights`` ``(K, num_inputs)`` and ``biases`` ``(K,)``.

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal prior of weights and biases; None is flat.
        bias: False where a column of ``x`` is one already.
    """

    num_inputs: int
    prior_scale: float | None = None
    bias: bool = True

    event_dim = 0

    def prior(self, num_states: int) -> dict[str, Any]:
        """``weights``, and ``biases`` if there are any."""
        return _coefficients(num_states, self.num_inputs, self.prior_scale, self.bias)

    def distribution(self, p: Any, d: Any) -> dist.Distribution:
        """Of batch shape ``(..., T, K)``."""
        return dist.Poisson(jnp.exp(linear(p, d.x)))

    def m_step(self) -> Updates:
        """Two Newton steps for every state."""
        return _newton(self, lambda eta: (jnp.exp(eta), jnp.exp(eta)), lambda y, eta: y * eta - jnp.exp(eta))

    def start(self, num_states: int, d: Any) -> Params:
        """No slope."""
        return _no_slope(num_states, self.num_inputs, self.bias)


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

        def coefficients(p: Any, d: Any, expected: Expected) -> tuple[Array, Array]:
            w, x = weights_of(expected), with_ones(rows(d.x, 1))
            seen = jax.nn.one_hot(d.y.ravel(), self.num_classes, dtype=x.dtype)
            now = jnp.concatenate([p.weights, p.biases[..., None]], -1)

            def one(now: Array, w: Array) -> Array:
                def height(flat: Array) -> Array:
                    logits = jax.nn.log_softmax(x @ flat.reshape(now.shape).T, -1)
                    return jnp.sum(w[:, None] * seen * logits) - 0.5 * jnp.sum((flat / self.prior_scale) ** 2)

                return climb(height, now.ravel(), 2).reshape(now.shape)

            raised = jax.vmap(one, (0, 1))(now, w)
            return raised[..., :-1], raised[..., -1]

        return {("weights", "biases"): coefficients}

    def start(self, num_states: int, d: Any) -> Params:
        """No slope."""
        shape = (num_states, self.num_classes)
        return {"weights": jnp.zeros((*shape, self.num_inputs)), "biases": jnp.zeros(shape)}


def linear(p: Any, x: Array) -> Array:
    """Linear predictors ``(..., K)`` of inputs ``(..., num_inputs)``."""
    eta = x @ p.weights.T
    return eta + p.biases if "biases" in p else eta


def with_ones(x: Array) -> Array:
    """``(N, D)`` with a last column of ones."""
    return jnp.concatenate([x, jnp.ones_like(x[:, :1])], 1)


def _coefficients(num_states: int, num_inputs: int, scale: float | None, bias: bool = True) -> dict[str, Any]:
    shapes = {"weights": (num_states, num_inputs), **({"biases": (num_states,)} if bias else {})}
    if scale is None:
        return {name: dist.ImproperUniform(dist.constraints.real, (), shape) for name, shape in shapes.items()}
    return {name: dist.Normal(0.0, scale).expand(shape).to_event(len(shape)) for name, shape in shapes.items()}


def _no_slope(num_states: int, num_inputs: int, bias: bool = True) -> Params:
    return {"weights": jnp.zeros((num_states, num_inputs)), **({"biases": jnp.zeros(num_states)} if bias else {})}


def _gram(w: Array, x: Array) -> Array:
    """``X' diag(w_k) X`` for every state, ``(K, D, D)``: one product with the squares of ``x``, which all states share."""
    squares = (x[:, :, None] * x[:, None]).reshape(x.shape[0], -1)
    return (w.T @ squares).reshape(-1, x.shape[1], x.shape[1])


def _solve(gram: Array, right: Array) -> Array:
    """Solve stacks of positive definite systems ``(K, D, D)``, a trace of ridge keeping those of empty states sound."""
    dim = gram.shape[-1]
    size = jnp.trace(gram, axis1=-2, axis2=-1)[:, None, None] / dim
    ridge = (10 * jnp.finfo(gram.dtype).eps * size + jnp.finfo(gram.dtype).tiny ** 0.5) * jnp.eye(dim)
    factor = jnp.linalg.cholesky(gram + ridge)
    return jax.vmap(lambda f, r: cho_solve((f, True), r))(factor, right)


def _newton(family: Any, moments: Any, log_prob: Any) -> Updates:
    """Two Newton steps for a generalised linear model with its canonical link, all states at once; no state is ever lowered.

    Args:
        family: with ``prior_scale`` and ``bias``.
        moments: ``eta -> mean, variance``.
        log_prob: ``y, eta -> log density`` up to what does not depend on eta.
    """

    def coefficients(p: Any, d: Any, expected: Expected) -> Any:
        w, y = weights_of(expected), d.y.ravel()[:, None]
        x = with_ones(rows(d.x, 1)) if family.bias else rows(d.x, 1)
        y = y.astype(x.dtype)
        precision = 0.0 if family.prior_scale is None else family.prior_scale**-2
        now = jnp.concatenate([p.weights, p.biases[:, None]], 1) if family.bias else p.weights

        def step(_: int, now: Array) -> Array:
            eta = x @ now.T
            mean, variance = moments(eta)
            slope = (w * (y - mean)).T @ x - precision * now
            bent = _gram(w * variance, x) + precision * jnp.eye(x.shape[1])
            direction = _solve(bent, slope)
            direction = jnp.where(jnp.isfinite(direction), direction, 0.0)
            along = x @ direction.T

            def height(fraction: Array) -> Array:
                fit = jnp.sum(w * log_prob(y, eta + fraction * along), 0)
                return fit - 0.5 * precision * jnp.sum((now + fraction[:, None] * direction) ** 2, 1)

            none = jnp.zeros_like(along[0])
            here = height(none)
            # Heights are most of the cost: the full step is taken wherever it climbs, and cut only for the states where it does not.
            too_far = lambda fraction: ~(height(fraction) >= here) & (fraction > 0)

            def cut(carry: tuple[Array, Array]) -> tuple[Array, Array]:
                fraction, far = carry
                fraction = jnp.where(far, jnp.where(fraction > 0.02, fraction / 4, 0.0), fraction)
                return fraction, too_far(fraction)

            fraction, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[1]), cut, (none + 1, too_far(none + 1)))
            return now + fraction[:, None] * direction

        raised = jax.lax.fori_loop(0, 2, step, now)
        return (raised[:, :-1], raised[:, -1]) if family.bias else raised

    return {("weights", "biases") if family.bias else "weights": coefficients}
