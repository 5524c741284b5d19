r"""The mass matrix and its estimators, as a whitening map ``L``: inverse mass matrix :math:`M^{-1} = L L^T`.

In whitened momenta :math:`r = L^T p` the kinetic energy is :math:`|r|^2 / 2` and every U-turn check a plain dot product, so only the
leapfrog step uses ``L``.

The dense and low-rank estimators minimise the Fisher divergence between a Gaussian and the posterior from draws ``q`` *and* gradients
``g`` (Seyboldt, Carlson and Carpenter 2024): the optimum is the geometric mean of cov(q) and cov(g)\ :sup:`-1`. For a Gaussian target it
is exact after ``dim + 1`` draws, where the sample covariance is still noisy.

The diagonal estimator is the standard deviation of the draws. Where coordinates are correlated, or the curvature varies, the mean squared
gradient of a coordinate is that of the narrowest place, and the geometric mean would shorten the steps of the very coordinates that need
long ones: it gave half the effective draws a gradient on a horseshoe, two thirds to nine eighths on correlated regressions.

Of a Gaussian, cov(q) and cov(g)\ :sup:`-1` are equal, so that every eigenvalue of cov(q) cov(g) is 1. In general cov(g) is the mean
curvature, and the eigenvalues are at least 1: the variance of a direction times its mean curvature. Where the curvature varies strongly, as
in the neck of a funnel or along a banana, the largest one grows. This curvature ratio depends neither on the step size nor on the metric in
use. Of n draws, noise alone would make it up to (1 + sqrt(dim / n))\ :sup:`4`, were the two independent (the edge of the law of Marchenko
and Pastur 1967, for each); it is divided by that.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxlatent.engines.base import when
from jaxlatent.typing import Array, Float

#: Weight of the identity, in draws, against the empirical moments of a window with no more draws than dimensions; with more it falls off,
#: since it biases the narrow directions of an ill-conditioned posterior most, whose shape ``dim + 1`` draws determine.
_SHRINK = 2.0
#: A low-rank direction is kept if its variance differs from the diagonal metric's by more than this factor.
_CUTOFF = 1.5
#: Low-rank directions are taken from the span of this many draws and as many gradients.
_SPAN = 128


class Metric(NamedTuple):
    r"""The whitening map :math:`L = \mathrm{diag}(s)\,(I + U (\Lambda^{1/2} - I) U^T)`, or ``diag(s) C`` with a matrix ``C``.

    Attributes:
        scale: ``s``.
        matrix: lower ``C`` (dense), ``(dim, rank)`` orthonormal ``U`` (low rank), or ``(dim, 0)`` (diagonal).
        spread: square roots of the eigenvalues; empty unless low rank.
    """

    scale: Float[Array, " dim"]
    matrix: Float[Array, "dim columns"]
    spread: Float[Array, " rank"]

    def forward(self, r: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """``L r``."""
        return self.scale * self._core(r, transpose=False)

    def transpose(self, g: Float[Array, " dim"]) -> Float[Array, " dim"]:
        r""":math:`L^T g`."""
        return self._core(self.scale * g, transpose=True)

    def diagonal(self, scale: Float[Array, " dim"]) -> "Metric":
        """``diag(scale)``, in the shapes of this metric."""
        rows, columns = self.matrix.shape
        return Metric(scale, jnp.eye(rows, columns), jnp.ones_like(self.spread))

    def _core(self, x: Array, transpose: bool) -> Array:
        if self.matrix.shape[-1] == 0:
            return x
        # The vector is the left operand, so that under vmap the product leads with the lane axis. With the vector on the right XLA
        # transposes, and may emit a product that it cannot compile (`jaxlatent._compat.small_products`).
        if self.spread.shape[-1] == 0:
            return x @ (self.matrix if transpose else self.matrix.T)
        # Without directions, as where correlations are left out, the two products are not computed.
        known = jnp.any(self.spread != 1.0)
        return when(known, lambda x: x + ((self.spread - 1.0) * (x @ self.matrix)) @ self.matrix.T, x)


def identity(kind: str, dim: int, rank: int) -> Metric:
    """The unit metric of a kind: "diag", "dense" or "low_rank"."""
    if kind == "dense":
        return Metric(jnp.ones(dim), jnp.eye(dim), jnp.ones(0))
    columns = min(rank, dim) if kind == "low_rank" else 0
    return Metric(jnp.ones(dim), jnp.eye(dim, columns), jnp.ones(columns))


class Estimate(NamedTuple):
    """What a window teaches.

    Attributes:
        metric: of the kind that was asked for.
        diagonal: without correlations, in the shapes of ``metric``.
        curvature_ratio: the largest ratio, over directions, of the mean curvature to that of a Gaussian with the covariance of the draws,
            relative to noise; a low-rank metric measures it within the span of some draws and gradients, a diagonal one along the
            coordinates.
    """

    metric: Metric
    diagonal: Metric
    curvature_ratio: Float[Array, ""]


def estimate(
    draws: Float[Array, "lane n dim"],
    gradients: Float[Array, "lane n dim"],
    weights: Float[Array, "lane n"],
    like: Metric,
) -> Estimate:
    """Estimate the metric from a window of draws and gradients.

    Moments are taken about each lane's own mean, so that lanes that are still far apart do not inflate the metric.

    Args:
        draws: positions.
        gradients: of the log density at the draws.
        weights: 1 for a draw to use, 0 for padding or a lane to leave out.
        like: a metric of the kind to estimate, used where the estimate is not finite.
    """
    q, total = _centred(draws, weights)
    g, _ = _centred(gradients, weights)
    variance_q, variance_g = jnp.sum(q**2, 0) / total, jnp.sum(g**2, 0) / total
    deviation = jnp.sqrt(variance_q)
    diagonal = like.diagonal(jnp.where(jnp.isfinite(deviation) & (deviation > 0), deviation, like.scale))
    if like.matrix.shape[-1] == 0:
        return Estimate(diagonal, diagonal, jnp.max(variance_q * variance_g))
    tiny = jnp.finfo(q.dtype).tiny
    scale = jnp.clip((variance_q + tiny) / (variance_g + tiny), 1e-20, 1e20) ** 0.25
    scale = jnp.where(jnp.isfinite(scale) & (variance_q > 0), scale, like.scale)
    q, g = q / scale, g * scale
    if like.spread.shape[-1] == 0:
        matrix, largest = _lower_factor(_moment(q, total), _moment(g, total))
        metric, ratio = Metric(scale, matrix, like.spread), largest / _noise(q.shape[-1], total)
    else:
        matrix, spread, ratio = _low_rank(q, g, weights.reshape(-1), total, like.spread.shape[-1])
        metric = Metric(scale, matrix, spread)
    return Estimate(metric, diagonal, ratio)


def _centred(
    x: Float[Array, "lane n dim"], weights: Float[Array, "lane n"]
) -> tuple[Float[Array, "rows dim"], Float[Array, ""]]:
    """Rows minus their lane's mean, zero where the weight is, as ``(lane * n, dim)``, and the degrees of freedom."""
    w = weights[..., None]
    count = jnp.sum(w, 1, keepdims=True)
    x = jnp.where(w > 0, x, 0.0)
    mean = jnp.sum(x, 1, keepdims=True) / jnp.maximum(count, 1)
    free = jnp.sum(jnp.maximum(count - 1, 0))
    return jnp.where(w > 0, x - mean, 0.0).reshape(-1, x.shape[-1]), jnp.maximum(free, 1)


