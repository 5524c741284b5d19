"""Checks of the components and states of a point fit: separation, tiny components."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import split
from jaxlatent.latent import component_probs, hidden_in
from jaxlatent.masks import cover
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.fitted import Fitted
from jaxlatent.results.report.covariates import same_covariates
from jaxlatent.results.report.finding import Finding
from jaxlatent.typing import Array, Params

#: A component is separated if its rate of wrong predictions is lower, and none of them is confident.
_ERRORS = 0.05
#: A component with fewer observations may have collapsed onto them.
_FEW = 5.0


def components(result: Fitted) -> Iterator[Finding]:
    """Problems of the covariates and the components of the best lane of a point fit."""
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
    """Posterior probabilities of components, 0 where masked, and `component_probs`, by observation with latent components."""
    density, data = posterior.density, posterior.data
    found = {}
    for name, d in density.observed(params, data).items():
        kind = hidden_in(d)
        if kind is not None:
            observation = density.observation(name, params, data)
            value, mask = split(observation)
            weights = kind.probs(d, value, mask)
            found[name] = (
                weights if mask is None else weights * cover(mask, weights.shape[:-1])[..., None],
                component_probs(d, observation),
            )
    return found


def _separated(name: str, weights: np.ndarray, probable: Array | None) -> Iterator[Finding]:
    """Components whose inputs predict discrete observations perfectly, so that only the prior bounds the coefficients."""
    if probable is None:
        return
    right = np.asarray(probable)
    wrong = np.sum(weights * (1 - right), 0) / np.maximum(weights.sum(0), 1)
    surprised = np.any((weights > 0.5) & (right < 0.5), 0)
    for k in np.flatnonzero((wrong < _ERRORS) & ~surprised & (weights.sum(0) >= 2)):
        yield Finding(
            "separation",
            (f"{name}, component {k}",),
            f"Inputs separate the values of {name} in component {k}: each is predicted almost surely, so coefficients would be "
            "infinite without the prior.",
            "Interpret their signs, not their sizes; use a tighter prior (`prior_scale=`), fewer components or fewer inputs.",
        )


def _tiny(name: str, weights: np.ndarray) -> Iterator[Finding]:
    """Components with very few observations."""
    for k, size in enumerate(weights.sum(0)):
        if size < min(_FEW, len(weights) / 2):
            yield Finding(
                "tiny component",
                (f"{name}, component {k}",),
                f"Component {k} holds about {size:.1f} of the {weights.sum():.0f} observations of {name}: it may have collapsed onto a "
                "few close ones.",
                "Fit fewer components, or give scales a prior that keeps them from shrinking.",
            )
