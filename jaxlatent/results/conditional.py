"""`Conditional`: predictive distributions given inputs, with moments, quantiles, densities, modes, draws and calibration.

For draws of the parameters, the predictive distribution is the average of the distributions at each draw.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import logsumexp

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import split
from jaxlatent.distributions.centring import family_of
from jaxlatent.distributions.factor import Factor
from jaxlatent.distributions.masking import masked_log_prob
from jaxlatent.distributions.pointwise import cdf, density
from jaxlatent.errors import InputError, require
from jaxlatent.keys import Purpose, key_for
from jaxlatent.latent import hidden_in
from jaxlatent.masks import widen
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.quantiles import grid_between, quantiles
from jaxlatent.typing import AnyArray, Array, ArrayLike, Data, Key, Params, PyTree

#: Levels between which modes are searched, and the number of grid points of the search.
_LEVELS, _GRID = np.clip(np.linspace(0, 1, 33), 1e-3, 1 - 1e-3), 512


class Components(NamedTuple):
    """The components of scalar mixtures at each row, each ``(rows, K)``.

    Attributes:
        weights: probabilities.
        means: of the components.
        scales: their standard deviations.
    """

    weights: np.ndarray
    means: np.ndarray
    scales: np.ndarray


@dataclass(frozen=True)
class Conditional:
    """Predictive distributions of one observation, one per row, as returned by `Result.conditional`.

    Arrays lead with ``(dataset?, lane?)`` like those of the result, averaged over chains and draws.

    Attributes:
        posterior: with the inputs to predict at; data lead with ``dataset``.
        params: lead with ``(dataset, lane, draw)``, with one lane for draws and one draw for point fits.
        name: of the observation.
        strip: removes the axes that the result does not have.
    """

    posterior: Posterior
    params: Params
    name: str
    strip: Callable[[np.ndarray], np.ndarray]

    def mean(self) -> np.ndarray:
        """The conditional mean, ``(rows, *event)``."""
        return self.strip(self._moments()[0])

    def variance(self) -> np.ndarray:
        """The conditional variance, ``(rows, *event)``: the mean variance plus the variance of the mean over draws."""
        return self.strip(self._moments()[1])

    def components(self) -> Components:
        """Weights, means and scales of the components, averaged over draws (meaningful without label switching only)."""
        return Components(*(self.strip(one) for one in self._averaged(_components, ())))

    def cdf(self, y: Sequence[float] | ArrayLike) -> np.ndarray:
        """The distribution function at values ``(G,)``: ``(rows, G)``; scalar observations only."""
        return self.strip(self._below(self._grid(y)))

    def density(self, y: Sequence[float] | ArrayLike) -> np.ndarray:
        """The density at values ``(G,)``, of counts and categories their probabilities: ``(rows, G)``; scalar observations only."""
        self._require_scalar()
        return self.strip(self._averaged(_density, self._grid(y)))

    def quantile(self, probs: Sequence[float] | ArrayLike) -> np.ndarray:
        """The quantiles at probabilities ``(Q,)``: ``(rows, Q)``; continuous scalar observations only."""
        levels = np.asarray(probs, float)
        inside = levels.ndim == 1 and bool(np.all((levels > 0) & (levels < 1)))
        require(
            inside,
            "quantile(probs)",
            got=probs,
            expected="a list of probabilities in (0, 1)",
            remedy="as in [0.05, 0.95].",
        )
        return self.strip(self._quantile(levels))

    def modes(self, most: int = 5) -> np.ndarray:
        """The modes of the density, highest first: ``(rows, most)``, padded with NaN.

        Found on a grid of 512 values of each row, between the quantiles at 0.001 and 0.999, and refined by a parabola through the log
        density; a peak at an end of the support is none.
        """
        grid = grid_between(self._quantile(_LEVELS), _LEVELS, _GRID)
        height = np.log(np.maximum(self._averaged(_density, grid), np.finfo(np.float32).tiny))
        slope = np.diff(height) / np.maximum(np.diff(grid), np.finfo(np.float32).tiny)
        before, after = slope[..., :-1], slope[..., 1:]
        peak = (before > 0) & (after <= 0)
        # The slope between two points is that of the parabola in their middle.
        share = before / np.where(peak, before - after, 1.0)
        places = (grid[..., :-2] + grid[..., 1:-1] + share * (grid[..., 2:] - grid[..., :-2])) / 2
        order = np.argsort(np.where(peak, -height[..., 1:-1], np.inf), -1, kind="stable")[..., :most]
        return self.strip(np.take_along_axis(np.where(peak, places, np.nan), order, -1))

    def sample(self, seed: int | Key, draws: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draws ``(draws, rows, *event)`` and their components ``(draws, rows)``, 0 without components.

        The label is drawn first, then the value from its component, at evenly spaced draws of the parameters.
        """
        require(draws >= 1, "sample(draws=...)", got=draws, expected="at least 1 draw")
        leading = next(iter(self.params.values())).shape
        keys = jax.random.split(key_for(Purpose.SAMPLE, seed), (*leading[:2], draws))
        index_of_draw = np.linspace(0, leading[2], draws, endpoint=False).astype(int)
        params = jax.tree.map(lambda x: x[:, :, index_of_draw], self.params)
        values, labels = _sampled(self.posterior, params, keys, self.name)
        return self.strip(np.asarray(values)), self.strip(np.asarray(labels))

    def pit(self, seed: int | Key | None = None) -> np.ndarray:
        """The distribution function at the observation, ``(rows,)``: uniform if calibrated (Dawid 1984); NaN if masked.

        Of discrete observations it is drawn between the function below the observation and at it (Smith 1985; Czado, Gneiting and Held
        2009, section 2.1), which makes it uniform too.

        Args:
            seed: of the draws; required for discrete observations, and of no effect on continuous ones.

        Raises:
            InputError: for discrete observations without a seed, data without the observation, and without a distribution function.
        """
        value, mask = self._values()
        below, seen = self._below(value[..., None])[..., 0], self._seen(mask)
        if self._distribution().is_discrete:
            if seed is None:
                raise InputError(
                    f"pit() and coverage() of {self.name!r}",
                    got=f"{_describe(self._distribution())}, which is discrete, and no seed",
                    expected="a seed: of discrete values these are randomised",
                    remedy="use pit(seed=0) or coverage(probs, seed=0).",
                )
            least = self._below(value[..., None] - 1)[..., 0]
            share = jax.random.uniform(key_for(Purpose.PIT, seed), below.shape, below.dtype)
            below = least + np.asarray(share) * (below - least)
        return self.strip(np.where(seen, below, np.nan))

    def log_score(self) -> np.ndarray:
        """The log predictive density of the observation, ``(rows,)``, in nats: higher is better; NaN if masked.

        Rows of hidden Markov models are sequences, of which masked steps are missing.
        """
        value, mask = self._values()
        each, seen = _log_densities(self.posterior, self.params, value, mask, self.name), self._seen(mask)
        score = logsumexp(each, 2) - jnp.log(each.shape[2])
        return self.strip(np.where(seen, score, np.nan))

    def coverage(self, probs: Sequence[float] | ArrayLike, seed: int | Key | None = None) -> np.ndarray:
        """The fraction of observations in central intervals of probabilities ``(Q,)``: ``(Q,)``, close to them if calibrated.

        Args:
            probs: of the intervals.
            seed: as of `pit`: discrete observations at an end of an interval are in it with some probability.
        """
        off = np.abs(self.pit(seed) - 0.5)[..., None]
        inside: np.ndarray = np.nanmean(np.where(np.isnan(off), np.nan, off <= np.asarray(probs) / 2), -2)
        return inside

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        self._require("moments", _ordered, "numbers or vectors whose distribution has a mean")
        mean = self._averaged(_mean, ())
        return mean, self._averaged(_variance, mean)

    def _below(self, y: Array | np.ndarray) -> np.ndarray:
        self._require_scalar()
        self._require("a distribution function", _ordered, "numbers whose distribution has one")
        below: np.ndarray = self._averaged(_cdf, y)
        return below

    def _quantile(self, levels: np.ndarray) -> np.ndarray:
        self._require("quantiles and modes", lambda d: not d.is_discrete, "a continuous distribution")
        self._require_scalar()
        return quantiles(self._below, levels, (*self._leading, *self._distribution().batch_shape, len(levels)))

    def _averaged(self, one: Callable[..., Any], y: Any) -> Any:
        try:
            return jax.tree.map(np.asarray, _averaged(self.posterior, self.params, y, self.name, one))
        except NotImplementedError:
            self._require("this quantity", lambda d: False, "a distribution that NumPyro knows it of")

    def _require_scalar(self) -> None:
        self._require("densities and distribution functions", lambda d: d.event_dim == 0, "scalar observations")

    def _require(self, what: str, fine: Callable[[Any], bool], expected: str) -> None:
        """Raise `InputError` unless ``fine(d)`` of the distribution of the observation."""
        d = self._distribution()
        require(
            fine(d),
            f"{what} of {self.name!r}",
            got=_describe(d),
            expected=expected,
            remedy="use log_score() or sample().",
        )

    def _distribution(self) -> Any:
        """The distribution of the observation, of which shapes alone are known."""
        found: list[Any] = []
        first = jax.tree.map(lambda x: x[0, 0, 0], self.params)
        one = self.posterior.one(0)
        jax.eval_shape(
            lambda params, data: found.append(one.density.observed(params, data)[self.name]), first, one.data
        )
        return found[0]

    @property
    def _leading(self) -> tuple[int, ...]:
        """The numbers of datasets and lanes."""
        return next(iter(self.params.values())).shape[:2]

    def _grid(self, y: Sequence[float] | ArrayLike) -> Array:
        values = jnp.asarray(np.asarray(y))
        require(
            values.ndim == 1, "a grid of values", got=np.shape(y), expected="one axis", remedy="pass a list of values."
        )
        rows = (1,) * len(self._distribution().batch_shape)
        return jnp.broadcast_to(values, (*self._leading, *rows, len(values)))

    def _values(self) -> tuple[Array, Array | None]:
        """The observation ``(dataset, lane, rows, *event)``, and its mask of leading axes after ``dataset``."""
        density = self.posterior.density
        at: Callable[[Params, Data], Any] = lambda params, data: density.observation(self.name, params, data)
        first = jax.tree.map(lambda x: x[:, 0, 0], self.params)
        found = jax.vmap(at)(first, self.posterior.data)
        if found is None:
            raise InputError(
                f"what was observed of {self.name!r}",
                got="inputs only",
                expected=f"data that hold {self.name!r}",
                remedy="add it to the data of result.conditional(data).",
            )
        value, mask = split(found)
        return jnp.repeat(value[:, None], self._leading[1], 1), None if mask is None else jnp.asarray(mask)

    def _seen(self, mask: Array | None) -> Array:
        """Which rows are observed, at least in part, ``(dataset, 1, rows)``."""
        if mask is None:
            return jnp.ones((), bool)
        rows = len(self._distribution().batch_shape)
        seen: Array = widen(jnp.any(mask, tuple(range(1 + rows, mask.ndim))), 1 + rows)
        return seen[:, None]