def _moment(x: Float[Array, "rows dim"], total: Float[Array, ""]) -> Float[Array, "dim dim"]:
    """The second moment of rows ``x``, shrunk towards the identity."""
    dim = x.shape[-1]
    shrink = _SHRINK * jnp.minimum(1.0, dim / total)
    return (x.T @ x + shrink * jnp.eye(dim)) / (total + shrink)


def _noise(dim: int, total: Float[Array, ""]) -> Float[Array, ""]:
    """The largest eigenvalue of the product of two independent sample covariances of white noise."""
    edge: Array = (1 + jnp.sqrt(dim / total)) ** 4
    return edge


def _geometric_mean(
    a: Float[Array, "dim dim"], b: Float[Array, "dim dim"]
) -> tuple[Float[Array, "dim dim"], Float[Array, ""]]:
    """The ``X`` with ``X b X = a`` for positive definite ``a`` and ``b``, and the largest eigenvalue of ``a b``.

    ``X`` is the geometric mean of ``a`` and the inverse of ``b``.
    """
    values, vectors = jnp.linalg.eigh(b)
    root = jnp.sqrt(jnp.maximum(values, jnp.finfo(b.dtype).eps * values[-1]))
    half, inverse = (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
    values, vectors = jnp.linalg.eigh(half @ a @ half)
    values = jnp.maximum(values, jnp.finfo(a.dtype).eps * values[-1])
    mean: Array = inverse @ (vectors * jnp.sqrt(values)) @ vectors.T @ inverse
    return mean, values[-1]


def _lower_factor(
    moment_q: Float[Array, "dim dim"], moment_g: Float[Array, "dim dim"]
) -> tuple[Float[Array, "dim dim"], Float[Array, ""]]:
    covariance, ratio = _geometric_mean(moment_q, moment_g)
    factor = jnp.linalg.cholesky(covariance)
    return jnp.where(jnp.isfinite(factor).all(), factor, jnp.eye(factor.shape[-1])), ratio


def _low_rank(q: Array, g: Array, weights: Array, total: Array, rank: int) -> tuple[Array, Array, Array]:
    """Directions and spreads that differ most from the diagonal metric, within the span of some draws and gradients; curvature ratio."""
    some = min(_SPAN, q.shape[0])
    counted = jnp.argsort(weights <= 0, stable=True)
    chosen = counted[(jnp.arange(some, dtype=weights.dtype) * jnp.sum(weights) / some).astype(jnp.int32)]
    rows = jnp.concatenate([q[chosen], g[chosen]])
    # Take the basis from the Gram matrix, to avoid a (dim, dim) matrix.
    gram = rows @ rows.T
    values, vectors = jnp.linalg.eigh(gram)
    columns = min(rows.shape)
    values, vectors = values[-columns:], vectors[:, -columns:]
    kept = values > 1e-5 * values[-1]
    basis = rows.T @ (vectors / jnp.sqrt(jnp.where(kept, values, 1.0))) * kept.astype(values.dtype)
    core, largest = _geometric_mean(_moment(q @ basis, total), _moment(g @ basis, total))
    values, vectors = jnp.linalg.eigh(core)
    distance = jnp.abs(jnp.log(jnp.maximum(values, 1e-20)))
    top = jnp.argsort(-distance)[:rank]
    spread = jnp.where(distance[top] > jnp.log(_CUTOFF), jnp.sqrt(jnp.maximum(values[top], 1e-20)), 1.0)
    directions = basis @ vectors[:, top]
    padding = rank - spread.shape[-1]
    directions = jnp.pad(directions, ((0, 0), (0, padding)))
    spread = jnp.pad(spread, (0, padding), constant_values=1.0)
    fine = jnp.isfinite(directions).all() & jnp.isfinite(spread).all()
    return jnp.where(fine, directions, 0.0), jnp.where(fine, spread, 1.0), largest / _noise(basis.shape[-1], total)
