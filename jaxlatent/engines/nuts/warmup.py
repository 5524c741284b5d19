"""The warm-up of NUTS: when the lanes meet, and what they agree on.

Within a window each lane tunes its own step size by dual averaging, so none waits. At the end of a window the lanes of a dataset
pool: the metric comes from the draws of all lanes that can be trusted, so four chains learn it four times as fast, and the step size
is a small one of theirs. A lane that is stuck far from the others has no say.

Correlations help where the posterior is near a Gaussian, often by a factor of ten. Where it is bent, the directions learned in its
middle are wrong in its arms: there a dense or low-rank metric with the same mean acceptance diverges, and misses the arms. So the
automatic choice keeps correlations only while settled windows stay free of divergences.

A dataset whose chains have nothing in common after settled windows, although each trajectory took all the steps that it may, is not
worth a thousand gradients a draw, for which all other datasets would wait: its trees stay shallow until that changes.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxlatent.engines.base import Stage
from jaxlatent.engines.nuts.metric import Metric, estimate
from jaxlatent.masks import select
from jaxlatent.typing import Array

#: ``Stage.kind``: the metric is learned at the end; the step size is frozen at the end; no adaptation.
WINDOW, LAST, SAMPLE = 0, 1, 2

_FIRST_WINDOW = 20
_LONGEST_WINDOW = 250
#: Trees stay shallow while the metric is still a guess: 2**6 leapfrog steps a draw, where 2**10 would teach no more.
_EARLY_DEPTH = 6
#: Windows of this length are past the search for the typical set; more divergences than this share of their second halves tell
#: of a bent posterior.
_SETTLED, _BENT = 80, 0.005
#: Chains have nothing in common where the variance of their means is so many times that of their draws (R-hat is above 1.7), and are lost
#: where so large a share of their trajectories ends at the depth limit as well; in the second half of a window, after its long steps.
_APART, _CAPPED = 2.0, 0.75


class Shared(NamedTuple):
    """What the chains of one dataset share.

    Attributes:
        metric: the whitening map.
        step_size: used once adaptation has ended.
        bent: whether correlations were given up.
        lost: whether the chains found nothing in common.
    """

    metric: Metric
    step_size: Array
    bent: Array
    lost: Array

    def limit(self, stage: Stage) -> Array:
        """The depth limit of the trees."""
        return jnp.where(self.lost, jnp.minimum(stage.limit, _EARLY_DEPTH), stage.limit)


class Window(NamedTuple):
    """The draws of all lanes of a dataset in one stage, padded to ``capacity``.

    Attributes:
        draws, gradients: ``(lane, capacity, dim)``.
        lp: log densities, ``(lane, capacity)``.
        diverging: ``(lane, capacity)``.
        depth: of the trees, ``(lane, capacity)``.
    """

    draws: Array
    gradients: Array
    lp: Array
    diverging: Array
    depth: Array


class Tuning(NamedTuple):
    """Dual averaging of one lane's step size (Nesterov 2009; Hoffman and Gelman 2014, section 3.2.1, with their constants).

    Attributes:
        log_step: of the next trajectory.
        log_average: the weighted average that is kept in the end.
        error: running mean of target minus acceptance.
        seen: transitions, as a float.
        anchor: what the log step size is drawn to.
    """

    log_step: Array
    log_average: Array
    error: Array
    seen: Array
    anchor: Array


def start_tuning(step_size: Array) -> Tuning:
    """Dual averaging anew from a step size."""
    zero = jnp.zeros_like(step_size)
    return Tuning(jnp.log(step_size), zero, zero, zero, jnp.log(10 * step_size))


def tune(state: Tuning, excess: Array) -> Tuning:
    """After one trajectory whose acceptance exceeded the target by ``excess``."""
    seen = state.seen + 1
    weight = 1 / (seen + 10)
    error = (1 - weight) * state.error - weight * excess
    log_step = state.anchor - jnp.sqrt(seen) / 0.05 * error
    decay = seen**-0.75
    return Tuning(log_step, decay * log_step + (1 - decay) * state.log_average, error, seen, state.anchor)


def warmup_stages(warmup: int, max_depth: int) -> tuple[Stage, ...]:
    """Windows that double from 20 to 250 transitions, then a last stretch for the step size alone."""
    if warmup == 0:
        return ()
    last = min(max(warmup // 10, 1), 100)
    rest, length = warmup - last, _FIRST_WINDOW
    stages: list[Stage] = []
    while rest > 0:
        # What would be left is too short for a window of its own: this one takes it.
        take = rest if rest < 2 * length and rest <= _LONGEST_WINDOW else min(length, rest)
        depth = min(max_depth, _EARLY_DEPTH) if len(stages) < 2 else max_depth
        stages.append(Stage(take, WINDOW, depth, False))
        rest, length = rest - take, min(2 * length, _LONGEST_WINDOW)
    return (*stages, Stage(last, LAST, max_depth, False))


def pool(shared: Shared, window: Window, step_sizes: Array, counts: Array, stage: Stage, automatic: bool) -> Shared:
    """What the lanes of one dataset agree on at the end of a stage.

    Args:
        shared: what they agreed on before.
        window: their draws.
        step_sizes: each lane's averaged step size, ``(lane,)``.
        counts: draws of each lane, ``(lane,)``.
        stage: the stage that ended.
        automatic: whether correlations may be given up.
    """
    index = jnp.arange(window.lp.shape[1])
    valid = index < counts[:, None]
    level = jnp.sum(jnp.where(valid, window.lp, 0.0), 1) / jnp.maximum(counts, 1)
    trusted = _trusted(level, counts, window.draws.shape[-1])
    step_size = _careful(jnp.where(trusted & (step_sizes > 0), step_sizes, jnp.nan), shared.step_size)
    counted = valid & trusted[:, None]
    learn = (stage.kind == WINDOW) & trusted.any()
    fresh = estimate(window.draws, window.gradients, counted.astype(window.draws.dtype), shared.metric)
    metric = select(learn, fresh, shared.metric)
    # Each window begins with steps that are too long on purpose: divergences of its first half say nothing.
    late = counted & (index >= counts[:, None] // 2)
    share = jnp.sum(window.diverging & late) / jnp.maximum(jnp.sum(late), 1)
    bent = shared.bent | (automatic & learn & (stage.steps >= _SETTLED) & (share > _BENT))
    running = valid & (index >= counts[:, None] // 2) & (jnp.isfinite(level) & (counts > 1))[:, None]
    capped = jnp.sum(running & (window.depth >= shared.limit(stage))) > _CAPPED * jnp.sum(running)
    lost = jnp.where(stage.steps >= _SETTLED, capped & _apart(window.draws, running), shared.lost)
    return Shared(metric.flattened(bent), step_size.astype(shared.step_size.dtype), bent, lost)


def _apart(draws: Array, counted: Array) -> Array:
    """Whether the means of some coordinate differ between lanes by far more than its draws within them."""
    weight = counted[..., None]
    count = jnp.maximum(jnp.sum(weight, 1), 1)
    mean = jnp.sum(jnp.where(weight, draws, 0.0), 1) / count
    within = jnp.sum(jnp.where(weight, draws - mean[:, None], 0.0) ** 2, 1) / count
    there = counted.any(1)[:, None]
    lanes = jnp.maximum(jnp.sum(there), 2)
    centre = jnp.sum(jnp.where(there, mean, 0.0), 0) / lanes
    between = jnp.sum(jnp.where(there, mean - centre, 0.0) ** 2, 0) / (lanes - 1)
    return (jnp.sum(there) > 1) & jnp.any(between > _APART * jnp.sum(jnp.where(there, within, 0.0), 0) / lanes)


def _careful(step_sizes: Array, before: Array) -> Array:
    """The lower quintile of the lanes' step sizes (the least of four), but no less than a quarter of their median.

    A lane tunes to the stiffest region that it has met. A step too large for that region would hold any lane that comes there for
    hundreds of draws, one too small only costs gradients; and one lane in trouble must not make all of them crawl.
    """
    careful = jnp.maximum(jnp.nanquantile(step_sizes, 0.2, method="lower"), jnp.nanmedian(step_sizes) / 4)
    return jnp.where(jnp.isfinite(careful), careful, before)


def _trusted(level: Array, counts: Array, dim: int) -> Array:
    """Lanes whose mean log density is finite and not far below the median lane's.

    In equilibrium log densities have a standard deviation of about sqrt(dim / 2); means of a window differ by less.
    """
    finite = jnp.isfinite(level) & (counts > 1)
    median = jnp.nanmedian(jnp.where(finite, level, jnp.nan))
    return finite & (level >= median - 5.0 - 3.0 * jnp.sqrt(dim / 2))
