"""The labels of replicate fits in the order of the fit that they replicate."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.diagnostics.relabelling import match_parameters, permute
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Params

#: The names that ready families give to the dimensions of hidden labels.
_LABELS = {"state", "next_state", "component"}
#: In nats for each nat: a permutation of labels changes the log joint by rounding only.
_ROUNDING = 1e-4


def label_axes(dims: Mapping[str, tuple[str, ...]], names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """The axes of each parameter that hidden labels index, by the names of its dimensions; without parameters that have none."""
    found = {name: tuple(i for i, dim in enumerate(dims.get(name, ())) if dim in _LABELS) for name in names}
    return {name: axes for name, axes in found.items() if axes}


def aligned(
    posterior: Posterior, params: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], use: np.ndarray
) -> dict[str, np.ndarray]:
    """Point fits with the labels in the order of a reference, where another order leaves the log joint as it is.

    Labels that the model tells apart, by an ordered prior or by held parameters, stay.

    Args:
        posterior: of all fits, whose data lead with ``fit``.
        params: ``(fit, ...)``.
        reference: values of one fit.
        use: which fits to align, ``(fit,)``; those that failed are not finite.
    """
    params = dict(params)
    axes = label_axes(posterior.density.dims, tuple(params))
    if not axes or not use.any():
        return params
    labels = params[next(iter(axes))].shape[1:][next(iter(axes.values()))[0]]
    order = np.broadcast_to(np.arange(labels), (len(use), labels)).copy()
    order[use] = match_parameters({name: params[name][use] for name in axes}, reference, axes)
    if (order == np.arange(labels)).all():
        return params
    moved = permute(params, order, axes)
    before, after = (np.asarray(_log_joint(posterior, values), float) for values in (params, moved))
    same = np.isclose(before, after, rtol=_ROUNDING, atol=_ROUNDING)
    return permute(params, np.where(same[:, None], order, np.arange(labels)), axes)


@compiled()
def _log_joint(posterior: Posterior, params: Params) -> Array:
    """Log prior plus log likelihood, ``(fit,)``."""

    def one(posterior: Posterior, params: Params) -> Array:
        density, data = posterior.density, posterior.data
        terms = density.log_likelihood(params, data).values()
        return sum((jnp.sum(term) for term in terms), start=density.log_prior(params, data))

    return jax.vmap(one)(posterior, params)
