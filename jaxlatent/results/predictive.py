"""Pointwise log likelihoods and predictive draws, for all draws of the parameters at once."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from jaxlatent._compat.compiled import compiled
from jaxlatent.masks import widen
from jaxlatent.model.checks import is_population
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import AnyArray, Array, Key, Params


@compiled("draws")
def log_likelihood(posterior: Posterior, params: Params, draws: bool) -> dict[str, Array]:
    """Pointwise log likelihood by observation; leads like ``params`` with ``(dataset, lane)``, and ``draw`` if ``draws``.

    A `jaxlatent.Factor` without an entry in the data is not an observation.
    """

    def one(posterior: Posterior, params: Params) -> dict[str, Array]:
        density, data = posterior.density, posterior.data
        terms = density.log_likelihood(params, data)
        return {name: term for name, term in terms.items() if density.observation(name, params, data) is not None}

    return over_lanes(jax.vmap(one, (None, 0)) if draws else one, (1, 0))(posterior, params)


@compiled("draws")
def log_predictive_density(
    posterior: Posterior, given: Posterior | None, params: Params, exists: Array, draws: bool
) -> dict[str, Array]:
    """Pointwise log predictive density by observation, leading with ``dataset``: log mean exp over lanes and draws, or of one point.

    Args:
        posterior: of the data to evaluate.
        given: of a part of the same data, on which the rest is conditioned.
        params: lead with ``(dataset, lane)``, and ``draw`` if ``draws``; the only lane otherwise.
        exists: which draws count, ``(dataset, lane, draw)``; points are ``(dataset, lane)``.
        draws: whether lanes are chains of draws.
    """
    terms = log_likelihood(posterior, params, draws)
    if given is not None:
        before = log_likelihood(given, params, draws)
        terms = {name: term - before[name] for name, term in terms.items()}
    axes = tuple(range(1, exists.ndim))
    count = jnp.sum(exists, axes)

    def mean(term: Array) -> Array:
        total = logsumexp(jnp.where(widen(exists, term.ndim), term, -jnp.inf), axes)
        log_mean = total - jnp.log(widen(count, total.ndim))
        return jnp.where(widen(count > 0, total.ndim), log_mean, jnp.nan)

    return {name: mean(term) for name, term in terms.items()}


@compiled("draws")
def predict(posterior: Posterior, params: Params, key: Key, draws: bool) -> dict[str, Array]:
    """One predictive draw of every observation for each draw of the parameters, with the leading axes of ``params``."""
    leading = next(iter(params.values())).shape[: 3 if draws else 2]

    def one(posterior: Posterior, key: Key, params: Params) -> dict[str, Array]:
        return posterior.density.sample_observed(key, params, posterior.data)

    # Lanes and draws as one axis: binomial draws compile three times as fast under one `vmap` as under three.
    flat = lambda x: x.reshape(leading[0], -1, *x.shape[len(leading) :])
    drawn = over_lanes(one, (1, 0, 0))(posterior, *jax.tree.map(flat, (jax.random.split(key, leading), params)))
    shaped: dict[str, Array] = jax.tree.map(lambda x: x.reshape(*leading, *x.shape[2:]), drawn)
    return shaped


@compiled()
def derived(posterior: Posterior, params: Params) -> dict[str, Array]:
    """The derived quantities at ``params``, which lead with ``(dataset, lane)``."""
    at: Callable[[Posterior, Params], dict[str, Array]] = lambda posterior, params: posterior.density.derived(
        params, posterior.data
    )
    return over_lanes(at, (1, 0))(posterior, params)


def observations(posterior: Posterior, params: Mapping[str, AnyArray], names: tuple[str, ...]) -> dict[str, Any]:
    """Observed values by name, leading with ``dataset``, given one value of ``params`` per dataset."""

    def one(posterior: Posterior, params: Params) -> dict[str, Any]:
        return {name: posterior.density.observation(name, params, posterior.data) for name in names}

    over_datasets: Callable[..., dict[str, Any]] = jax.vmap(one)
    return over_datasets(posterior, params)


@compiled("draws", "wanted")
def with_new_levels(
    posterior: Posterior, key: Key, params: Params, draws: bool, wanted: tuple[tuple[str, int], ...]
) -> Params:
    """Add entries along the first axis of parameters, drawn from their priors given the other parameters.

    Those that follow an earlier parameter one by one are drawn given its new entries.

    Args:
        posterior: of a `Model`, with the data of the fit.
        key: a typed JAX key.
        params: lead with ``(dataset, lane)``, and ``draw`` if ``draws``.
        draws: whether lanes are chains of draws.
        wanted: new length of the first axis by name, in the order of the declaration; see `jaxlatent.model.checks.levels_needed`.
    """
    assert isinstance(posterior.density, ModelDensity)
    model, leading = posterior.density.model, next(iter(params.values())).shape[: 3 if draws else 2]

    def one(posterior: Posterior, key: Key, params: Params) -> Params:
        longer = dict(params)
        for i, (name, length) in enumerate(wanted):
            had = params[name].shape[0]
            copies = -(-(length - had) // had)
            if not is_population(model, name, params, posterior.data):
                drawn = model.prior_of(name, longer, posterior.data).sample(jax.random.fold_in(key, i))
                longer[name] = drawn.at[:had].set(params[name])
                continue
            prior = model.prior_of(name, params, posterior.data)
            new = prior.sample(jax.random.fold_in(key, i), (copies,)).reshape(-1, *params[name].shape[1:])
            longer[name] = jnp.concatenate([params[name], new[: length - had].astype(params[name].dtype)])
        return longer

    mapped = over_lanes(jax.vmap(one, (None, 0, 0)) if draws else one, (1, 0, 0))
    return mapped(posterior, jax.random.split(key, leading), params)
