"""R-hat, and nested R-hat for many short chains."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from jaxlatent.diagnostics.arrays import Either, diagnostic, namespace
from jaxlatent.diagnostics.chains import counted, moments, over_parameters, split
from jaxlatent.diagnostics.ranks import fold, rank_normalise
from jaxlatent.errors import InputError
from jaxlatent.typing import AnyArray, ArrayLike


@diagnostic()
def rhat(draws: ArrayLike, n: ArrayLike | None = None) -> AnyArray:
    """Rank-normalised split R-hat, the larger of bulk and folded (Vehtari et al. 2021, section 4).

    Agrees with ``arviz.rhat``, except that a single chain is compared with itself, half against half, where ArviZ
    returns NaN.

    Args:
        draws: shape ``(chains, draws, ...)``.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``. Near 1 when the chains agree (below 1.01 is the usual rule); NaN for constant draws, NaN draws,
        or fewer than four.
    """
    return over_parameters(partial(_larger_of_bulk_and_folded, _rhat), draws, n)


def nested_rhat(draws: ArrayLike, superchains: Sequence[int] | ArrayLike, n: ArrayLike | None = None) -> AnyArray:
    """Rank-normalised split nested R-hat, for many short chains (Margossian et al. 2024, equations 4 to 8).

    Chains of one superchain start at the same point; superchains start apart. Unlike R-hat it needs no long chains: it
    compares the means of superchains, to which every chain contributes.

    Args:
        draws: shape ``(chains, draws, ...)``.
        superchains: how many superchains there are, of consecutive chains; or the superchain of each chain, shape
            ``(chains,)``. Superchains must be of equal size. Not traced.
        n: number of draws that count when ``draws`` is padded at the end of the draw axis; may be traced.

    Returns:
        Shape ``(...)``, as `rhat`.

    Raises:
        InputError: fewer than two superchains, or of unequal sizes.
    """
    chains = np.shape(draws)[0]
    ids = np.asarray(superchains)
    if ids.ndim == 0:
        ids = np.repeat(np.arange(int(ids)), chains // max(int(ids), 1))
    sizes = np.unique(ids, return_counts=True)[1]
    if len(ids) != chains or len(sizes) < 2 or len(set(sizes)) > 1:
        raise InputError(
            "nested_rhat(superchains=...)",
            got=f"{len(ids)} chains in superchains of {', '.join(map(str, sizes))}",
            expected=f"{chains} chains in two or more superchains of equal size",
            remedy="give a number that divides the number of chains, or one superchain id for each chain.",
        )
    ordered = namespace(draws).asarray(draws)[np.argsort(ids, kind="stable")]
    return _nested_rhat(ordered, n, superchains=len(sizes))


@diagnostic("superchains")
def _nested_rhat(draws: AnyArray, n: ArrayLike | None, superchains: int) -> AnyArray:
    return over_parameters(partial(_larger_of_bulk_and_folded, partial(_nested, superchains=superchains)), draws, n)


def _larger_of_bulk_and_folded(statistic: Callable[[Either, Either], Either], x: Either, n: Either) -> Either:
    xp, (halves, half) = namespace((x, n)), split(x, n)
    bulk = statistic(rank_normalise(halves, half), half)
    folded = statistic(rank_normalise(fold(halves, half), half), half)
    # two-valued draws fold to a constant, whose R-hat is undefined: use the bulk alone
    return xp.where(xp.isnan(folded), bulk, xp.maximum(bulk, folded))


def _rhat(x: Either, n: Either) -> Either:
    xp, (means, variances) = namespace((x, n)), moments(x, counted(x, n))
    size = xp.asarray(n, x.dtype)
    return xp.sqrt(_variance(means) / variances.mean(-1) + (size - 1) / size)


def _nested(x: Either, n: Either, superchains: int) -> Either:
    means, variances = moments(x, counted(x, n))
    # the two halves of a chain belong to the same superchain
    means, variances = (_by_superchain(v, superchains) for v in (means, variances))
    within = variances.mean(-1) + _variance(means)
    return namespace((x, n)).sqrt(1 + _variance(means.mean(-1)) / within.mean(-1))


def _by_superchain(values: Either, superchains: int) -> Either:
    """Values of all first and then all second halves, ``(..., 2 * chains)``, as ``(..., superchain, half of a chain)``."""
    apart = values.reshape(*values.shape[:-1], 2, superchains, -1)
    return namespace(values).concatenate([apart[..., 0, :, :], apart[..., 1, :, :]], -1)


def _variance(means: Either) -> Either:
    """Variance of means, exactly zero if they are equal, so that R-hat of constant draws is NaN rather than infinity."""
    return namespace(means).var(means - means[..., :1], -1, ddof=1)