def _family(d: Any) -> Any:
    """The distribution of the values, or of the components if it is a mixture."""
    d = family_of(d)
    return family_of(d.component_distribution) if isinstance(d, dist.MixtureSameFamily) else d


def _ordered(d: Any) -> bool:
    """Whether the values have an order: the numbers of categories are arbitrary."""
    return not isinstance(_family(d), dist.CategoricalProbs | dist.CategoricalLogits)


def _describe(d: Any) -> str:
    mixture = "a mixture of " if isinstance(family_of(d), dist.MixtureSameFamily) else ""
    return f"{mixture}{type(_family(d)).__name__} of event shape {d.event_shape}"


def _mean(d: dist.Distribution, y: Any) -> Array:
    mean: Array = d.mean
    return mean


def _variance(d: dist.Distribution, mean: Array) -> Array:
    """Of the values around the ``mean`` of all draws: a difference of mean squares would lose it where the mean is large."""
    variance: Array = d.variance + (d.mean - mean) ** 2
    return variance


def _components(d: Any, y: Any) -> tuple[Array, Array, Array]:
    if not isinstance(d, dist.MixtureSameFamily) or d.event_dim:
        raise InputError(
            "conditional.components()",
            got=f"{type(d).__name__} of event shape {d.event_shape}",
            expected="a mixture of scalar components",
            remedy="use mean() and variance().",
        )
    shape = (*d.batch_shape, d.mixture_size)
    scales = jnp.sqrt(d.component_distribution.variance)
    parts = (jax.nn.softmax(d.mixing_distribution.logits, -1), d.component_distribution.mean, scales)
    weights, means, scales = (jnp.broadcast_to(part, shape) for part in parts)
    return weights, means, scales


