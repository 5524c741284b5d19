"""Rank normalisation: what makes R-hat and bulk ESS meaningful for heavy tails (Vehtari et al. 2021, section 4)."""

import jax.numpy as jnp
from jax.scipy.special import ndtri

from jaxlatent.diagnostics.chains import counted, median, pool
from jaxlatent.typing import Array


def rank_normalise(x: Array, n: Array) -> Array:
    """Replace each draw by the normal quantile of its rank among the draws of all chains.

    Ties share their average rank ``r``; of ``S`` draws the score is the normal quantile at ``(r - 3/8) / (S + 1/4)``
    (Blom 1958; Vehtari et al. 2021, equation 14).

    Args:
        x: shape ``(chains, draws)``.
        n: number of draws that count.

    Returns:
        Normal scores, shape ``(chains, draws)``, zero in the padding.
    """
    mask, (ordered, size) = counted(x, n), pool(x, n)
    below = jnp.searchsorted(ordered, x, side="left")
    # infinite draws tie with the padding: their run of ties ends at the last draw that counts
    upto = jnp.minimum(jnp.searchsorted(ordered, x, side="right"), size.astype(below.dtype))
    rank = (below + upto + 1).astype(x.dtype) / 2
    return jnp.where(mask, ndtri((rank - 3 / 8) / (size.astype(x.dtype) + 1 / 4)), 0)


def fold(x: Array, n: Array) -> Array:
    """Distance from the median of all chains: turns a difference in scale into one in location."""
    return jnp.abs(x - median(*pool(x, n)))
