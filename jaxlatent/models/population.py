r"""Regression coefficients of groups around those of their population: priors, and the M-step that integrates over the groups.

For group :math:`a` and state :math:`k`, with inputs of mean 0 and standard deviation 1 over all data, the standardised coefficients are
:math:`\beta_{ak} \sim N(\mu_k, \mathrm{diag}(s_k^2))`. The largest joint density of :math:`\beta, \mu, s` is no estimate, since it grows
without bound as all :math:`\beta_{ak}` and :math:`s` approach the population. So EM maximises over :math:`\mu` and :math:`s` the marginal
density, with the integral over :math:`\beta` by Laplace's approximation (Lee and Nelder 1996, the adjusted profile h-likelihood): it
adds :math:`-\frac12 \sum_{ak} \log\det(H_{ak} / 2\pi)` to the log joint, where :math:`H_{ak}` is the information about
:math:`\beta_{ak}` of the observations, each weighted by the probability of its state, plus :math:`\mathrm{diag}(s_k^{-2})`. The
coefficients of the groups are their modes, which is penalised quasi-likelihood (Breslow and Clayton 1993): with only some dozen binary
observations of a group for each coefficient it draws estimates a few percent towards zero; NUTS has no such error. With
:math:`V = H^{-1}` the update of the scales is that of Gaussian random effects (Laird and Ware 1982): the sum of squares about the
population plus the variances that are left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import Design
from jaxlatent.models.emissions.glm import GeneralisedLinear, fraction_of_step
from jaxlatent.models.emissions.linear import own_predictors, solve
from jaxlatent.models.parts import Priors
from jaxlatent.typing import Array, Params

#: Groups that agree to this fraction of the mode of the prior are alike; less would divide by zero.
_LEAST = 1e-4


class Coefficients(NamedTuple):
    """Standardised coefficients of the groups ``(A, K, P)`` and of the population ``(K, P)``, and the scales ``(K, P)`` between them."""

    groups: Array
    population: Array
    scales: Array


@dataclass(frozen=True)
class Population:
    """The coefficients of one-parameter regressions in ``num_groups`` groups around a population.

    Args:
        emission: the regression, with the prior of the population.
        over: what groups are called, in the data and in names of parameters.
        num_groups: ``A``.
        scale: the mode of the prior of the scales of groups about the population, see `prior`.
        coordinates: of the effects, such as `jaxlatent.noncentred`.
    """

    emission: GeneralisedLinear
    over: str
    num_groups: int
    scale: float
    coordinates: Callable[[dist.Distribution], dist.Distribution]

    @property
    def names(self) -> tuple[str, ...]:
        """The coefficients of the population."""
        return self.emission.coefficients.names

    @property
    def own(self) -> tuple[str, ...]:
        """The coefficients of the groups."""
        return tuple(f"{self.over}_{name}" for name in self.names)

    @property
    def spreads(self) -> tuple[str, ...]:
        """The scales of the groups about the population."""
        return tuple(f"{name}_scale" for name in self.names)

    def prior(self, num_states: int) -> Priors:
        """The priors of scales and groups, given those of the population.

        Scales are in the units of weights and biases; relative to what a standard deviation of an input changes they have a Rayleigh prior.
        Its density is zero at zero and rises linearly, which keeps a mode off the boundary (Chung et al. 2013 on gamma priors), and it is
        that of a half-normal beyond. Weights are independent over inputs, and so is the level at the mean of the inputs.
        """
        weights = f"{self.over}_{self.names[0]}"

        def scales(leading: tuple[int, ...], by_input: bool) -> Callable[[Namespace, Namespace], dist.Distribution]:
            def prior(p: Namespace, d: Namespace) -> dist.Distribution:
                mode = self.scale * self.emission.level(d).spread
                mode = mode / self._design(d).units.spread if by_input else mode
                shape = (num_states, *leading)
                return dist.Weibull(jnp.sqrt(2.0) * mode, 2.0).expand(shape).to_event(len(shape))

            return prior

        def of_weights(p: Namespace, d: Namespace) -> dist.Distribution:
            normal = dist.Normal(p[self.names[0]], p[self.spreads[0]])
            return self.coordinates(normal.expand((self.num_groups, *normal.batch_shape)).to_event(3))

        def of_biases(p: Namespace, d: Namespace) -> dist.Distribution:
            apart = p[self.names[0]] - p[weights]
            level = p[self.names[1]] + apart @ self._design(d).units.centre
            return self.coordinates(dist.Normal(level, p[self.spreads[1]]).to_event(2))

        found = {self.spreads[0]: scales((self.emission.num_inputs,), True), self.own[0]: of_weights}
        if len(self.names) > 1:
            found |= {self.spreads[1]: scales((), False), self.own[1]: of_biases}
        return dict(found)

    def of_elements(self, p: Namespace, d: Namespace) -> Namespace:
        """The parameters, with the coefficients of the group of every sequence or row in place of those of the population."""
        index = d[self.over]
        own = {name: p[mine][index] for name, mine in zip(self.names, self.own, strict=True)}
        return Namespace("parameter", {**p, **own})

    def start(self, params: Params, d: Namespace) -> Params:
        """Groups at their population."""
        spread = self.scale * self.emission.level(d).spread
        scales = (spread / self._design(d).units.spread, spread)
        found = dict(params)
        for name, own, scale, value in zip(self.names, self.own, self.spreads, scales, strict=False):
            found[own] = jnp.broadcast_to(params[name], (self.num_groups, *params[name].shape))
            found[scale] = jnp.broadcast_to(value, params[name].shape)
        return found

    @property
    def updated(self) -> tuple[str, ...]:
        """The parameters of `m_step`."""
        return (*self.own, *self.names, *self.spreads)

    def m_step(self, p: Namespace, d: Namespace, expected: Expected) -> tuple[Array, ...]:
        """A Newton step on groups and population together, damped for each state, and then an EM step on the scales."""
        design, now = self._standardised(p, d)
        evidence = self._evidence(design, now.groups, d, expected)
        tight = now.scales**-2.0
        information = evidence.information + _diagonal(tight)
        apart = now.groups - now.population
        slope = evidence.slope - apart * tight
        # Groups are eliminated from the joint system: each moves by H^-1 (slope + move of the population / s^2).
        covariance = _inverse(information)
        alone = jnp.einsum("akpq,akq->akp", covariance, slope)
        prior = jnp.sum(apart, 0) * tight - (now.population - design.mean) @ design.precision
        system = _diagonal(tight * self.num_groups) + design.precision
        system = system - tight[:, :, None] * jnp.sum(covariance, 0) * tight[:, None, :]
        step = solve(system, prior + tight * jnp.sum(alone, 0))
        step = jnp.where(jnp.isfinite(step), step, 0.0)
        steps = alone + jnp.einsum("akpq,kq->akp", covariance, tight * step)
        steps = jnp.where(jnp.isfinite(steps), steps, 0.0)

        def too_far(fraction: Array) -> Array:
            move, common = fraction[:, None] * steps, fraction[:, None] * step
            change = move - common
            pull = jnp.sum((apart + 0.5 * change) * tight * change, (0, 2))
            centre = jnp.sum(((now.population - design.mean + 0.5 * common) @ design.precision) * common, -1)
            gain = evidence.gain(move) - pull - centre
            return ~(gain >= -jnp.finfo(gain.dtype).eps * evidence.size)

        longest = jnp.max(jnp.abs(steps) @ jnp.max(jnp.abs(design.x), 0), 0)
        fraction = fraction_of_step(too_far, longest)[:, None]
        groups, population = now.groups + fraction * steps, now.population + fraction * step
        squares = jnp.sum((groups - population) ** 2, 0)
        left = jnp.sum(jnp.diagonal(covariance, axis1=-2, axis2=-1), 0)
        scales = self._scales(squares + left, design, d)
        return self._restored(Coefficients(groups, population, scales), design)

    def adjustment(self, p: Namespace, d: Namespace, expected: Expected) -> Array:
        """What Laplace's approximation adds to the log joint, a scalar; see the module."""
        design, now = self._standardised(p, d)
        # The dependence of the information on the coefficients is left out of their mode, as usual.
        fixed = jax.lax.stop_gradient(self._evidence(design, now.groups, d, expected).information)
        information = fixed + _diagonal(now.scales**-2.0)
        factor = jnp.linalg.cholesky(information)
        half = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)))
        each = jnp.sum(jnp.log(design.units.spread)) - 0.5 * now.groups.shape[-1] * jnp.log(2 * jnp.pi)
        return -half - now.groups[..., 0].size * each

    def _design(self, d: Namespace) -> Design:
        return self.emission.coefficients.design(d, self.emission.inputs(d), self.emission.level)

    def _standardised(self, p: Namespace, d: Namespace) -> tuple[Design, Coefficients]:
        design = self._design(d)
        of: Callable[[tuple[str, ...]], Array] = lambda names: design.standardise(
            p[names[0]], p[names[1]] if len(names) > 1 else None
        )
        scaled = p[self.spreads[0]] * design.units.spread
        if len(self.names) > 1:
            scaled = jnp.concatenate([scaled, p[self.spreads[1]][:, None]], -1)
        return design, Coefficients(of(self.own), of(self.names), scaled)

    def _restored(self, beta: Coefficients, design: Design) -> tuple[Array, ...]:
        inputs = design.units.spread.shape[0]
        scales = (beta.scales[:, :inputs] / design.units.spread, beta.scales[:, -1])
        found = (design.restore(beta.groups), design.restore(beta.population), scales)
        return tuple(value for pair in found for value in pair[: len(self.names)] if value is not None)

    def _evidence(self, design: Design, groups: Array, d: Namespace, expected: Expected) -> "_Evidence":
        assert expected.weights is not None
        index = d[self.over]
        y = d.y.astype(groups.dtype)
        x = design.x.reshape(*y.shape, -1)
        return _Evidence(self.emission, groups, index, x, y, expected.weights)

    def _scales(self, total: Array, design: Design, d: Namespace) -> Array:
        """The mode of the scales given sums of squares ``(K, P)`` over groups, under their Rayleigh prior.

        With ``u = s^2`` and the mode ``m`` of the prior it solves ``u^2 / m^2 + (A - 1) u = total``.
        """
        mode = self.scale * self.emission.level(d).spread
        degrees = float(self.num_groups - 1)
        square = 2 * total / (degrees + jnp.sqrt(degrees**2 + 4 * total / mode**2))
        return jnp.sqrt(jnp.maximum(square, (_LEAST * mode) ** 2))


