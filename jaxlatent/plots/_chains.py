"""Transition matrices of hidden Markov models, and the means that states emit at given inputs, for all draws at once."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import split
from jaxlatent.masks import cover
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Params

_CATEGORICAL = (dist.CategoricalLogits, dist.CategoricalProbs)
#: Draws that are on the device at once.
_CHUNK_SIZE = 100


@compiled("name", "draws")
def matrices(posterior: Posterior, params: Params, name: str, draws: bool) -> Array:
    """Transition matrices ``(dataset, lane, draw?, K, K)``; those that vary, averaged over all steps that follow one of their sequence."""

    def one(posterior: Posterior, params: Params) -> Array:
        d = posterior.density.observed(params, posterior.data)[name]
        matrix: Array = d.transition_matrix
        if matrix.ndim == 2:
            return matrix
        value, mask = split(posterior.density.observation(name, params, posterior.data))
        steps = value.shape[: value.ndim - d.emissions.event_dim]
        seen = jnp.ones(steps, bool) if mask is None else cover(mask, steps)
        # A step is inside its sequence if it or a later one is observed.
        inside = jnp.flip(jnp.cumsum(jnp.flip(seen, -1), -1), -1)[..., 1:] > 0
        every = jnp.broadcast_to(matrix, (*inside.shape, *matrix.shape[-2:]))
        weights = inside[..., None, None].astype(every.dtype)
        axes = tuple(range(inside.ndim))
        return jnp.sum(weights * every, axes) / jnp.maximum(jnp.sum(weights, axes), 1)

    return _over_draws(one, posterior, params, draws)


@compiled("name", "draws")
def means(posterior: Posterior, params: Params, x: Array, name: str, draws: bool) -> Array:
    """The mean of the observation in each state at inputs ``(G, P)``, of categories their probabilities; of groups their population.

    Returns:
        ``(dataset, lane, draw?, G, K)``, of categories ``(..., G, K, C)``.
    """

    def one(posterior: Posterior, params: Params) -> Array:
        data, (rows, _) = posterior.data, x.shape
        grid = {**data, "x": x, name: jnp.zeros(rows, split(data[name])[0].dtype)}
        if "u" in data:
            grid["u"] = jnp.zeros((rows, split(data["u"])[0].shape[-1]), x.dtype)
        at, groups = _at_population(params, posterior.density.dims)
        grid |= dict.fromkeys(groups, jnp.zeros(rows, jnp.int32))
        emissions: Any = posterior.density.observed(at, grid)[name].emissions
        mean: Array = emissions.probs if isinstance(emissions, _CATEGORICAL) else emissions.mean
        return mean

    return _over_draws(one, posterior, params, draws)


def _at_population(params: Params, dims: Mapping[str, tuple[str, ...]]) -> tuple[Params, set[str]]:
    """Parameters with those of every group of `jaxlatent.models.hierarchical` at their population; and what the groups are called."""
    at, groups = dict(params), set()
    for name, (group, *rest) in dims.items():
        population = name.removeprefix(f"{group}_")
        if population != name and dims.get(population) == tuple(rest):
            at[name] = jnp.broadcast_to(params[population], params[name].shape)
            groups.add(group)
    return at, groups


def number_of_choices(d: dist.Distribution) -> int:
    """The number of values of choices, 2 of zeros and ones; 0 for other observations. ``d`` may be abstract."""
    if isinstance(d, dist.BernoulliLogits | dist.BernoulliProbs):
        return 2
    if not isinstance(d, _CATEGORICAL):
        return 0
    number: int = (d.logits if isinstance(d, dist.CategoricalLogits) else d.probs).shape[-1]
    return number


def _over_draws(one: Callable[..., Array], posterior: Posterior, params: Params, draws: bool) -> Array:
    """``one`` for every dataset, lane and draw."""

    def lane(posterior: Posterior, params: Params) -> Array:
        at: Callable[[Params], Array] = lambda params: one(posterior, params)
        found: Array = jax.lax.map(at, params, batch_size=_CHUNK_SIZE) if draws else at(params)
        return found

    return over_lanes(lane, (1, 0))(posterior, params)
