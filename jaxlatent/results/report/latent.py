"""What is wrong with the components and states of a point fit."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import split
from jaxlatent.latent import chances, hidden_in
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.fitted import Fitted
from jaxlatent.results.report.covariates import same_covariates
from jaxlatent.results.report.finding import Finding
from jaxlatent.typing import Array, Params

#: A component that errs in fewer of its observations, and is sure of none that it errs in, is called separated.
_ERRORS = 0.05
#: A component of fewer observations may have shrunk onto them.
_FEW = 5.0


def components(result: Fitted) -> Iterator[Finding]:
    """What is wrong with the covariates and the components of the best lane of a point fit."""
    density, data = result.posterior.density, result.posterior.data
    lane = np.argmax(np.where(np.isfinite(result.objective), result.objective, -np.inf), -1)
    params = {
        name: jnp.asarray(value[lane] if result.objective.ndim else value) for name, value in result.params.items()
    }
    observed = jax.eval_shape(density.observed, params, data)
    yield from same_covariates(density.covariates(data, observed), observed)
    for name, (each, probable) in _memberships(result.posterior.nameless, params).items():
        weights = np.asarray(each).reshape(-1, each.shape[-1])
        yield from _separated(name, weights, probable)
        yield from _tiny(name, weights)


@compiled(quick=True)
def _memberships(posterior: Posterior, params: Params) -> dict[str, tuple[Array, Array | None]]:
    """By observation that hides components: how likely each value came from each, 0 where nothing was seen; and its `chances`."""
    density, data = posterior.density, posterior.data
    found = {}
    for name, d in density.observed(params, data).items():
        kind = hidden_in(d)
        if kind is not None:
            observation = density.observation(name, params, data)
            value, mask = split(observation)
            weights = kind.probs(d, value, mask)
            found[name] = weights if mask is None else weights * mask[..., None], chances(d, observation)
    return found


def _separated(name: str, weights: np.ndarray, probable: Array | None) -> Iterator[Finding]:
    """Components whose inputs foretell events or counts without an error: how large coefficients are is then the prior's say alone."""
    if probable is None:
        return
    right = np.asarray(probable)
    wrong = np.sum(weights * (1 - right), 0) / np.maximum(weights.sum(0), 1)
    surprised = np.any((weights > 0.5) & (right < 0.5), 0)
    for k in np.flatnonzero((wrong < _ERRORS) & ~surprised & (weights.sum(0) >= 2)):
        yield Finding(
            "separation",
            (f"{name}, component {k}",),
            f"Inputs separate the values of {name} in component {k}: every one of them is foretold almost surely, so coefficients want "
            "to be infinite, and only the prior holds them.",
            "Read their signs, not their sizes; give a tighter prior (`prior_scale=`), fewer components or fewer inputs.",
        )


def _tiny(name: str, weights: np.ndarray) -> Iterator[Finding]:
    """Components that hold next to nothing."""
    for k, size in enumerate(weights.sum(0)):
        if size < min(_FEW, len(weights) / 2):
            yield Finding(
                "tiny component",
                (f"{name}, component {k}",),
                f"Component {k} holds about {size:.1f} of the {weights.sum():.0f} observations of {name}: it may have shrunk onto a few "
                "that lie together, and says nothing of others.",
                "Fit fewer components, or give scales a prior that keeps them from shrinking.",
            )
