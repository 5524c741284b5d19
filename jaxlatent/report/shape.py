"""What the posterior looks like."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from jaxlatent.diagnostics.psis import psis
from jaxlatent.report.finding import Finding, listed
from jaxlatent.report.view import View

_RIDGE = 0.99
#: Above it a distribution has no variance worth estimating.
_HEAVY = 0.7


def ridges(view: View) -> Iterator[Finding]:
    """Parameters that are known only together."""
    if view.switching:
        return
    together = _correlations(view.flat)
    # What the prior already ties, such as the shares of two components, is no news.
    tied = np.zeros_like(together) if view.prior is None else _correlations(view.prior)
    one, other = np.nonzero(np.triu((np.abs(together) > _RIDGE) & (np.abs(tied) < _RIDGE), 1))
    if not len(one):
        return
    worst = np.argmax(np.abs(together[one, other]))
    pair = view.labels[one[worst]], view.labels[other[worst]]
    yield Finding(
        "unidentified",
        tuple(dict.fromkeys(view.labels[i] for i in (*one, *other))),
        f"{pair[0]} and {pair[1]} are known only together: their correlation is {together[one[worst], other[worst]]:.3f}"
        + (f", and {len(one) - 1} other pairs are as bad" if len(one) > 1 else "")
        + ". The data tell their combination, the prior the rest.",
        "Drop one of them, fix it (jl.fix), centre the predictors, or give a prior that tells them apart.",
    )


def _correlations(draws: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.atleast_2d(np.corrcoef(draws, rowvar=False)))


def tails(view: View) -> Iterator[Finding]:
    """Posteriors without a variance."""
    if not view.mixing.all() or view.switching:
        return
    distance = np.abs(view.flat - np.median(view.flat, 0))
    khat = np.asarray(psis(jnp.log(jnp.asarray(distance.T) + 1e-30))[1])
    heavy = np.flatnonzero(khat > _HEAVY)
    if len(heavy):
        worst = heavy[np.argmax(khat[heavy])]
        yield Finding(
            "heavy tail",
            tuple(view.labels[i] for i in heavy),
            f"The tails of {listed([view.labels[i] for i in heavy])} are so heavy (k-hat {khat[worst]:.2f}) that the mean and standard "
            "deviation of the draws say little.",
            "Report medians and quantiles; or use a prior with lighter tails than Cauchy, such as HalfNormal or Exponential for a scale.",
        )