class _Evidence:
    """What the observations say of the coefficients of the groups: slopes ``(A, K, P)``, information ``(A, K, P, P)`` and gains.

    Args:
        emission: the regression.
        groups: standardised coefficients ``(A, K, P)``.
        index: the group of every sequence or row, ``(*leading,)``.
        x: standardised inputs ``(*leading, ..., P)``.
        y: observations ``(*leading, ...)``.
        weights: of every observation for every state, ``(*leading, ..., K)``.
    """

    def __init__(self, emission: GeneralisedLinear, groups: Array, index: Array, x: Array, y: Array, weights: Array):
        self._emission, self._index, self._count = emission, index.ravel(), groups.shape[0]
        elements = self._index.shape[0]
        self._x = x.reshape(elements, -1, x.shape[-1])
        self._y, self._w = y.reshape(elements, -1, 1), weights.reshape(elements, -1, weights.shape[-1])
        self._eta = self._predictors(groups)
        mean, variance = emission.moments(self._eta)
        squares = (self._x[..., :, None] * self._x[..., None, :]).reshape(*self._x.shape[:2], -1)
        information = jnp.einsum("erk,erp->ekp", self._w * variance, squares)
        self.slope = self._summed(jnp.einsum("erk,erp->ekp", self._w * (self._y - mean), self._x))
        self.information = self._summed(information).reshape(*groups.shape, -1)
        self.size = jnp.sum(self._w, (0, 1))

    def gain(self, move: Array) -> Array:
        """Of the expected log likelihood, by state ``(K,)``, if the groups move by ``(A, K, P)``."""
        step = self._predictors(move)
        partition = self._emission.log_partition
        return jnp.sum(self._w * (self._y * step - (partition(self._eta + step) - partition(self._eta))), (0, 1))

    def _predictors(self, groups: Array) -> Array:
        return own_predictors(self._x, groups[self._index])

    def _summed(self, values: Array) -> Array:
        return jax.ops.segment_sum(values, self._index, self._count)


def _diagonal(values: Array) -> Array:
    return values[..., None] * jnp.eye(values.shape[-1], dtype=values.dtype)


def _inverse(information: Array) -> Array:
    """The inverse of the positive definite matrix of every group and state, ``(A, K, P, P)``."""
    identity = jnp.broadcast_to(jnp.eye(information.shape[-1], dtype=information.dtype), information.shape)
    inverse: Array = jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(information), True), identity)
    return inverse