def _cdf(d: dist.Distribution, y: Array) -> Array:
    return _at_values(cdf, d, y)


def _density(d: dist.Distribution, y: Array) -> Array:
    return _at_values(density, d, y)


def _at_values(one: Callable[[Any, Array], Array], d: dist.Distribution, y: Array) -> Array:
    """``one(d, value)`` at values ``(rows or 1, G)``: ``(rows, G)``."""
    found = one(d, jnp.moveaxis(y, -1, 0))
    return jnp.moveaxis(jnp.broadcast_to(found, (y.shape[-1], *d.batch_shape)), 0, -1)


@compiled("name", "one")
def _averaged(posterior: Posterior, params: Params, y: PyTree, name: str, one: Callable[..., PyTree]) -> PyTree:
    """``one(d, y)`` averaged over draws, leading with ``(dataset, lane)`` like ``y``; one draw at a time, to save memory."""

    def lane(posterior: Posterior, params: Params, y: PyTree) -> PyTree:
        at: Callable[[Params], PyTree] = lambda params: one(posterior.density.observed(params, posterior.data)[name], y)
        # Sums of differences from the first: of many large numbers, a sum in float32 is coarser than they vary.
        first = jax.tree.map(lambda x: jnp.where(jnp.isfinite(x), x, 0), at(jax.tree.map(lambda x: x[0], params)))
        add = lambda total, params: (jax.tree.map(lambda t, x, x0: t + (x - x0), total, at(params), first), None)
        total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, first), params)
        draws = next(iter(params.values())).shape[0]
        return jax.tree.map(lambda x0, t: x0 + t / draws, first, total)

    return over_lanes(lane, (1, 0, 0))(posterior, params, y)


