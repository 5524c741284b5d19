"""What is wrong with the components and states of a point fit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxlatent.data import split
from jaxlatent.latent import chances, hidden_in
from jaxlatent.report.finding import Finding

if TYPE_CHECKING:
    from jaxlatent.results import Result

#: A component that errs in fewer of its observations, and is sure of none that it errs in, is called separated.
_ERRORS = 0.05


def separated(result: "Result") -> Iterator[Finding]:
    """States whose inputs foretell events or counts without an error: how large coefficients are is then the prior's say alone."""
    density, data = result.posterior.density, result.posterior.data
    lane = np.argmax(np.where(np.isfinite(result.objective), result.objective, -np.inf), -1)
    params = {
        name: jnp.asarray(value[lane] if result.objective.ndim else value) for name, value in result.params.items()
    }
    for name, d in density.observed(params, data).items():
        kind = hidden_in(d)
        observation = density.observation(name, params, data)
        probable = None if kind is None else chances(d, observation)
        if kind is None or probable is None:
            continue
        value, mask = split(observation)
        weights = np.asarray(kind.probs(d, value, mask)).reshape(probable.shape)
        weights = weights if mask is None else weights * np.asarray(mask).reshape(-1, 1)
        wrong = np.sum(weights * (1 - np.asarray(probable)), 0) / np.maximum(weights.sum(0), 1)
        surprised = np.any((weights > 0.5) & (np.asarray(probable) < 0.5), 0)
        for k in np.flatnonzero((wrong < _ERRORS) & ~surprised & (weights.sum(0) >= 2)):
            yield Finding(
                "separation",
                (f"{name}, component {k}",),
                f"Inputs separate the values of {name} in component {k}: every one of them is foretold almost surely, so coefficients want "
                "to be infinite, and only the prior holds them.",
                "Read their signs, not their sizes; give a tighter prior (`prior_scale=`), fewer components or fewer inputs.",
            )
