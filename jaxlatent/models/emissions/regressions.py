"""Linear regression and autoregression emissions, whose coefficients depend on the state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.distributions.normals import InverseGamma
from jaxlatent.engines.optimize.newton import damped_newton
from jaxlatent.errors import require
from jaxlatent.latent import Expected
from jaxlatent.models.coefficients import Coefficients, Scale, require_scale
from jaxlatent.models.emissions.linear import Regression, affine, centre_of, least_squares, zero_weights
from jaxlatent.models.parts import Priors, Updates, floored_scale, rows, weights_of
from jaxlatent.models.units import Units, seen_steps, units_of_y
from jaxlatent.typing import Array, Params

#: The scale of the default prior of variances, as a fraction of the variance of all observations.
_WEAK_SCALE = 5e-7
#: The spread of log scales about that of all observations, multiplied by `WEAK` in the prior.
_LOG_SCALE_SPREAD = 0.3


@dataclass(frozen=True)
class LinearRegression(Regression):
    """Linear regression with normal errors: ``weights`` ``(K, num_inputs)``, ``biases`` ``(K,)``, variances ``covs`` ``(K,)``.

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal prior of weights and biases, see `Coefficients`: "auto" is weak, in units of inputs and observations;
            None is flat.
        variance_shape, variance_scale: of the inverse gamma prior of the variances; a scale of "auto" is 5e-7 of the variance of all
            observations. A shape of None is flat, without a maximum: a state may collapse onto a few observations.
    """

    num_inputs: int
    prior_scale: Scale = "auto"
    variance_shape: float | None = 0.05
    variance_scale: float | Literal["auto"] = "auto"

    event_dim = 0

    def __post_init__(self) -> None:
        shape = self.variance_shape
        expected = "a positive number, or None for a flat prior"
        require(shape is None or shape > 0, "a regression (variance_shape=...)", got=shape, expected=expected)
        require_scale("a regression (variance_scale=...)", self.variance_scale, flat=False)

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"weights": ("input",), "biases": (), "covs": ()}

    def prior(self, num_states: int) -> Priors:
        """``weights``, ``biases`` and ``covs``."""
        covs = (
            dist.ImproperUniform(dist.constraints.positive, (), (num_states,))
            if self.variance_shape is None
            else lambda p, d: (
                InverseGamma(self.variance_shape, self._variance_scale(d)).expand([num_states]).to_event(1)
            )
        )
        return {**self.coefficients.prior((num_states,), self.inputs, units_of_y), "covs": covs}

    def _variance_scale(self, d: Namespace) -> Any:
        return _WEAK_SCALE * units_of_y(d).spread ** 2 if self.variance_scale == "auto" else self.variance_scale

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(..., T, K)``."""
        return dist.Normal(self.predictors(p, d), jnp.sqrt(p.covs))

    def weights(self, d: Namespace, expected: Expected) -> Array:
        """The weight of each step for each state, ``(N, K)``."""
        return weights_of(expected)

    def m_step(self) -> Updates:
        """Weighted least squares, then the variances."""

        def both(p: Namespace, d: Namespace, expected: Expected) -> tuple[Array, Array | None]:
            design = self.coefficients.design(d, self.inputs(d), units_of_y)
            return design.restore(least_squares(design, self.weights(d, expected), d.y.ravel(), p.covs, units_of_y(d)))

        def covs(p: Namespace, d: Namespace, expected: Expected) -> Array:
            w, off = self.weights(d, expected), d.y.ravel()[:, None] - rows(self.predictors(p, d), 1)
            squares, size = jnp.sum(w * off**2, 0), jnp.sum(w, 0)
            if self.variance_shape is None:
                smallest = 1e-12 * units_of_y(d).spread ** 2
                return jnp.maximum(squares / jnp.maximum(size, 1e-20), smallest)
            raised: Array = (2 * self._variance_scale(d) + squares) / (2 * self.variance_shape + 2 + size)
            return raised

        return {("weights", "biases"): both, "covs": covs}

    def start(self, num_states: int, d: Namespace) -> Params:
        """Zero weights, and the spread of the data."""
        centre, spread = units_of_y(d)
        return {**zero_weights(num_states, self.num_inputs, centre), "covs": jnp.full(num_states, spread**2)}


