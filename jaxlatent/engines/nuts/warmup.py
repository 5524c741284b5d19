"""The warm-up of NUTS: the pooling of step sizes and metrics across lanes.

Within a window each lane tunes its own step size by dual averaging, so none waits. At the end of a window the lanes of a dataset are
pooled: the metric is estimated from the draws of all trusted lanes, so four chains learn it four times as fast, and the step size is a
low quantile of theirs. A lane that is stuck far from the others is left out, and so are draws on the way to the typical set: a few of
them, far out along one direction, would outweigh all others.

A dense or low-rank metric helps where the posterior is near a Gaussian, often by a factor of ten. Where the curvature varies (a banana, a
funnel), correlations learned in the bulk are wrong in the tails: at the same mean acceptance such a metric diverges there and misses
them. So ``metric="auto"`` leaves correlations out of the metric where the curvature ratio of the latest window is high
(`jaxlatent.engines.hmc.metric`), and makes steps smaller: one that does well in most places is too long in the narrowest, which traps
chains. Every later window decides anew. Divergences are no evidence of it: while dual averaging still tries step sizes, a transition in a
hundred diverges on a plain regression too, and under a diagonal metric several of them.

If the chains of a dataset have not mixed although most trajectories reach the depth limit, its trees are kept shallow until they do: it
would take a thousand gradients per draw, and all other datasets would wait.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxlatent.engines.base import Stage
from jaxlatent.engines.hmc.metric import Metric, estimate
from jaxlatent.engines.hmc.stages import WINDOW
from jaxlatent.masks import select
from jaxlatent.typing import Array

#: Depth limit while the metric is still rough: it learns as much from 2**6 leapfrog steps as from 2**10.
EARLY_DEPTH = 6
#: Windows at least this long say whether chains have mixed, and whether correlations are left out of the metric: the first of the usual
#: warm-up (80) often begins outside the typical set.
SETTLED, _DECIDING = 80, 100
#: Correlations are left out above this curvature ratio, and steps tuned to at least this mean acceptance.
_BENT, CAREFUL = 2.0, 0.9
#: Chains are unmixed if the ratio of between-chain to within-chain variance is higher (R-hat above 1.7); their trees become shallow if
#: also a larger fraction of trajectories reaches the depth limit. Both in the second half of a window, after its first, too long steps.
_SHALLOW_TREES_RATIO, _CAPPED = 2.0, 0.75


class Shared(NamedTuple):
    """Shared state of the chains of one dataset.

    Attributes:
        metric: the whitening map.
        step_size: used once adaptation has ended.
        curvature_ratio: of the latest window, NaN before the first; see `jaxlatent.engines.hmc.metric.estimate`.
        diagonal_only: whether the curvature varies, so that correlations are left out of the metric.
        unmixed: whether the chains have not mixed at the depth limit.
    """

    metric: Metric
    step_size: Array
    curvature_ratio: Array
    diagonal_only: Array
    unmixed: Array

    def limit(self, stage: Stage) -> Array:
        """The maximum tree depth."""
        return jnp.where(self.unmixed, jnp.minimum(stage.limit, EARLY_DEPTH), stage.limit)


class Window(NamedTuple):
    """The draws of all lanes of a dataset in one stage, padded to ``capacity``.

    Attributes:
        draws, gradients: ``(lane, capacity, dim)``.
        lp: log densities, ``(lane, capacity)``.
        depth: tree depths, ``(lane, capacity)``.
    """

    draws: Array
    gradients: Array
    lp: Array
    depth: Array


def pool(
    shared: Shared, window: Window, step_sizes: Array, counts: Array, lost: Array, stage: Stage, automatic: bool
) -> Shared:
    """Pool the lanes of one dataset at the end of a stage into new shared values.

    Args:
        shared: the values before.
        window: the draws of the stage.
        step_sizes: averaged step size of each lane, ``(lane,)``.
        counts: number of draws of each lane, ``(lane,)``.
        lost: whether a lane is in a mode without mass, ``(lane,)``: it teaches nothing.
        stage: the stage that ended.
        automatic: whether correlations may be left out of the metric.
    """
    index = jnp.arange(window.lp.shape[1], dtype=counts.dtype)
    valid = index < counts[:, None]
    level = jnp.sum(jnp.where(valid, window.lp, 0.0), 1) / jnp.maximum(counts, 1).astype(window.lp.dtype)
    level = jnp.where(lost, -jnp.inf, level)
    trusted = _trusted(level, counts, window.draws.shape[-1])
    step_size = _pool_step_sizes(jnp.where(trusted & (step_sizes > 0), step_sizes, jnp.nan), shared.step_size)
    counted = valid & trusted[:, None]
    learn = (stage.kind <= WINDOW) & trusted.any()
    typical = jnp.nanmedian(jnp.where(counted, window.lp, jnp.nan)) - depth_of_typical_set(window.draws.shape[-1])
    weights = (counted & (window.lp >= typical)).astype(window.draws.dtype)
    fresh = estimate(window.draws, window.gradients, weights, shared.metric)
    ratio = jnp.where(learn, fresh.curvature_ratio, shared.curvature_ratio)
    decides = learn & automatic & (stage.steps >= _DECIDING)
    diagonal_only = jnp.where(decides, ~(ratio <= _BENT), shared.diagonal_only)
    running = valid & (index >= counts[:, None] // 2) & (jnp.isfinite(level) & (counts > 1))[:, None]
    deepest = running & (window.depth >= shared.limit(stage))
    capped = jnp.sum(deepest, dtype=level.dtype) > _CAPPED * jnp.sum(running, dtype=level.dtype)
    unmixed = jnp.where(stage.steps >= SETTLED, capped & _unmixed(window.draws, running), shared.unmixed)
    metric = select(learn, select(diagonal_only, fresh.diagonal, fresh.metric), shared.metric)
    return Shared(metric, step_size.astype(shared.step_size.dtype), ratio, diagonal_only, unmixed)


def in_words(ratios: np.ndarray, diagonal: np.ndarray) -> str:
    """What became of the metric of each dataset, and why, from its curvature ratio and whether it is diagonal."""
    if not ratios.size:
        return "as at the start, since no window taught it"
    kind = f"diagonal, and an acceptance of at least {CAREFUL:g}" if diagonal.all() else "with correlations"
    if diagonal.any() and not diagonal.all():
        kind = f"diagonal for {diagonal.sum()} of {diagonal.size} datasets, with correlations for the others"
    low, high = (f"{bound:.3g}" for bound in (ratios.min(), ratios.max()))
    return f"{kind}: the curvature ratio is {low if low == high else f'{low} to {high}'}, the limit {_BENT:g}"


def _unmixed(draws: Array, counted: Array) -> Array:
    """Whether the between-lane variance of some coordinate is far above its within-lane variance."""
    weight = counted[..., None]
    count = jnp.maximum(jnp.sum(weight, 1, draws.dtype), 1)
    mean = jnp.sum(jnp.where(weight, draws, 0.0), 1) / count
    within = jnp.sum(jnp.where(weight, draws - mean[:, None], 0.0) ** 2, 1) / count
    there = counted.any(1)[:, None]
    lanes = jnp.maximum(jnp.sum(there, dtype=draws.dtype), 2)
    centre = jnp.sum(jnp.where(there, mean, 0.0), 0) / lanes
    between = jnp.sum(jnp.where(there, mean - centre, 0.0) ** 2, 0) / (lanes - 1)
    return (jnp.sum(there) > 1) & jnp.any(
        between > _SHALLOW_TREES_RATIO * jnp.sum(jnp.where(there, within, 0.0), 0) / lanes
    )


def _pool_step_sizes(step_sizes: Array, before: Array) -> Array:
    """The lower quintile of the lanes' step sizes (the smallest of four), at least a quarter of their median.

    A lane tunes to the stiffest region it has visited. A step too large for that region traps every lane that enters it for hundreds of
    draws, one too small only costs gradients. The lower bound keeps one failing lane from slowing all of them.
    """
    careful = jnp.maximum(jnp.nanquantile(step_sizes, 0.2, method="lower"), jnp.nanmedian(step_sizes) / 4)
    return jnp.where(jnp.isfinite(careful), careful, before)


def _trusted(level: Array, counts: Array, dim: int) -> Array:
    """Whether the mean log density of each lane is finite and not far below the median lane's."""
    finite = jnp.isfinite(level) & (counts > 1)
    median = jnp.nanmedian(jnp.where(finite, level, jnp.nan))
    return finite & (level >= median - depth_of_typical_set(dim))


def depth_of_typical_set(dim: int) -> float:
    """Log densities further below the median are not those of equilibrium, where their standard deviation is about sqrt(dim / 2)."""
    return float(5.0 + 3.0 * np.sqrt(dim / 2))
