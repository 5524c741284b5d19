r"""Centred, non-centred, partially centred and informed parameterisations of varying effects.

A varying effect ``x ~ D(mu, sigma)`` can be sampled as ``x`` itself (*centred*, best with informative data on each ``x``), as
``z = (x - mu) / sigma`` (*non-centred*, best with weak data), or in between. This affects the coordinates only: the model, its prior
density and its draws stay the same. So it is a wrapper of the prior, not another model::

    "alpha": lambda p: dist.Normal(p.a, p.sigma).expand([7]).to_event(1)                    # centred
    "alpha": lambda p: jl.noncentred(dist.Normal(p.a, p.sigma).expand([7]).to_event(1))
    "alpha": lambda p: jl.partially_centred(dist.Normal(p.a, p.sigma).expand([7]).to_event(1), 0.5)
    "alpha": lambda p, d: jl.informed(dist.Normal(p.a, p.sigma).expand([7]).to_event(1), estimate=..., precision=...)
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular
from numpyro.distributions import constraints

from jaxlatent.errors import InputError
from jaxlatent.typing import Array, ArrayLike, Key

#: Families of the form ``loc + scale * standard``.
_LOC_SCALE = (dist.Normal, dist.StudentT, dist.Cauchy, dist.Laplace, dist.Logistic, dist.Gumbel)


class Affine(NamedTuple):
    """``x = shift + factor z``: ``factor`` is elementwise ``(*shape,)`` or a triangular matrix ``(*shape, n)``."""

    shift: Array
    factor: Array

    def forward(self, z: Array) -> Array:
        """``z`` to ``x``, both of the shape of the effect."""
        if self.factor.ndim == self.shift.ndim:
            return self.shift + self.factor * z
        return self.shift + jnp.einsum("...ij,...j->...i", self.factor, z)

    def inverse(self, x: Array) -> Array:
        """``x`` to ``z``."""
        centred = x - self.shift
        if self.factor.ndim == self.shift.ndim:
            return centred / self.factor
        return solve_triangular(self.factor, centred[..., None], lower=True)[..., 0]

    def log_det(self) -> Array:
        """The log absolute determinant of dx/dz, summed over the whole effect."""
        diagonal = self.factor if self.factor.ndim == self.shift.ndim else jnp.diagonal(self.factor, axis1=-2, axis2=-1)
        return jnp.log(jnp.abs(diagonal)).sum()


class Recentred(dist.Distribution):
    """``base``, sampled in the coordinates of an affine map that may depend on earlier parameters and data.

    Density, draws, support and shapes are those of ``base``; `jaxlatent.model.coordinates` uses the coordinates.

    Args:
        base: the prior of the effect ``x``.
        coordinates: ``x`` as a function of ``z``.
        standard: the density of ``z`` if known, which avoids a solve with the scale.
    """

    pytree_data_fields: tuple[str, ...] = ("base", "coordinates", "standard")

    def __init__(self, base: dist.Distribution, coordinates: Affine, standard: dist.Distribution | None = None):
        self.base, self.coordinates, self.standard = base, coordinates, standard
        super().__init__(base.batch_shape, base.event_shape)

    @property
    def support(self) -> constraints.Constraint | None:
        """The support of ``base``."""
        return self.base.support

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws of ``base``."""
        draws: Array = self.base.sample(key, sample_shape)
        return draws

    def log_prob(self, value: ArrayLike) -> Array:
        """Log density of ``base``."""
        density: Array = self.base.log_prob(value)
        return density


def centred(d: dist.Distribution) -> dist.Distribution:
    """``d`` in its own coordinates, the default; for symmetry with `noncentred`."""
    return d


