"""Rank normalisation, for R-hat and bulk ESS of heavy-tailed draws (Vehtari et al. 2021, section 4)."""

from jaxlatent.diagnostics.arrays import Either, average_ranks, namespace, normal_quantile
from jaxlatent.diagnostics.chains import counted, median, pool, together


def rank_normalise(x: Either, n: Either) -> Either:
    """Replace each draw by the normal quantile of its rank among the draws of all chains.

    Ties share their average rank ``r``; of ``S`` draws the score is the normal quantile at ``(r - 3/8) / (S + 1/4)``
    (Blom 1958; Vehtari et al. 2021, equation 14).

    Args:
        x: shape ``(..., chains, draws)``.
        n: number of draws that count.

    Returns:
        Normal scores, shape ``(..., chains, draws)``, zero in the padding.
    """
    values, size = together(x, n)
    rank, xp = average_ranks(values, size).reshape(x.shape), namespace((x, n))
    return xp.where(counted(x, n), normal_quantile((rank - 3 / 8) / (xp.asarray(size, x.dtype) + 1 / 4)), 0)


def fold(x: Either, n: Either) -> Either:
    """Distance from the median of all chains: turns a difference in scale into one in location."""
    return abs(x - median(*pool(x, n))[..., None, None])
