"""What follows from a fit about hidden labels and paths: probabilities, most likely paths, draws, forecasts; for all draws at once."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data import split
from jaxlatent.distributions.hidden_markov import HiddenMarkov
from jaxlatent.distributions.masking import feasible
from jaxlatent.lanes import over_lanes
from jaxlatent.latent import expect
from jaxlatent.posterior import Posterior
from jaxlatent.typing import Array, Key, Params


@partial(jax.jit, static_argnames="draws")
def smooth(posterior: Posterior, params: Params, draws: bool) -> dict[str, Array]:
    """Probabilities of states or components, ``(..., K)``, by observation that hides them; leads like ``params``."""

    def one(d: dist.Distribution, observation: Any, key: Key) -> Array:
        if isinstance(d, HiddenMarkov):
            return d.smooth(*split(observation)).probs
        weights = expect(d, observation).weights
        assert weights is not None
        return weights

    return _map(one, posterior, params, None, draws)


@partial(jax.jit, static_argnames="draws")
def most_likely(posterior: Posterior, params: Params, draws: bool) -> dict[str, Array]:
    """Most likely paths, or labels of a mixture: integers, -1 where there is nothing; leads like ``params``."""

    def one(d: Any, observation: Any, key: Key) -> Array:
        value, mask = split(observation)
        if isinstance(d, HiddenMarkov):
            return d.most_likely_states(value, mask)
        return _labels(jnp.argmax(_joint(d, value, mask), -1), mask)

    return _map(one, posterior, params, None, draws)


@partial(jax.jit, static_argnames="draws")
def sample(posterior: Posterior, params: Params, key: Key, draws: bool) -> dict[str, Array]:
    """Paths or labels drawn given the observations, one for each of ``params``: integers, -1 where there is nothing."""

    def one(d: Any, observation: Any, key: Key) -> Array:
        value, mask = split(observation)
        if isinstance(d, HiddenMarkov):
            return d.sample_states(key, value, mask)
        return _labels(jax.random.categorical(key, _joint(d, value, mask)), mask)

    return _map(one, posterior, params, key, draws)


@partial(jax.jit, static_argnames="draws")
def complete_log_likelihood(posterior: Posterior, params: Params, draws: bool) -> dict[str, Array]:
    """Log likelihood of the observations together with their most likely paths or labels, a scalar by observation."""

    def one(d: Any, observation: Any, key: Key) -> Array:
        value, mask = split(observation)
        if isinstance(d, HiddenMarkov):
            return jnp.sum(d.most_likely_log_prob(value, mask))
        best = jnp.max(_joint(d, value, mask), -1)
        return jnp.sum(best if mask is None else jnp.where(mask, best, 0.0))

    return _map(one, posterior, params, None, draws)


@partial(jax.jit, static_argnames=("steps", "draws"))
def forecast(posterior: Posterior, params: Params, key: Key, steps: int, draws: bool) -> dict[str, Array]:
    """The next ``steps`` values of every sequence, one draw for each of ``params``, by observation."""

    def one(d: Any, observation: Any, key: Key) -> Array:
        value, mask = split(observation)
        leading = value.shape[: value.ndim - d.emissions.event_dim - 1]
        filtered = d.filtered(value, mask)
        length = value.shape[len(leading)] if mask is None else _lengths(mask)
        last = jnp.broadcast_to(jnp.asarray(length) - 1, leading)
        now = jnp.take_along_axis(filtered, last[..., None, None], -2)[..., 0, :]
        following = jnp.where(last[..., None] >= 0, now @ d.transition_matrix, d.initial_probs)
        draw = lambda key, first: HiddenMarkov(first, d.transition_matrix, d.emissions, (steps,)).sample(key)
        flat = following.reshape(-1, following.shape[-1])
        drawn = jax.vmap(draw)(jax.random.split(key, flat.shape[0]), flat)
        return drawn.reshape(*leading, *drawn.shape[1:])

    return _map(one, posterior, params, key, draws, plain_chains_only=True)


def _map(
    one: Any, posterior: Posterior, params: Params, key: Key | None, draws: bool, plain_chains_only: bool = False
) -> dict[str, Array]:
    """``one(distribution, observation, key)`` for every observation that hides something, over ``(dataset, lane, draw?)``."""
    leading = next(iter(params.values())).shape[: 3 if draws else 2]

    def at(posterior: Posterior, params: Params, key: Key) -> dict[str, Array]:
        observed = posterior.density.observed(params, posterior.data)
        return {
            name: one(d, posterior.data[name], jax.random.fold_in(key, i))
            for i, (name, d) in enumerate(observed.items())
            if (_is_plain_chain(d) if plain_chains_only else hides(d))
        }

    keys = jax.random.split(jax.random.key(0) if key is None else key, leading)
    return over_lanes(jax.vmap(at, (None, 0, 0)) if draws else at, (1, 0, 0))(posterior, params, keys)


def hides(d: dist.Distribution) -> bool:
    """Whether a distribution sums over something hidden."""
    return isinstance(d, HiddenMarkov | dist.MixtureSameFamily | dist.MixtureGeneral)


def _is_plain_chain(d: dist.Distribution) -> bool:
    return isinstance(d, HiddenMarkov) and len(d.emissions.batch_shape) == 1 and d.transition_matrix.ndim == 2


def _joint(d: Any, value: Array, mask: Array | None) -> Array:
    return d.component_log_probs(value if mask is None else feasible(d, value, mask))


def _labels(labels: Array, mask: Array | None) -> Array:
    return labels if mask is None else jnp.where(mask, labels, -1)


def _lengths(mask: Array) -> Array:
    """Steps up to the last one that was seen."""
    return jnp.max(jnp.where(mask, jnp.arange(1, mask.shape[-1] + 1), 0), -1)
