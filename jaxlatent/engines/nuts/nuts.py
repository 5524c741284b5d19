r"""The no-U-turn sampler, one leapfrog step at a time.

The transition kernel is that of BlackJAX (multinomial sampling over an iteratively doubled trajectory: Hoffman and Gelman 2014;
Betancourt 2017; Phan et al. 2019); a test compares the two distributions from the same start points. BlackJAX nests loops (draws,
doublings, leapfrog steps), so under ``vmap`` every lane waits at every level for the longest trajectory of the batch. Here the loop
position is part of the state, and a step is *one* gradient: a lane that has finished its trajectory starts the next one while others
still integrate. The log density appears once in the compiled program, shared by warm-up, sampling and the first evaluation. Each
transition draws its random numbers in one call, since compile time on a CPU grows with the number of calls.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.engines.base import Final, Outputs, Stage, engine, when
from jaxlatent.engines.chains import Chains, Record
from jaxlatent.engines.hmc import metric as metrics
from jaxlatent.engines.hmc.dual_averaging import Tuning, start_tuning, tune
from jaxlatent.engines.hmc.leapfrog import Point, leapfrog
from jaxlatent.engines.hmc.stages import SAMPLE, SEARCH, sampler_stages
from jaxlatent.engines.nuts import trajectory as trajectories
from jaxlatent.engines.nuts.lost import SPARE_STARTS, find_lost, moves_in_words, replacements
from jaxlatent.engines.nuts.trajectory import Trajectory
from jaxlatent.engines.nuts.warmup import CAREFUL, EARLY_DEPTH, Shared, Window, in_words, pool
from jaxlatent.errors import require
from jaxlatent.masks import select
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status
from jaxlatent.typing import Array, Key, Position

#: The status of a lane needs this many kept transitions, and is STUCK if fewer than one in `_MOVING` changes the position.
_MIN_TRANSITIONS, _MOVING = 50, 100


class Info(NamedTuple):
    """Statistics of the last transition, under ArviZ's names."""

    energy: Array
    acceptance_rate: Array
    n_steps: Array
    tree_depth: Array
    diverging: Array
    step_size: Array


class Tally(NamedTuple):
    """Number of kept transitions, of those that ended at the depth limit, and of those that changed the position."""

    draws: Array
    capped: Array
    moved: Array


class Choice(NamedTuple):
    """What warm-up chose for a lane.

    Attributes:
        diagonal_metric: whether the metric leaves correlations out.
        curvature_ratio: of the posterior, which decided that.
        warmup_moves: how often the lane was moved, see `jaxlatent.engines.nuts.lost`.
    """

    diagonal_metric: Array
    curvature_ratio: Array
    warmup_moves: Array


class State(NamedTuple):
    """A lane between two leapfrog steps.

    Attributes:
        draw: the current draw of the chain.
        fresh: whether it stands at a start that has not been evaluated.
        transitions: number of trajectories begun.
        trajectory: the one in progress.
        step_size: of this trajectory.
        tuning: dual averaging of the step size.
        info: statistics of the last transition.
        tally: counts of the kept transitions.
        choice: by the windows of the warm-up.
        spare_starts: where the lane may begin anew, ``(starts, dim)``.
    """

    draw: Point
    fresh: Array
    transitions: Array
    trajectory: Trajectory
    step_size: Array
    tuning: Tuning
    info: Info
    tally: Tally
    choice: Choice
    spare_starts: Array


