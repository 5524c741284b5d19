"""Shared parts of regression emissions: linear predictors, weighted least squares, starts."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve

from jaxlatent.data.namespace import Namespace
from jaxlatent.models.coefficients import Coefficients, Design, Scale, require_inputs
from jaxlatent.models.parts import rows
from jaxlatent.models.starts import cluster, windows
from jaxlatent.models.units import Units, units_of_inputs
from jaxlatent.typing import Array, Key, Params


class Regression:
    """Base of regression emissions, which start from fits to windows or clusters of the data."""

    num_inputs: int
    prior_scale: Scale

    @property
    def coefficients(self) -> Coefficients:
        """``weights`` and ``biases`` with their prior."""
        return Coefficients(self.num_inputs, self.prior_scale)

    def inputs(self, d: Namespace) -> Array:
        """``(..., T, num_inputs)``."""
        x: Array = d.x
        return x

    def predictors(self, p: Namespace, d: Namespace) -> Array:
        """Linear predictors ``(..., T, K)``."""
        x = self.inputs(d)
        return affine(x, p.weights, p.biases if "biases" in p else None, centre_of(d, x))

    def labels(self, key: Key, d: Namespace, mask: Array, num_states: int, sequences: bool) -> Array:
        """Initial labels ``(N, K)``: a short random window per state for ``sequences``, else clusters of inputs and observations."""
        if not sequences:
            inputs = rows(self.inputs(d), 1)
            return cluster(key, jnp.column_stack([inputs, d.y.ravel().astype(inputs.dtype)]), mask, num_states)
        length = jnp.maximum(5 * (self.num_inputs + 1), jnp.sum(mask) // (10 * num_states))
        return windows(key, mask, num_states, length)


def centre_of(d: Namespace, x: Array) -> Array:
    """The mean of inputs ``(..., num_inputs)``, of shape ``(num_inputs,)``."""
    return units_of_inputs(d, x).centre


def affine(
    x: Array,
    weights: Array,
    biases: Array | None,
    centre: Array,
    link: Callable[[Array], Array] = lambda eta: eta,
) -> Array:
    """``link(x @ weights.T + biases)``, ``(..., K)``.

    Args:
        x: inputs ``(..., num_inputs)``.
        weights: ``(K, num_inputs)``; or of sequences or rows of their own, ``(*leading, K, num_inputs)``, with the first axes of ``x``.
        biases: ``(K,)``, or ``(*leading, K)``; None for none.
        centre: ``(num_inputs,)``, subtracted from the inputs to avoid cancellation in 32 bits, for example with calendar years.
        link: inverse link function.
    """
    require_inputs(x, weights.shape[-1])
    if weights.ndim > 2:
        level = weights @ centre if biases is None else biases + weights @ centre
        return link(own_predictors(x - centre, weights, level))
    # States first in memory, for `jaxlatent.distributions.components`.
    eta = weights @ (x.reshape(-1, x.shape[-1]) - centre).T
    level = weights @ centre if biases is None else biases + weights @ centre
    eta = eta + level[:, None]
    return link(eta).T.reshape(*x.shape[:-1], weights.shape[0])


def own_predictors(x: Array, weights: Array, level: Array | None = None) -> Array:
    """Linear predictors ``(..., K)`` of ``x`` ``(..., D)`` under weights of sequences or rows of their own.

    Args:
        x: inputs.
        weights: ``(*leading, K, D)``, with the first axes of ``x``.
        level: ``(*leading, K)``, added.
    """
    # States first in memory, as in `affine`.
    axes = (1,) * (x.ndim - weights.ndim + 1)
    spread: Callable[[Array], Array] = lambda value: value.reshape(*value.shape, *axes)
    eta = jnp.sum(spread(jnp.moveaxis(weights, (-2, -1), (0, 1))) * jnp.moveaxis(x, -1, 0), 1)
    eta = eta if level is None else eta + spread(jnp.moveaxis(level, -1, 0))
    return jnp.moveaxis(eta, 0, -1)


def zero_weights(num_states: int, num_inputs: int, level: Array) -> Params:
    """Zero ``weights``, and all ``biases`` at ``level``."""
    return {"weights": jnp.zeros((num_states, num_inputs)), "biases": jnp.full(num_states, level)}


def least_squares(design: Design, w: Array, y: Array, variances: Array, units: Units) -> Array:
    """The mode of the standardised coefficients ``(K, P)`` of normal observations.

    Args:
        design: of ``N`` rows.
        w: weights ``(N, K)``.
        y: observations ``(N,)``.
        variances: ``(K,)``, or a scalar.
        units: of the observations.
    """
    variances = jnp.broadcast_to(variances, w.shape[1])[:, None]
    # Relative to the centre of the observations, for accuracy far from zero.
    level = jnp.zeros_like(design.mean).at[-1].set(units.centre) if design.intercept else jnp.zeros_like(design.mean)
    normal = gram(w, design.x) + variances[..., None] * design.precision
    right = w.T @ (design.x * (y - level[-1])[:, None]) + variances * (design.precision @ (design.mean - level))
    return solve(normal, right) + level


def gram(w: Array, x: Array) -> Array:
    """``X' diag(w_k) X`` for every state, ``(K, D, D)``, as one product with the squares of ``x``."""
    squares = (x[:, :, None] * x[:, None]).reshape(x.shape[0], -1)
    return (w.T @ squares).reshape(-1, x.shape[1], x.shape[1])


def solve(gram: Array, right: Array) -> Array:
    """Solve positive definite systems ``(K, D, D)``, with a tiny ridge for those of empty states."""
    dim = gram.shape[-1]
    size = jnp.trace(gram, axis1=-2, axis2=-1)[:, None, None] / dim
    ridge = (10 * jnp.finfo(gram.dtype).eps * size + jnp.finfo(gram.dtype).tiny ** 0.5) * jnp.eye(dim)
    factor = jnp.linalg.cholesky(gram + ridge)
    return jax.vmap(lambda f, r: cho_solve((f, True), r))(factor, right)