def noncentred(d: dist.Distribution) -> Recentred:
    """``d`` in the coordinates ``z`` of ``x = loc + scale z``, whose prior is the standard member of the family.

    Args:
        d: a location-scale family (Normal, StudentT, Cauchy, Laplace, Logistic, Gumbel) or a MultivariateNormal,
            expanded and with any ``to_event``.

    Raises:
        InputError: if ``d`` is of another family.
    """
    location, scale = _location_and_scale(d)
    zero, one = jnp.zeros(location.shape), jnp.ones(location.shape)
    return Recentred(
        d, Affine(location, scale), dist.Normal(zero, one) if is_multivariate(d) else _member(d, zero, one)
    )


def partially_centred(d: dist.Distribution, weight: ArrayLike) -> Recentred:
    r"""``d`` between non-centred (``weight`` 0) and centred (``weight`` 1), elementwise if ``weight`` is an array.

    For a location-scale family :math:`x = \mu + \sigma^{1-w} (z - w \mu)` (Gorinova, Moore and Hoffman 2020, eq. 4). For a
    multivariate normal with scale factor :math:`D C` (standard deviations times correlation factor),
    :math:`x = \mu + D^{1-w} ((1-w) C + w I) (z - w \mu)`.

    Args:
        d: as for `noncentred`.
        weight: in [0, 1], broadcast against the shape of the effect.
    """
    location, scale = _location_and_scale(d)
    w = jnp.broadcast_to(weight, location.shape)
    if scale.ndim == location.ndim:
        factor = scale ** (1 - w)
        return Recentred(d, Affine(location - factor * w * location, factor))
    deviations = jnp.linalg.norm(scale, axis=-1)
    correlation = scale / deviations[..., None]
    blend = (1 - w)[..., None] * correlation + w[..., None] * jnp.eye(location.shape[-1])
    factor = (deviations ** (1 - w))[..., None] * blend
    return Recentred(d, Affine(location - jnp.einsum("...ij,...j->...i", factor, w * location), factor))


class LikelihoodFactor(NamedTuple):
    r"""The likelihood of a varying effect, approximated by a Gaussian factor in natural parameters.

    Attributes:
        precision: :math:`\Lambda`, elementwise ``(*shape,)`` or matrices ``(*shape, n)``.
        pull: :math:`\Lambda \hat x`, of the effect's shape.
    """

    precision: Array
    pull: Array


class Informed(Recentred):
    """A prior whose coordinates need a `LikelihoodFactor`, found by `jaxlatent.posterior.guides` from the data."""

    pytree_data_fields = ("base",)

    def __init__(self, base: dist.Distribution):
        super().__init__(base, noncentred(base).coordinates)

    def resolve(self, guide: LikelihoodFactor | None) -> Recentred:
        """The prior in the coordinates of ``guide``; non-centred without one."""
        return noncentred(self.base) if guide is None else _guided(self.base, guide)


def informed(d: dist.Distribution, estimate: ArrayLike | None = None, precision: ArrayLike | None = None) -> Recentred:
    r"""``d`` centred as much as the data inform each effect: usually by far the fewest gradients per draw.

    With a likelihood of about :math:`N(\hat x, \Lambda^{-1})` for an effect with prior :math:`N(\mu, \Sigma)`, the effect given its
    hyperparameters is :math:`N(m, V)`, :math:`V = (\Sigma^{-1} + \Lambda)^{-1}`, :math:`m = V(\Sigma^{-1}\mu + \Lambda \hat x)`. In the
    coordinates ``z`` of :math:`x = m + V^{1/2} z` it is then nearly standard normal for all hyperparameters (Papaspiliopoulos, Roberts
    and Sköld 2007, section 3). Zero precision is `noncentred`; infinite precision is `centred`. The approximation affects coordinates
    only: draws are exact.

    Args:
        d: as for `noncentred`; for other than normal families, ``scale`` takes the role of the standard deviation.
        estimate: maximum likelihood estimate of the effect, of its shape. By default, estimate and precision are computed from the
            gradient and curvature of the likelihood near the posterior mode.
        precision: of the estimate, elementwise (the effect's shape) or for a multivariate normal also as matrices ``(..., n, n)``.
    """
    if estimate is None or precision is None:
        return Informed(d)
    estimate, precision = jnp.asarray(estimate), jnp.asarray(precision)
    matrices = precision.ndim > estimate.ndim
    pull = jnp.einsum("...ij,...j->...i", precision, estimate) if matrices else precision * estimate
    return _guided(d, LikelihoodFactor(precision, pull))


