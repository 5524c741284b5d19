"""Posterior probabilities, most likely values, draws and forecasts of latent labels and paths, for all draws at once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import split
from jaxlatent.latent import hidden_in, unit_shape
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.masks import cover
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, Params


@compiled("draws")
def smooth(posterior: Posterior, params: Params, draws: bool) -> dict[str, Array]:
    """Probabilities of states or components, ``(..., K)``, by observation, with the leading axes of ``params``."""
    return _map(lambda kind, d, value, mask, key: kind.probs(d, value, mask), posterior, params, None, draws)


@compiled("draws")
def most_likely(posterior: Posterior, params: Params, draws: bool) -> tuple[dict[str, Array], dict[str, Array]]:
    """Most likely paths or labels, -1 where masked or past the end, and the joint log likelihood of values and paths; by observation."""
    found = _map(lambda kind, d, value, mask, key: kind.most_likely(d, value, mask), posterior, params, None, draws)
    return {name: path for name, (path, _) in found.items()}, {name: fit for name, (_, fit) in found.items()}


@compiled("draws")
def sample(posterior: Posterior, params: Params, key: Key, draws: bool) -> dict[str, Array]:
    """Paths or labels drawn given the observations, one for each of ``params``; -1 where masked or past the end."""
    return _map(lambda kind, d, value, mask, key: kind.sample(key, d, value, mask), posterior, params, key, draws)


@compiled("steps", "draws")
def forecast(posterior: Posterior, params: Params, key: Key, steps: int, draws: bool) -> dict[str, Array]:
    """The next ``steps`` values of every sequence, one draw for each of ``params``, by observation."""

    def one(kind: Any, d: Any, value: Array, mask: Array | None, key: Key) -> Array:
        leading = value.shape[: value.ndim - d.emissions.event_dim - 1]
        filtered = d.filtered(value, mask)
        length = value.shape[len(leading)] if mask is None else _lengths(mask)
        last = jnp.broadcast_to(jnp.asarray(length) - 1, leading)
        now = jnp.take_along_axis(filtered, last[..., None, None], -2)[..., 0, :]
        following = jnp.where(last[..., None] >= 0, now @ d.transition_matrix, d.initial_probs)
        draw: Callable[[Key, Array], Array] = lambda key, first: HiddenMarkov(
            first, d.transition_matrix, d.emissions, (steps,)
        ).sample(key)
        flat = following.reshape(-1, following.shape[-1])
        drawn = jax.vmap(draw)(jax.random.split(key, flat.shape[0]), flat)
        return drawn.reshape(*leading, *drawn.shape[1:])

    return _map(one, posterior, params, key, draws, plain_chains_only=True)


def _map(
    one: Callable[..., Any],
    posterior: Posterior,
    params: Params,
    key: Key | None,
    draws: bool,
    plain_chains_only: bool = False,
) -> dict[str, Any]:
    """Map ``one(kind, d, value, mask, key)`` over ``(dataset, lane, draw?)``, for every observation with latent labels or paths.

    ``kind`` is `jaxlatent.latent.hidden_in` of ``d``.
    """
    leading = next(iter(params.values())).shape[: 3 if draws else 2]

    def at(posterior: Posterior, params: Params, key: Key) -> dict[str, Any]:
        found = {}
        for i, (name, d) in enumerate(posterior.density.observed(params, posterior.data).items()):
            if _is_plain_chain(d) if plain_chains_only else hidden_in(d):
                value, mask = split(posterior.density.observation(name, params, posterior.data))
                mask = cover(mask, value.shape[: len(unit_shape(d))])
                found[name] = one(hidden_in(d), d, value, mask, jax.random.fold_in(key, i))
        return found

    keys = jax.random.split(jax.random.key(0) if key is None else key, leading)
    return over_lanes(jax.vmap(at, (None, 0, 0)) if draws else at, (1, 0, 0))(posterior, params, keys)


def _is_plain_chain(d: dist.Distribution) -> bool:
    return isinstance(d, HiddenMarkov) and len(d.emissions.batch_shape) == 1 and d.transition_matrix.ndim == 2


def _lengths(mask: Array) -> Array:
    """The number of steps up to the last unmasked one."""
    return jnp.max(jnp.where(mask, jnp.arange(1, mask.shape[-1] + 1), 0), -1)
