"""Checks of the shape of the posterior: strong correlations, heavy tails."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from jaxlatent.diagnostics.psis import psis
from jaxlatent.errors import listed
from jaxlatent.results.report.finding import Finding
from jaxlatent.results.report.view import View

_RIDGE = 0.99
#: Pareto k-hat of a tail above which the variance cannot be estimated.
_HEAVY = 0.7
#: Tails are checked if the farthest draw has a larger share in the sum of squared distances. For 4000 independent draws it is about 0.003
#: for a Gaussian and 0.014 for an exponential; at `_HEAVY` it was above 0.06 in each of 200 samples.
_SHARE = 0.03


def ridges(view: View) -> Iterator[Finding]:
    """Pairs of parameters with a correlation near one."""
    if view.switching:
        return
    together = _correlations(view.flat)
    suspects = np.triu(np.abs(together) > _RIDGE, 1)
    if suspects.any() and view.prior is not None:
        # Ignore pairs that are correlated under the prior, such as the weights of two components.
        suspects &= np.abs(_correlations(view.prior)) < _RIDGE
    one, other = np.nonzero(suspects)
    if not len(one):
        return
    worst = np.argmax(np.abs(together[one, other]))
    pair = view.labels[one[worst]], view.labels[other[worst]]
    yield Finding(
        "unidentified",
        tuple(dict.fromkeys(view.labels[i] for i in (*one, *other))),
        f"{pair[0]} and {pair[1]} are not identified separately: their correlation is {together[one[worst], other[worst]]:.3f}"
        + (f", and {len(one) - 1} other pairs are as bad" if len(one) > 1 else "")
        + ". The data identify a combination, the prior the rest.",
        "Drop one of them, fix it (jl.fix), centre the predictors, or use a more informative prior.",
    )


def _correlations(draws: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations: np.ndarray = np.nan_to_num(np.atleast_2d(np.corrcoef(draws, rowvar=False)))
        return correlations


def tails(view: View) -> Iterator[Finding]:
    """Marginal posteriors without a variance."""
    if not view.mixing.all() or view.switching:
        return
    distance = np.abs(view.flat - np.median(view.flat, 0))
    # Without a variance the largest square is a large part of the sum.
    suspects = np.flatnonzero(np.max(distance, 0) ** 2 > _SHARE * np.sum(distance**2, 0))
    if not len(suspects):
        return
    khat = np.zeros(distance.shape[1])
    khat[suspects] = np.asarray(psis(jnp.log(jnp.asarray(distance[:, suspects].T) + 1e-30))[1])
    heavy = np.flatnonzero(khat > _HEAVY)
    if len(heavy):
        worst = heavy[np.argmax(khat[heavy])]
        yield Finding(
            "heavy tail",
            tuple(view.labels[i] for i in heavy),
            f"The tails of {listed([view.labels[i] for i in heavy])} are so heavy (k-hat {khat[worst]:.2f}) that the mean and standard "
            "deviation of the draws are unreliable.",
            "Report medians and quantiles; or use a prior with lighter tails than Cauchy, such as HalfNormal or Exponential for a scale.",
        )
