"""Checks of a model against its draws: collinearity, separation, prior-data conflict, narrow supports."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist

from jaxlatent.distributions.centring import family_of
from jaxlatent.distributions.supports import entry_support
from jaxlatent.errors import listed
from jaxlatent.results.report.covariates import same_covariates
from jaxlatent.results.report.finding import Finding
from jaxlatent.results.report.view import View
from jaxlatent.typing import Data, Params

#: Prior and data conflict if a smaller fraction of prior draws lies beyond the posterior median.
_SURPRISE = 0.001
#: A bound is too narrow if a larger fraction of draws is within a tenth of a standard deviation of it (0.095 for an exponential at it).
_PRESSED = 0.08


def duplicates(view: View) -> Iterator[Finding]:
    """Collinear covariates."""
    posterior = view.result.posterior
    yield from same_covariates(posterior.density.covariates(posterior.data, view.observed), view.observed)


def separations(view: View) -> Iterator[Finding]:
    """Binary observations that the model predicts perfectly."""
    binary = [
        name
        for name, d in view.observed.items()
        if isinstance(family_of(d), dist.BernoulliLogits | dist.BernoulliProbs)
    ]
    if not binary:
        return
    terms = view.result.log_likelihood()
    for name in binary:
        typical = np.median(terms[name].reshape(-1, *terms[name].shape[2:]), 0)
        if typical.size > 1 and np.all(typical > np.log(0.5)) and typical.mean() > -0.1:
            middle = np.median(view.flat, 0)
            far = int(np.argmax(np.abs(middle)))
            yield Finding(
                "separation",
                (name, view.labels[far]),
                f"Every 0 and 1 of {name} is predicted almost surely: the predictors separate the two, and coefficients would be infinite "
                f"without the prior ({view.labels[far]} is about {middle[far]:.3g}).",
                "Use an informative prior, such as Normal(0, 1) on standardised predictors.",
            )


def conflicts(view: View) -> Iterator[Finding]:
    """Posteriors where the prior has almost no mass."""
    if view.prior is None or view.switching:
        return
    below = np.mean(view.prior < np.median(view.flat, 0), 0)
    # Draws of an improper prior are NaN, and never conflict.
    rare = np.flatnonzero((np.minimum(below, 1 - below) < _SURPRISE) & (np.ptp(view.prior, 0) > 0))
    if len(rare):
        labels = tuple(view.labels[i] for i in rare)
        yield Finding(
            "prior against data",
            labels,
            f"The posterior of {listed(labels)} is where the prior has less than one draw in a thousand: prior and data conflict.",
            "Check prior predictive draws (jl.sample_prior); widen the prior, or correct data or likelihood.",
        )


def bounds(view: View) -> Iterator[Finding]:
    """Posteriors concentrated at a bound of their support, unlike the prior."""
    model = getattr(view.result.posterior.density, "model", None)
    if model is None:
        return
    for name in model.prior:
        prior_at = partial(model.prior_of, name)
        if not _has_bounds(prior_at, view.first, view.result.posterior.data):
            continue
        support = entry_support(prior_at(view.first, view.result.posterior.data).support)
        parts = [i for i, other in enumerate(view.names) if other == name]
        values = view.flat[:, parts]
        for side in ("lower", "upper"):
            limit = np.asarray(getattr(support, f"{side}_bound", np.nan), float)
            if limit.size != 1 or not np.isfinite(limit).all():
                continue
            near = np.mean(np.abs(values - limit) < 0.1 * values.std(0), 0)
            pressed = np.flatnonzero(near > _PRESSED)
            if len(pressed) and view.prior is not None:
                # By quartiles, which heavy tails do not affect.
                pressed = pressed[_width(values[:, pressed]) < 0.1 * _width(view.prior[:, parts][:, pressed])]
            if len(pressed):
                labels = tuple(view.labels[parts[i]] for i in pressed)
                yield Finding(
                    "wrong support",
                    labels,
                    f"The posterior of {listed(labels)} is concentrated at {float(limit):g}, the {side} bound of its support.",
                    "Check sign and bound, and give it a prior with a wider support.",
                )


def _has_bounds(prior_at: Callable[[Params, Data], Any], params: Params, data: Data) -> bool:
    """Whether the support of a prior has bounds, by tracing, without computing anything."""
    found: list[bool] = []

    def traced(params: Params, data: Data) -> None:
        support = entry_support(prior_at(params, data).support)
        found.append(hasattr(support, "lower_bound") or hasattr(support, "upper_bound"))

    jax.eval_shape(traced, params, data)
    return found[0]


def _width(draws: np.ndarray) -> np.ndarray:
    """The interquartile range."""
    return np.asarray(np.subtract(*np.quantile(draws, [0.75, 0.25], axis=0)))
