r"""Chains that are in a mode without mass: they begin anew early in the warm-up, and late in it are moved to where the mass is.

A chain that starts near a minor mode of a hidden Markov model or a mixture never leaves it, whatever its weight: it spoils R-hat, and all
chains of the dataset pay for its step size. So at the end of a window the lanes are weighed: the log of the posterior mass around a lane
is its mean log density plus the log widths of what it explored (the evidence of a Gaussian, up to a constant that lanes share), so that
a wide mode may lie lower than a narrow one, and a funnel's mouth below its neck. Multi-path Pathfinder drops paths with negligible mass
too, by importance resampling (Zhang et al. 2022); here it costs no gradient.

A lane weighed far below the heaviest begins anew at a start of its own, which may find a heavier mode yet. In the last windows it goes on
from a draw of another lane instead. The margin leaves alone every mode that this estimate gives more than a millionth of the mass. Where
all lanes are in one mode, or in modes of equal mass, none is lost, and a heavier mode elsewhere is not looked for.
"""

import jax.numpy as jnp
import numpy as np

from jaxlatent.engines.base import Stage
from jaxlatent.engines.hmc.stages import WINDOW
from jaxlatent.engines.nuts.warmup import Window, depth_of_typical_set
from jaxlatent.typing import Array

#: Starts of a lane besides its first.
SPARE_STARTS = 3
#: Windows at least this long weigh lanes: after 20 transitions many are still on their way.
_WEIGHING = 40


def find_lost(window: Window, counts: Array, begun_anew: Array, stage: Stage) -> Array:
    """Which lanes of one dataset have a negligible share of the mass, ``(lane,)``; none in a short window.

    A lane without draws, whose start had no finite density, keeps that failure unless it was ``begun_anew``.
    """
    log_mass = _log_mass(window, counts)
    margin = 2 * depth_of_typical_set(window.draws.shape[-1])
    weighed = (stage.kind <= WINDOW) & (stage.steps >= _WEIGHING)
    return weighed & ((counts > 1) | begun_anew) & (log_mass < jnp.max(log_mass) - margin)


def replacements(lost: Array, counts: Array) -> tuple[Array, Array]:
    """The lane and the index of a draw where each lane goes on if it is lost, both ``(lane,)``.

    Lost lanes are dealt to the others in turn, at draws spread over the second half of the window.
    """
    lanes = jnp.arange(lost.shape[0], dtype=counts.dtype)
    kept = jnp.nonzero(~lost, size=lost.shape[0], fill_value=0)[0].astype(counts.dtype)
    source = kept[lanes % jnp.maximum(jnp.sum(~lost, dtype=counts.dtype), 1)]
    back = (lanes + 1) * counts[source] // (2 * (lost.shape[0] + 1))
    return source, jnp.maximum(counts[source] - 1 - back, 0)


def moves_in_words(moves: np.ndarray) -> str:
    """Which chains ``(dataset, chain)`` were moved, and why."""
    moved = moves > 0
    where = f" of {moved.any(1).sum()} of {len(moved)} datasets" if len(moved) > 1 else f" of {moved.size}"
    return (
        f"{moved.sum()} chains{where} were found in warm-up where the posterior has less than a millionth of its mass; "
        f"they began anew or went on from the draws of others, {int(np.nansum(moves))} times in all"
    )


def _log_mass(window: Window, counts: Array) -> Array:
    """The log of the mass around each lane, ``(lane,)``, up to a constant; -inf where a lane has not moved.

    A width is the geometric mean of the standard deviation of the draws and of what the gradients say, as for the metric: the draws of a
    short window alone make a slow direction too narrow.
    """
    index = jnp.arange(window.lp.shape[1], dtype=counts.dtype)
    late = (index >= counts[:, None] // 2) & (index < counts[:, None])
    level = jnp.mean(window.lp, 1, where=late)
    draws, gradients = (jnp.var(x, 1, where=late[..., None]) for x in (window.draws, window.gradients))
    moved = jnp.all(draws > 0, 1) & jnp.isfinite(level)
    # Of a direction without curvature the draws alone tell the width: by a gradient without variance it would be infinite.
    squares = jnp.where(gradients > 0, jnp.sqrt(draws / gradients), draws)
    return jnp.where(moved, level + 0.5 * jnp.sum(jnp.log(squares), 1), -jnp.inf)
