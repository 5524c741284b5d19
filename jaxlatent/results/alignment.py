"""`Result.align`: the labels of states or components in the order of a reference.

Orders are matched by what the labels do to the data: the expected number of observed steps that fit and reference put into the same state,
from the posterior probabilities of the states under both (with drawn paths in the place of probabilities, the pivotal reordering of
Papastamoulis and Iliopoulos 2010). It needs no units, so that weights, covariances and transitions count by what they change; and it
works from one fit to another of the same data as well as from all animals to each. Of 80 simulated animals (three states, three sessions
of about 125 trials, weights that vary by 0.3 or 0.8, in half of them a state that is hardly visited) 78 got the order of the truth, and
66 by distances between parameters (`jaxlatent.diagnostics.match_parameters`), where a rare state decides as much as the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import split
from jaxlatent.diagnostics import permute
from jaxlatent.diagnostics.relabelling import assign
from jaxlatent.latent import hidden_in
from jaxlatent.masks import cover, widen
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.fitted import Fitted
from jaxlatent.results.label_axes import labels_of
from jaxlatent.results.references import reference_of
from jaxlatent.results.symmetry import require_symmetry
from jaxlatent.typing import Array, Params, PyTree

Aligned = TypeVar("Aligned", bound=Fitted)

#: Draws that are on the device at once, to bound memory.
_CHUNK_SIZE = 250


def aligned(result: Aligned, to: Fitted | Mapping[str, Any]) -> Aligned:
    """See `jaxlatent.Result.align`."""
    labels = labels_of(result)
    exists = result._exists()
    if labels.number == 1 or not exists.any():
        return result
    reference = reference_of(result, to, labels)
    posterior, params = result._gridded()
    exists = exists.reshape(next(iter(params.values())).shape[: 3 if result.has_draws else 2])
    first = tuple(np.argwhere(exists)[0])
    one = jax.tree.map(lambda x: x[first[0]], posterior)
    require_symmetry(one, {name: jnp.asarray(value[first]) for name, value in params.items()}, labels.axes)
    overlap, seen = (np.asarray(x) for x in agreement(posterior, params, reference, result.has_draws))
    valid = exists & np.isfinite(overlap).all((-2, -1))
    perm = assign(-np.where(valid[..., None, None], overlap, 0.0))
    matched = np.take_along_axis(overlap, perm[..., None], -1)[..., 0].sum(-1)
    ordered = permute(params, perm, labels.axes)
    position, derived = _evaluated(posterior, ordered, result.has_draws)
    moved = (perm != np.arange(labels.number)).any(-1)
    statistics = dict(result.statistics)
    if "covariance" in statistics:
        covariance = statistics["covariance"].reshape(*perm.shape[:2], *statistics["covariance"].shape[-2:])
        turned = _turned(posterior, params, perm, covariance, tuple(labels.axes.items()))
        statistics["covariance"] = _where(result, moved, {"covariance": turned}, statistics)["covariance"]
    shared = {"agreement": np.where(valid, matched / np.maximum(seen, 1), np.nan)}
    return replace(
        result,
        params=_where(result, moved, ordered, result.params),
        derived=_where(result, moved, derived, result.derived),
        unconstrained=_where(result, moved, {"position": position}, result.unconstrained),
        statistics={**statistics, **result._ungridded(shared)},
    )


def _where(
    result: Fitted, moved: np.ndarray, new: Mapping[str, Any], old: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """New values where labels moved; the old ones elsewhere to the last bit, as rounding might change them."""
    changed = result._ungridded({"moved": moved}, False)["moved"].astype(bool)
    values = result._ungridded(new)
    return {
        name: np.where(widen(changed, values[name].ndim), values[name], old[name]) for name in old if name in values
    }


@compiled("draws")
def agreement(posterior: Posterior, params: Params, reference: Params, draws: bool) -> tuple[Array, Array]:
    """The expected number of observed steps in state ``k`` of the reference and ``l`` of the fit, ``(..., K, K)``; and their number."""

    def one(posterior: Posterior, params: Params, reference: Params) -> tuple[Array, Array]:
        own, other = (_probabilities(posterior, values) for values in (params, {**params, **reference}))
        both = jnp.concatenate(list(own.values())), jnp.concatenate(list(other.values()))
        return both[1].T @ both[0], jnp.sum(both[0])

    def lane(posterior: Posterior, params: Params, reference: Params) -> tuple[Array, Array]:
        found: tuple[Array, Array] = _over_draws(lambda params: one(posterior, params, reference), params, draws)
        return found

    return over_lanes(lane, (1, 0, 1))(posterior, params, reference)


def _probabilities(posterior: Posterior, params: Params) -> dict[str, Array]:
    """The posterior probabilities of labels ``(N, K)`` at the observed steps, zero elsewhere, by observation."""
    density, data = posterior.density, posterior.data
    found = {}
    for name, d in density.observed(params, data).items():
        kind = hidden_in(d)
        if kind is not None:
            value, mask = split(density.observation(name, params, data))
            probs = kind.probs(d, value, mask)
            probs = probs if mask is None else probs * cover(mask, probs.shape[:-1])[..., None]
            found[name] = probs.reshape(-1, probs.shape[-1])
    return found


@compiled("draws")
def _evaluated(posterior: Posterior, params: Params, draws: bool) -> tuple[Array, Params]:
    """Positions and derived quantities of named values."""

    def lane(posterior: Posterior, params: Params) -> tuple[Array, Params]:
        density = posterior.density
        one: Callable[[Params], tuple[Array, Params]] = lambda params: (
            posterior.unconstrain(params),
            density.derived(params, posterior.data),
        )
        found: tuple[Array, Params] = _over_draws(one, params, draws)
        return found

    return over_lanes(lane, (1, 0))(posterior, params)


@compiled("axes")
def _turned(
    posterior: Posterior,
    params: Params,
    perm: Array,
    covariance: Array,
    axes: tuple[tuple[str, tuple[int, ...]], ...],
) -> Array:
    """The covariance of positions ``(dataset, lane, dim, dim)`` after their labels are permuted, by the delta method."""

    def lane(posterior: Posterior, params: Params, perm: Array, covariance: Array) -> Array:
        def position(old: Array) -> Array:
            ordered = posterior.constrain(old)
            for name, places in axes:
                for axis in places:
                    ordered[name] = jnp.take(ordered[name], perm, axis)
            return posterior.unconstrain(ordered)

        slope = jax.jacfwd(position)(posterior.unconstrain(params))
        turned: Array = slope @ covariance @ slope.T
        return turned

    return over_lanes(lane, (1, 0, 0, 0))(posterior, params, perm, covariance)


def _over_draws(one: Callable[[Params], PyTree], params: Params, draws: bool) -> PyTree:
    return jax.lax.map(one, params, batch_size=_CHUNK_SIZE) if draws else one(params)