@engine
class NUTS(Chains):
    """The no-U-turn sampler with warm-up shared by the chains of a dataset.

    A chain that warm-up finds in a mode without mass begins anew, or late in the warm-up goes on from a draw of another
    (`jaxlatent.engines.nuts.lost`); the statistic ``warmup_moves`` counts it.

    Args:
        chains: lanes per dataset.
        warmup: transitions per chain that adapt step size and metric; not kept.
        draws: kept transitions per chain.
        target_accept: target of the mean acceptance probability; raise it against divergences.
        metric: "diag", "dense", "low_rank", or "auto": dense up to 200 dimensions, low rank above, and diagonal, with a target of at
            least 0.9, where the curvature of the posterior varies strongly (see `jaxlatent.engines.nuts.warmup`). The statistics
            ``diagonal_metric`` and ``curvature_ratio`` of a result say which it was, and why.
        rank: number of directions of the low-rank metric.
        max_depth: maximum number of doublings of a trajectory.
        divergence_threshold: energy error above which a trajectory is divergent.
    """

    chains: int = 4
    warmup: int = 1000
    draws: int = 1000
    target_accept: float = 0.8
    metric: Literal["auto", "diag", "dense", "low_rank"] = "auto"
    rank: int = 20
    max_depth: int = 10
    divergence_threshold: float = 1000.0

    def __post_init__(self) -> None:
        require(self.chains >= 1, "NUTS(chains=...)", got=self.chains, expected="at least 1 chain")
        self.check_settings()
        kinds = ("auto", "diag", "dense", "low_rank")
        require(self.metric in kinds, "NUTS(metric=...)", got=self.metric, expected=f"one of {kinds}")
        require(self.rank >= 1, "NUTS(rank=...)", got=self.rank, expected="at least 1 direction")
        require(1 <= self.max_depth <= 20, "NUTS(max_depth=...)", got=self.max_depth, expected="1 to 20 doublings")

    def compile_key(self) -> "NUTS":
        """One chain of one draw."""
        return replace(self, chains=1, warmup=0, draws=1)

    def schedule(self, segment: int) -> tuple[Stage, ...]:
        """Warm-up windows, then segments of kept draws."""
        early = min(self.max_depth, EARLY_DEPTH)
        return sampler_stages(self.warmup, self.draws, segment, self.max_depth, early)

    def shared(self, posterior: Posterior, key: Key) -> Shared:
        """Unit metric, step size 1."""
        kind = self.metric
        if kind == "auto":
            kind = "dense" if posterior.dim <= 200 else "low_rank"
        metric, false = metrics.identity(kind, posterior.dim, self.rank), jnp.zeros((), bool)
        return Shared(metric, jnp.ones(()), jnp.full((), jnp.nan), jnp.asarray(kind == "diag"), false)

    def init(self, posterior: Posterior, key: Key, position: Position, shared: Shared) -> State:
        """A lane before the evaluation of its first position, which is done by a leapfrog step of size zero."""
        zeros, zero, count = jnp.zeros_like(position), jnp.zeros((), position.dtype), jnp.zeros((), jnp.int32)
        key, *spare_keys = jax.random.split(key, 1 + SPARE_STARTS)
        return State(
            draw=Point(position, zero, zeros),
            fresh=jnp.ones((), bool),
            transitions=count,
            trajectory=trajectories.initial(key, position, self.max_depth),
            step_size=zero,
            tuning=start_tuning(zero + 1),
            info=Info(zero, zero, count, count, jnp.zeros((), bool), zero),
            tally=Tally(count, count, count),
            choice=Choice(shared.diagonal_only, shared.curvature_ratio, count),
            spare_starts=jax.lax.map(posterior.initial_position, jnp.stack(spare_keys)),
        )

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: Shared, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One leapfrog step, and the end of the subtree, trajectory and draw where it completes them."""
        return self.step_where(jnp.ones((), bool), posterior, key, state, shared, stage)

    def step_where(
        self, live: Array, posterior: Posterior, key: Key, state: State, shared: Shared, stage: Stage
    ) -> tuple[State, Record, Array]:
        """`step` where ``live``. An idle lane completes nothing, so that only what each step changes is selected.

        That is a seventh of a state. The checkpoints of an idle lane may change: it is about to open a subtree, which reads none from
        before.
        """
        before = state.trajectory
        point, end = leapfrog(posterior, before.end, before.direction * state.step_size, shared.metric)
        trajectory, error, turning = trajectories.extend(before, point, end)
        end, subtree = select(live, (trajectory.end, trajectory.subtree), (before.end, before.subtree))
        trajectory = trajectory._replace(end=end, subtree=subtree)
        fresh, diverging = state.fresh, error > self.divergence_threshold
        broken = turning | diverging

        def merge(carry: tuple[Trajectory, Array]) -> tuple[Trajectory, Array]:
            joined, turning = trajectories.merge(carry[0], broken)
            return joined, broken | turning | (joined.depth >= shared.limit(stage)) | fresh

        def begin(state: State) -> State:
            own = jax.random.fold_in(key, state.transitions)
            state = self._draw(state, point, diverging, shared, stage)
            return state._replace(trajectory=trajectories.begin(state.trajectory, state.draw, own, shared.metric))

        complete = live & (broken | (subtree.size >= (1 << trajectory.depth)) | fresh)
        trajectory, ended = when(complete, merge, (trajectory, jnp.zeros((), bool)))
        state = when(ended, begin, state._replace(trajectory=trajectory))
        record = Record(state.draw.position, state.draw.gradient, state.draw.log_density, state.info)
        return state, record, ended & ~fresh

    def _draw(self, state: State, point: Point, diverging: Array, shared: Shared, stage: Stage) -> State:
        """Make the trajectory's proposal (at first: the starting point) the current draw, and tune the step size."""
        fresh, tree, depth = state.fresh, state.trajectory.tree, state.trajectory.depth
        acceptance = tree.accept_sum / jnp.maximum(tree.size, 1).astype(tree.accept_sum.dtype)
        tuning = select(fresh, state.tuning, tune(state.tuning, acceptance - self._target(shared)))
        kept = ~fresh & (stage.kind == SAMPLE)
        moved = jnp.any(tree.proposal.position != state.draw.position)
        counts = jnp.stack([kept, kept & (depth >= shared.limit(stage)), kept & moved]).astype(jnp.int32)
        return state._replace(
            draw=select(fresh, point, tree.proposal),
            fresh=jnp.zeros_like(fresh),
            transitions=state.transitions + 1,
            info=Info(tree.energy, acceptance, tree.size, depth, diverging, state.step_size),
            tuning=tuning,
            tally=Tally(*(jnp.stack(state.tally) + counts)),
            step_size=jnp.where(stage.kind == SAMPLE, shared.step_size, jnp.exp(tuning.log_step)),
        )

    def _target(self, shared: Shared) -> Array | float:
        if self.metric != "auto":
            return self.target_accept
        return jnp.where(shared.diagonal_only, max(self.target_accept, CAREFUL), self.target_accept)

    def done(self, state: State) -> Array:
        """Whether the start has no finite density: nothing to sample."""
        return ~state.fresh & ~jnp.isfinite(state.draw.log_density)

    def adapt(self, state: State, shared: Shared, records: Record, counts: Array, stage: Stage) -> tuple[State, Shared]:
        """Pool the lanes into a common step size, and at the end of a window into a common metric."""
        averages = jnp.exp(state.tuning.log_average)
        window = Window(records.position, records.gradient, records.lp, records.info.tree_depth)
        lost = find_lost(window, counts, state.choice.warmup_moves > 0, stage)
        shared = pool(shared, window, averages, counts, lost, stage, automatic=self.metric == "auto")
        tuning, points = start_tuning(shared.step_size), Point(records.position, records.lp, records.gradient)

        def restart(lane: State, lost: Array, other: Array, index: Array) -> State:
            draw = select(lost, jax.tree.map(lambda x: x[other, index], points), lane.draw)
            moves, anew = lane.choice.warmup_moves, lost & (stage.kind == SEARCH)
            spare = trajectories.initial(
                lane.trajectory.choices.leaf_key,
                lane.spare_starts[jnp.minimum(moves, SPARE_STARTS - 1)],
                self.max_depth,
            )
            started = trajectories.start_from(lane.trajectory, draw, lane.trajectory.end.momentum, shared.metric)
            return lane._replace(
                draw=draw,
                fresh=lane.fresh | anew,
                trajectory=select(anew, spare, started),
                step_size=shared.step_size,
                tuning=tuning,
                choice=Choice(shared.diagonal_only, shared.curvature_ratio, moves + lost.astype(moves.dtype)),
            )

        return jax.vmap(restart)(state, lost, *replacements(lost, counts)), shared

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """The status; draws are in the records."""
        tally, long = state.tally, state.tally.draws >= _MIN_TRANSITIONS
        status = jnp.where(long & (2 * tally.capped > tally.draws), Status.TREE_DEPTH, Status.OK)
        status = jnp.where(long & (_MOVING * tally.moved < tally.draws), Status.STUCK, status)
        status = jnp.where(self.done(state), Status.NON_FINITE, status)
        return Final(Outputs(state.choice._asdict()), state.draw.log_density, status)

    def choices(self, statistics: Mapping[str, np.ndarray]) -> dict[str, str]:
        """Whether the metric is diagonal, if that was left to the warm-up, and how many chains it moved."""
        moves = statistics["warmup_moves"]
        made = {"starts": moves_in_words(moves)} if (moves > 0).any() else {}
        if self.metric == "auto":
            # Lanes of a dataset agree; quarantined datasets have no ratio.
            ratio, diagonal = statistics["curvature_ratio"][:, 0], statistics["diagonal_metric"][:, 0]
            known = ~np.isnan(ratio)
            made["metric"] = in_words(ratio[known], diagonal[known].astype(bool))
        return made
