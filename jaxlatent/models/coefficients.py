"""Coefficients of linear predictors: their normal prior, and standardised inputs to solve for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.distributions.centring import noncentred
from jaxlatent.errors import InputError, require
from jaxlatent.models.parts import Priors, columns, rows
from jaxlatent.models.settings import require_count
from jaxlatent.models.units import Units, axis_remedy, units_of_inputs
from jaxlatent.typing import Array

#: The scale of a prior: relative to the data ("auto"), absolute (a number), or a flat prior (None).
Scale: TypeAlias = float | Literal["auto"] | None

#: The scale of an "auto" prior, in standard deviations: a few observations outweigh it, yet it keeps coefficients finite.
WEAK = 5.0

#: Expected centre and spread of linear predictors, as a function of the data.
Level: TypeAlias = Callable[[Namespace], Units]


def level_of_logits(d: Namespace) -> Units:
    """Centre 0 and spread 1: logits and log scales are dimensionless."""
    return Units(jnp.zeros(()), jnp.ones(()))


def require_scale(what: str, scale: Any, flat: bool) -> None:
    """Raise `InputError` unless ``scale`` is a `Scale`; None is valid only if ``flat``."""
    fine = scale == "auto" or (flat and scale is None)
    fine = fine or (isinstance(scale, int | float) and not isinstance(scale, bool) and 0 < scale < float("inf"))
    expected = "'auto', a positive number, or None for a flat prior" if flat else "'auto' or a positive number"
    require(fine, what, got=scale, expected=expected)


def require_inputs(x: Array, num_inputs: int, name: str = "x") -> None:
    """Raise `InputError` unless the last axis of the inputs ``name`` has length ``num_inputs``."""
    if jnp.shape(x)[-1:] != (num_inputs,):
        raise InputError(
            f"data {name!r}",
            got=f"shape {jnp.shape(x)}",
            expected=f"(..., {num_inputs}), the inputs on the last axis",
            remedy=axis_remedy(name, jnp.shape(x), num_inputs, "num_inputs"),
        )


class Design(NamedTuple):
    """The design matrix of standardised inputs, and the prior of the standardised coefficients.

    Coefficients ``beta`` ``(..., P)`` of the columns of ``x``, intercept last if there is one, have the log prior density
    ``-(beta - mean)' precision (beta - mean) / 2`` up to a constant.

    Attributes:
        x: ``(N, P)``: inputs of mean 0 and standard deviation 1, then ones.
        units: of the raw inputs; without an intercept the centre is zero.
        precision: ``(P, P)``; zero for a flat prior.
        mean: ``(P,)``.
    """

    x: Array
    units: Units
    precision: Array
    mean: Array

    @property
    def intercept(self) -> bool:
        """Whether the design has an intercept."""
        return self.x.shape[1] > self.units.spread.shape[0]

    def columns(self, x: Array) -> Array:
        """The rows of the design as `jaxlatent.models.parts.columns`, ``(P, N)``, given its raw inputs ``(..., num_inputs)``."""
        standard = (columns(x, 1) - self.units.centre[:, None]) / self.units.spread[:, None]
        return jnp.concatenate([standard, jnp.ones_like(standard[:1])]) if self.intercept else standard

    def standardise(self, weights: Array, biases: Array | None) -> Array:
        """Standardised coefficients ``beta`` from those in units of the data."""
        scaled = weights * self.units.spread
        if biases is None:
            return scaled
        return jnp.concatenate([scaled, (biases + weights @ self.units.centre)[..., None]], -1)

    def restore(self, beta: Array) -> tuple[Array, Array | None]:
        """Weights and biases in units of the data; None for biases without an intercept."""
        inputs = self.units.spread.shape[0]
        weights = beta[..., :inputs] / self.units.spread
        return weights, (beta[..., inputs] - weights @ self.units.centre if beta.shape[-1] > inputs else None)

    def penalty(self, beta: Array) -> Array:
        """Minus the log prior density, ``(...)``."""
        off = beta - self.mean
        return 0.5 * jnp.sum((off @ self.precision) * off, -1)


@dataclass(frozen=True)
class Coefficients:
    """Weights ``(*leading, num_inputs)`` and biases ``(*leading,)`` under a normal prior.

    Args:
        num_inputs: of the inputs.
        scale: of the prior. "auto": the change of a predictor per standard deviation of an input, and its value at the mean of the
            inputs, are normal with a scale of `WEAK` standard deviations of the predicted quantity. Like the default priors of
            rstanarm, this is invariant to units and origins. A number: weights and biases are normal about zero with that standard
            deviation. None: flat.
        names: of weights and biases; of weights only if there are no biases.
        source: the name of the inputs in the data, for messages.
    """

    num_inputs: int
    scale: Scale
    names: tuple[str, ...] = ("weights", "biases")
    source: str = "x"

    def __post_init__(self) -> None:
        require_count("a regression (num_inputs=...)", self.num_inputs)
        require_scale("a regression (prior_scale=...)", self.scale, flat=True)

    def prior(
        self, leading: tuple[int, ...], inputs: Callable[[Namespace], Array], level: Level = level_of_logits
    ) -> Priors:
        """The priors by name.

        Args:
            leading: leading shape of the weights.
            inputs: function from data to inputs.
            level: of the predictors.
        """
        shapes = dict(zip(self.names, ((*leading, self.num_inputs), leading), strict=False))
        if self.scale is None:
            return {name: dist.ImproperUniform(dist.constraints.real, (), shape) for name, shape in shapes.items()}
        if self.scale != "auto":
            return {
                name: dist.Normal(0.0, self.scale).expand(shape).to_event(len(shape)) for name, shape in shapes.items()
            }

        # Non-centred, so that positions do not depend on units either.
        def weights(p: Namespace, d: Namespace) -> dist.Distribution:
            scale = WEAK * level(d).spread / self._units(d, inputs(d)).spread
            return noncentred(dist.Normal(0.0, scale).expand(shapes[self.names[0]]).to_event(len(leading) + 1))

        def biases(p: Namespace, d: Namespace) -> dist.Distribution:
            centre, spread = level(d)
            middle = centre - p[self.names[0]] @ self._units(d, inputs(d)).centre
            return noncentred(dist.Normal(middle, WEAK * spread).to_event(len(leading)))

        return dict(zip(self.names, (weights, biases), strict=False))

    def design(self, d: Namespace, x: Array, level: Level = level_of_logits) -> Design:
        """The design of inputs ``x`` ``(..., num_inputs)``, and the prior of its coefficients.

        Args:
            d: the data.
            x: the inputs in it.
            level: of the predictors.
        """
        units = self._units(d, x)
        standard = (rows(x, 1) - units.centre) / units.spread
        biased = len(self.names) > 1
        if biased:
            standard = jnp.concatenate([standard, jnp.ones_like(standard[:, :1])], 1)
        columns = standard.shape[1]
        zero = jnp.zeros(columns, standard.dtype)
        if self.scale is None:
            return Design(standard, units, jnp.zeros((columns, columns), standard.dtype), zero)
        if self.scale == "auto":
            centre, spread = level(d)
            mean = zero.at[-1].set(centre) if biased else zero
            return Design(standard, units, jnp.eye(columns) / (WEAK * spread) ** 2, mean)
        # The prior is on the coefficients in units of the data.
        raw = jnp.diag(jnp.append(1 / units.spread, 1.0) if biased else 1 / units.spread)
        raw = raw.at[-1, :-1].set(-units.centre / units.spread) if biased else raw
        return Design(standard, units, raw.T @ raw / self.scale**2, zero)

    def _units(self, d: Namespace, x: Array) -> Units:
        """The units of the inputs; without biases inputs are scaled only, since no intercept could absorb a shift."""
        require_inputs(x, self.num_inputs, self.source)
        units = units_of_inputs(d, x)
        if len(self.names) > 1:
            return units
        return Units(jnp.zeros_like(units.centre), jnp.sqrt(units.centre**2 + units.spread**2))
