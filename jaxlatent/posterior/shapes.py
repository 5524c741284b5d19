"""The shapes of the named values of any posterior, found by tracing and cached."""

from functools import lru_cache
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxlatent.posterior.posterior import Posterior

Arrays: TypeAlias = dict[str, jax.ShapeDtypeStruct]


def shapes_of(posterior: Posterior) -> tuple[Arrays, Arrays]:
    """The shapes of parameters, and of derived quantities and observations, of one dataset, by name.

    Args:
        posterior: of one dataset, whose leaves are arrays or `jax.ShapeDtypeStruct`.
    """
    leaves, structure = jax.tree.flatten(posterior.nameless)
    return _shapes_of(structure, tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves))


@lru_cache(maxsize=256)
def _shapes_of(structure: Any, leaves: tuple[jax.ShapeDtypeStruct, ...]) -> tuple[Arrays, Arrays]:
    def walk(posterior: Posterior) -> tuple[dict[str, Any], dict[str, Any]]:
        density, data = posterior.density, posterior.data
        params = posterior.constrain(jnp.zeros(posterior.dim))
        observed = {name: jnp.zeros(d.shape()) for name, d in density.observed(params, data).items()}
        if not observed:
            # The density knows log likelihoods only.
            terms = density.log_likelihood(params, data)
            observed = {name: density.observation(name, params, data) for name in terms}
        return params, {**density.derived(params, data), **observed}

    shapes: tuple[Arrays, Arrays] = jax.eval_shape(walk, jax.tree.unflatten(structure, leaves))
    return shapes