@compiled("name")
def _log_densities(posterior: Posterior, params: Params, y: Array, mask: Array | None, name: str) -> Array:
    """The log density of each row at each draw, ``(dataset, lane, draw, rows)``."""

    def lane(posterior: Posterior, mask: Array | None, params: Params, y: Array) -> Array:
        each: Callable[[Params], Array] = lambda params: masked_log_prob(
            posterior.density.observed(params, posterior.data)[name], y, mask
        )
        densities: Array = jax.lax.map(each, params)
        return densities

    return over_lanes(lane, (1, 1, 0, 0))(posterior, mask, params, y)


@compiled("name")
def _sampled(posterior: Posterior, params: Params, keys: Key, name: str) -> tuple[Array, Array]:
    """One draw and its label for each draw of the parameters, ``(dataset, lane, draw, rows)``."""

    def one(posterior: Posterior, params: Params, key: Key) -> tuple[Array, Array]:
        d: Any = posterior.density.observed(params, posterior.data)[name]
        hidden = hidden_in(d)
        return (d.sample(key), jnp.zeros(d.batch_shape, jnp.int32)) if hidden is None else hidden.simulate(key, d)

    return over_lanes(jax.vmap(one, (None, 0, 0)), (1, 0, 0))(posterior, params, keys)


def make_conditional(
    posterior: Posterior,
    params: Mapping[str, AnyArray],
    draws: bool,
    name: str | None,
    strip: Callable[[np.ndarray], np.ndarray],
) -> Conditional:
    """The predictive distribution of one observation.

    Args:
        posterior: data lead with ``dataset``.
        params: lead with ``(dataset, lane)``, and ``draw`` if ``draws``.
        draws: whether lanes are chains of draws.
        name: of the observation; None if there is only one.
        strip: see `Conditional`; for arrays that lead with ``(dataset, lane)``, for draws with ``(dataset,)`` only.

    Raises:
        InputError: for an unknown name, None with several observations, or a posterior that does not know their distributions.
    """
    first = jax.tree.map(lambda x: x[0, 0, 0] if draws else x[0, 0], params)
    one = posterior.one(0)
    known: list[str] = []

    def find_observations(params: Params, data: Any) -> None:
        observed = one.density.observed(params, data)
        known.extend(name for name, d in observed.items() if not isinstance(d, Factor))

    # As arguments rather than closed over: NumPyro rejects concrete NaN parameters, such as those of a quarantined dataset.
    jax.eval_shape(find_observations, first, one.data)
    if not known:
        raise InputError(
            "result.conditional()",
            got="a posterior that does not know the distributions of its observations",
            expected="one from a Model or a NumPyro model",
            remedy=one.density.remedy,
        )
    if (name is None and len(known) != 1) or (name is not None and name not in known):
        raise InputError(
            "result.conditional(name=...)",
            got=repr(name),
            expected=f"one of {known}",
            remedy="name the observation, as the likelihood does.",
        )
    if draws:
        by_draw = {key: jnp.asarray(x).reshape(x.shape[0], 1, -1, *x.shape[3:]) for key, x in params.items()}
        whole = strip
        strip = lambda x: whole(x[:, 0])
    else:
        by_draw = {key: jnp.asarray(x)[:, :, None] for key, x in params.items()}
    return Conditional(posterior, by_draw, name or known[0], strip)
