"""What regressions share: coefficients under one prior, linear predictors, weighted normal equations, starts."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.linalg import cho_solve

from jaxlatent.errors import InputError
from jaxlatent.models.parts import cluster, rows, windows
from jaxlatent.typing import Array, Key, Params


class Regression:
    """Emissions that start from regressions on parts of the data that lie together."""

    num_inputs: int

    def inputs(self, d: Any) -> Array:
        """``(..., T, num_inputs)``."""
        return d.x

    def labels(self, key: Key, d: Any, mask: Array, num_states: int, sequences: bool) -> Array:
        """``(N, K)``: of ``sequences`` a short random stretch for each state, otherwise clusters of inputs and observations."""
        if not sequences:
            return cluster(key, jnp.column_stack([rows(self.inputs(d), 1), d.y.ravel()]), mask, num_states)
        length = max(5 * (self.num_inputs + 1), mask.size // (10 * num_states))
        return windows(key, mask, num_states, length)


def linear(p: Any, x: Array) -> Array:
    """Linear predictors ``(..., K)`` of inputs ``(..., num_inputs)``."""
    return affine(x, p.weights, p.biases if "biases" in p else None)


def affine(x: Array, weights: Array, biases: Array | None, link: Callable[[Array], Array] = lambda eta: eta) -> Array:
    """``link(x @ weights.T + biases)``, ``(..., K)``.

    Raises:
        InputError: if the inputs do not end with the ``num_inputs`` of the weights.
    """
    if jnp.shape(x)[-1:] != weights.shape[-1:]:
        raise InputError(
            "data 'x'",
            got=f"shape {jnp.shape(x)}",
            expected=f"(..., {weights.shape[-1]}), the inputs on the last axis",
            remedy="for one input, give x[..., None].",
        )
    # States first in memory, for `jaxlatent.distributions.components`.
    eta = weights @ x.reshape(-1, x.shape[-1]).T
    eta = eta if biases is None else eta + biases[:, None]
    return link(eta).T.reshape(*x.shape[:-1], weights.shape[0])


def with_ones(x: Array) -> Array:
    """``(N, D)`` with a last column of ones."""
    return jnp.concatenate([x, jnp.ones_like(x[:, :1])], 1)


def coefficients(num_states: int, num_inputs: int, scale: float | None, bias: bool = True) -> dict[str, Any]:
    """Priors of ``weights`` and ``biases``: normal of ``scale``, flat if None."""
    shapes = {"weights": (num_states, num_inputs), **({"biases": (num_states,)} if bias else {})}
    if scale is None:
        return {name: dist.ImproperUniform(dist.constraints.real, (), shape) for name, shape in shapes.items()}
    return {name: dist.Normal(0.0, scale).expand(shape).to_event(len(shape)) for name, shape in shapes.items()}


def no_slope(num_states: int, num_inputs: int, bias: bool = True) -> Params:
    """``weights`` and ``biases`` of zero."""
    return {"weights": jnp.zeros((num_states, num_inputs)), **({"biases": jnp.zeros(num_states)} if bias else {})}


def gram(w: Array, x: Array) -> Array:
    """``X' diag(w_k) X`` for every state, ``(K, D, D)``: one product with the squares of ``x``, which all states share."""
    squares = (x[:, :, None] * x[:, None]).reshape(x.shape[0], -1)
    return (w.T @ squares).reshape(-1, x.shape[1], x.shape[1])


def solve(gram: Array, right: Array) -> Array:
    """Solve stacks of positive definite systems ``(K, D, D)``, a trace of ridge keeping those of empty states sound."""
    dim = gram.shape[-1]
    size = jnp.trace(gram, axis1=-2, axis2=-1)[:, None, None] / dim
    ridge = (10 * jnp.finfo(gram.dtype).eps * size + jnp.finfo(gram.dtype).tiny ** 0.5) * jnp.eye(dim)
    factor = jnp.linalg.cholesky(gram + ridge)
    return jax.vmap(lambda f, r: cho_solve((f, True), r))(factor, right)