@dataclass(frozen=True)
class Autoregression(LinearRegression):
    """Autoregression of scalar ``y``: a `LinearRegression` on the last ``num_inputs`` values.

    The likelihood is conditional on the first ``num_inputs`` steps of every sequence. These, and steps with a masked lag, do not inform
    their state. Likelihoods of several numbers of lags are compared on the same steps: give all of them one number of ``given`` steps.

    Args:
        num_inputs: number of lags; ``weights[:, 0]`` belongs to the previous step.
        given: number of steps before each that must have been observed for it to count, at least ``num_inputs``, which None stands for.

    Raises:
        InputError: for settings out of range.
    """

    given: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.given is None or self.given >= self.num_inputs,
            "Autoregression(given=...)",
            got=self.given,
            expected=f"None or at least the {self.num_inputs} lags",
        )

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"weights": ("lag",), "biases": (), "covs": ()}

    def inputs(self, d: Namespace) -> Array:
        """Lagged values ``(..., T, num_inputs)``; the mean of all values for missing ones."""
        lags = self.num_inputs
        return jnp.where(_lagged(self._seen(d), lags), _lagged(d.y, lags), units_of_y(d).centre)

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(..., T, K)``."""
        return super().distribution(p, d).mask(self._known(d)[..., None])

    def weights(self, d: Namespace, expected: Expected) -> Array:
        """The weight of each step for each state, ``(N, K)``."""
        weights = weights_of(expected)
        return weights * self._known(d).ravel()[:, None].astype(weights.dtype)

    def _known(self, d: Namespace) -> Array:
        """Which steps are not conditioned on, ``(..., T)``."""
        return jnp.all(_lagged(self._seen(d), self.num_inputs if self.given is None else self.given), -1)

    def _seen(self, d: Namespace) -> Array:
        seen = seen_steps(d, d.y.shape)
        return jnp.ones(d.y.shape, bool) if seen is None else seen.reshape(d.y.shape)


def _lagged(y: Array, lags: int) -> Array:
    """The values before each step ``(..., T, lags)``, zero before the first."""
    steps = y.shape[-1]
    before = jnp.concatenate([jnp.zeros((*y.shape[:-1], lags), y.dtype), y], -1)
    return jnp.stack([before[..., lags - lag : lags - lag + steps] for lag in range(1, lags + 1)], -1)


@dataclass(frozen=True)
class HeteroscedasticRegression(Regression):
    """Normal observations with mean and log scale linear in the inputs.

    ``weights`` ``(K, num_inputs)`` and ``biases`` ``(K,)`` give the means, ``scale_weights`` and ``scale_biases`` of the same shapes the
    scales: ``exp(x @ scale_weights.T + scale_biases) + floor``.

    Args:
        num_inputs: of ``x``.
        prior_scale: of the normal prior of all coefficients, see `Coefficients`: "auto" is weak, in units of inputs and observations.
            Scales are then expected within a factor of 20 of the spread of the observations.
        floor: minimum scale, in units of the observations.
    """

    num_inputs: int
    prior_scale: float | Literal["auto"] = "auto"
    floor: float = 0.0

    event_dim = 0

    def __post_init__(self) -> None:
        require(self.floor >= 0, "HeteroscedasticRegression(floor=...)", got=self.floor, expected="zero or more")
        require_scale("HeteroscedasticRegression(prior_scale=...)", self.prior_scale, flat=False)

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"weights": ("input",), "biases": (), "scale_weights": ("input",), "scale_biases": ()}

    @property
    def log_scales(self) -> Coefficients:
        """``scale_weights`` and ``scale_biases`` with their prior."""
        return Coefficients(self.num_inputs, self.prior_scale, ("scale_weights", "scale_biases"))

    def prior(self, num_states: int) -> Priors:
        """Coefficients of means and scales."""
        means = self.coefficients.prior((num_states,), self.inputs, units_of_y)
        return {**means, **self.log_scales.prior((num_states,), self.inputs, _level_of_log_scales)}

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(..., T, K)``."""
        return dist.Normal(self.predictors(p, d), self.scales(p, d))

    def scales(self, p: Namespace, d: Namespace) -> Array:
        """Standard deviations ``(..., K)``; finite at any coefficients."""
        link = lambda eta: floored_scale(eta, self.floor)
        return affine(d.x, p.scale_weights, p.scale_biases, centre_of(d, d.x), link)

    def m_step(self) -> Updates:
        """Weighted least squares for the means, then Newton steps for the scales."""

        def means(p: Namespace, d: Namespace, expected: Expected) -> tuple[Array, Array | None]:
            design, units = self.coefficients.design(d, d.x, units_of_y), units_of_y(d)
            # In units of the observations, whose squares may leave the range of 32 bits.
            w = weights_of(expected) * (units.spread / rows(self.scales(p, d), 1)) ** 2
            return design.restore(least_squares(design, w, d.y.ravel(), units.spread**2, units))

        def scales(p: Namespace, d: Namespace, expected: Expected) -> tuple[Array, Array | None]:
            design = self.log_scales.design(d, d.x, _level_of_log_scales)
            off = d.y.ravel()[:, None] - rows(self.predictors(p, d), 1)

            def one(now: Array, off: Array, w: Array) -> Array:
                def objective(beta: Array) -> Array:
                    fit = dist.Normal(0.0, floored_scale(design.x @ beta, self.floor)).log_prob(off)
                    return jnp.sum(w * fit) - design.penalty(beta)

                return damped_newton(objective, now, 2)

            now = design.standardise(p.scale_weights, p.scale_biases)
            return design.restore(jax.vmap(one, (0, 1, 1))(now, off, weights_of(expected)))

        return {("weights", "biases"): means, ("scale_weights", "scale_biases"): scales}

    def start(self, num_states: int, d: Namespace) -> Params:
        """Zero weights, and the scale of the data."""
        centre, spread = units_of_y(d)
        means = zero_weights(num_states, self.num_inputs, centre)
        scales = zero_weights(num_states, self.num_inputs, jnp.log(spread))
        return {**means, **{f"scale_{name}": value for name, value in scales.items()}}


def _level_of_log_scales(d: Namespace) -> Units:
    """Centred on the log spread of the observations."""
    return Units(jnp.log(units_of_y(d).spread), jnp.full((), _LOG_SCALE_SPREAD))
