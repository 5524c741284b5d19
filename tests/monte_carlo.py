"""Comparisons within Monte Carlo error.

A normal z-score exceeds 4.5 once in 150,000 comparisons. Standard errors here are estimates themselves, from effective
sample sizes of hundreds and more, which makes that about once in 50,000: a file with 100 comparisons raises a false
alarm for one seed in 500.
"""

import numpy as np

from jaxlatent.diagnostics import ess_bulk, mcse_mean, mcse_sd

LIMIT = 4.5


def mean_scores(draws, exact):
    """z-scores of the means of draws ``(chain, draw, ...)`` against exact ones."""
    draws = np.asarray(draws)
    return (draws.mean((0, 1), dtype=float) - exact) / np.asarray(mcse_mean(draws))


def sd_scores(draws, exact):
    """z-scores of the standard deviations."""
    draws = np.asarray(draws)
    return (draws.std((0, 1), dtype=float) - exact) / np.asarray(mcse_sd(draws))


def check_moments(draws, mean, sd, least_ess=200):
    """Means and standard deviations agree with exact ones, and there are draws enough for that to say something."""
    assert np.isfinite(np.asarray(draws)).all()
    ess = np.asarray(ess_bulk(np.asarray(draws)))
    assert (ess > least_ess).all(), f"effective sample sizes {ess}"
    for name, score in (("means", mean_scores(draws, mean)), ("standard deviations", sd_scores(draws, sd))):
        assert (np.abs(score) < LIMIT).all(), f"{name} off by {score} standard errors"


def check_summary(fit, names, mean, sd, error=0.0):
    """As `check_moments`, of named quantities side by side, which may be known to a standard ``error`` only.

    It reads `Result.summary`, whose one compiled program serves fits of all shapes.
    """
    summary = fit.summary(names)
    assert (summary.ess_bulk > 200).all()
    for moment, exact in (("mean", mean), ("sd", sd)):
        score = (summary[moment] - np.ravel(exact)) / np.hypot(summary[f"mcse_{moment}"], error)
        assert (np.abs(score) < LIMIT).all(), f"{moment} off by {score} standard errors"


def off(draws, truth):
    """Posterior standard deviations between mean and truth."""
    draws = np.asarray(draws)
    return np.abs(draws.mean((0, 1)) - truth) / draws.std((0, 1))


def check_same(one, other):
    """Two samples ``(chain, draw, ...)`` have the same means and standard deviations."""
    one, other = np.asarray(one), np.asarray(other)
    for name, moment, error in (("means", np.mean, mcse_mean), ("standard deviations", np.std, mcse_sd)):
        difference = moment(one, (0, 1), dtype=float) - moment(other, (0, 1), dtype=float)
        score = difference / np.hypot(np.asarray(error(one)), np.asarray(error(other)))
        assert (np.abs(score) < LIMIT).all(), f"{name} differ by {score} standard errors"