def is_multivariate(d: dist.Distribution) -> bool:
    """Whether the effects of ``d`` are multivariate normal vectors rather than scalars."""
    return isinstance(family_of(d), dist.MultivariateNormal)


def _guided(d: dist.Distribution, guide: LikelihoodFactor) -> Recentred:
    # Relative to the prior, u = (x - location) / scale, for accuracy if a scale is near zero.
    location, scale = _location_and_scale(d)
    precision, pull = guide
    if scale.ndim == location.ndim:
        spread = jnp.sqrt(1 + scale**2 * precision)
        centre = scale * (pull - precision * location) / spread
        coordinates = Affine(location + scale * centre / spread, scale / spread)
        return Recentred(d, coordinates, _member(d, -centre, spread))
    n = location.shape[-1]
    if precision.ndim < scale.ndim:
        precision = precision[..., None] * jnp.eye(n)
    # V = L (I + L' Lambda L)^-1 L' is stable for a singular Lambda and a small Sigma. With I + L' Lambda L = R' R for a lower R
    # (a Cholesky factor of the matrix read backwards), V = F F' with the lower F = L R^-1, and u = R^-1 (z + F' residual).
    inner = jnp.eye(n) + jnp.swapaxes(scale, -1, -2) @ precision @ scale
    upper = jnp.linalg.cholesky(inner[..., ::-1, ::-1])[..., ::-1, ::-1]
    factor = jnp.swapaxes(solve_triangular(upper, jnp.swapaxes(scale, -1, -2), lower=False), -1, -2)
    residual = pull - jnp.einsum("...ij,...j->...i", precision, location)
    centre = jnp.einsum("...kj,...k->...j", factor, residual)
    shift = location + jnp.einsum("...ij,...j->...i", factor, centre)
    standard = dist.MultivariateNormal(-centre, scale_tril=jnp.swapaxes(upper, -1, -2))
    return Recentred(d, Affine(shift, factor), standard)


def _member(d: dist.Distribution, location: Array, scale: Array) -> dist.Distribution:
    """The member of the location-scale family of ``d`` with another location and scale."""
    family = family_of(d)
    if isinstance(family, dist.StudentT):
        return dist.StudentT(jnp.broadcast_to(family.df, location.shape), location, scale)
    return type(family)(location, scale)


def _location_and_scale(d: dist.Distribution) -> tuple[Array, Array]:
    """Location ``shape`` and scale, elementwise ``shape`` or a lower factor ``(*shape, n)``, at the full shape of ``d``."""
    shape, family = d.shape(), family_of(d)
    if isinstance(family, _LOC_SCALE):
        return jnp.broadcast_to(family.loc, shape), jnp.broadcast_to(family.scale, shape)
    if isinstance(family, dist.MultivariateNormal):
        return jnp.broadcast_to(family.loc, shape), jnp.broadcast_to(family.scale_tril, (*shape, shape[-1]))
    raise InputError(
        "the centring of a prior",
        got=type(family).__name__,
        expected="a location-scale family (Normal, StudentT, Cauchy, Laplace, Logistic, Gumbel) or MultivariateNormal",
        remedy="leave this prior as it is: positive and bounded parameters are sampled in coordinates of their own anyway. An effect "
        "of another family is written as location + scale * z in `derived`, with a standard prior of z.",
    )


def family_of(d: dist.Distribution) -> dist.Distribution:
    """``d`` without ``expand`` and ``to_event``."""
    while isinstance(d, dist.Independent | dist.ExpandedDistribution):
        d = d.base_dist
    return d
