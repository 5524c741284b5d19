r"""The no-U-turn sampler, one leapfrog step at a time.

The transition kernel is that of BlackJAX (multinomial sampling over an iteratively doubled trajectory: Hoffman and Gelman 2014;
Betancourt 2017; Phan et al. 2019); a test compares the two distributions from the same start points. BlackJAX nests loops (draws,
doublings, leapfrog steps), so under ``vmap`` every lane waits at every level for the longest trajectory of the batch. Here the loop
position is part of the state, and a step is *one* gradient: a lane that has finished its trajectory starts the next one while others
still integrate. The log density appears once in the compiled program, shared by warm-up, sampling and the first evaluation. Each
transition draws its random numbers in one call, since compile time on a CPU grows with the number of calls.

Momenta are whitened (`jaxlatent.engines.nuts.metric`), so only the leapfrog step uses the metric.
"""

from dataclasses import replace
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxlatent.engines.base import Final, Outputs, Stage, engine, split_steps, when
from jaxlatent.engines.chains import Chains
from jaxlatent.engines.nuts import metric as metrics
from jaxlatent.engines.nuts.metric import Metric
from jaxlatent.engines.nuts.warmup import SAMPLE, Shared, Tuning, Window, pool, start_tuning, tune, warmup_stages
from jaxlatent.errors import require
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status
from jaxlatent.typing import Array, Key, Position, SamePyTree

#: The status of a lane needs this many kept transitions, and is STUCK if fewer than one in `_MOVING` changes the position.
_MIN_TRANSITIONS, _MOVING = 50, 100


class Point(NamedTuple):
    """A position with its log density and gradient."""

    position: Array
    log_density: Array
    gradient: Array


class Leaf(NamedTuple):
    """One end of a trajectory: position, whitened momentum, whitened gradient."""

    position: Array
    momentum: Array
    gradient: Array


class Tree(NamedTuple):
    """A trajectory, or the subtree that is being added to it.

    Attributes:
        proposal: the point sampled from it so far.
        energy: of the proposal.
        log_weight: total log weight of its points, relative to the start.
        momentum_sum: sum of its whitened momenta.
        accept_sum: sum of the Metropolis acceptance probabilities of its points.
        size: number of leapfrog steps.
    """

    proposal: Point
    energy: Array
    log_weight: Array
    momentum_sum: Array
    accept_sum: Array
    size: Array


class Choices(NamedTuple):
    """The random choices of one transition besides its momentum.

    Attributes:
        leaf_key: folded with the leapfrog step number, for the sampling within a subtree.
        directions: ``(max_depth,)``, +1 or -1 for each doubling.
        joins: ``(max_depth,)`` uniforms that decide whether the proposal moves into the new subtree.
    """

    leaf_key: Key
    directions: Array
    joins: Array


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


class State(NamedTuple):
    """A lane between two leapfrog steps.

    Attributes:
        draw: the current draw of the chain.
        transitions: number completed; -1 until the starting position has been evaluated.
        left, right, end: the two ends of the trajectory, and the end being integrated.
        tree, subtree: see `Tree`.
        checkpoints: whitened momenta and momentum sums for the U-turn checks inside a subtree, ``(max_depth, dim)`` each.
        depth: doublings completed.
        direction: +1 or -1.
        start_energy: at the start of the trajectory.
        choices: random numbers of the transition, see `Choices`.
        step_size: of this trajectory.
        tuning: dual averaging of the step size.
        info: statistics of the last transition.
        tally: counts of the kept transitions.
    """

    draw: Point
    transitions: Array
    left: Leaf
    right: Leaf
    end: Leaf
    tree: Tree
    subtree: Tree
    checkpoints: tuple[Array, Array]
    depth: Array
    direction: Array
    start_energy: Array
    choices: "Choices"
    step_size: Array
    tuning: Tuning
    info: Info
    tally: Tally


class Record(NamedTuple):
    """A draw with its gradient and statistics."""

    position: Array
    gradient: Array
    lp: Array
    info: Info


@engine
class NUTS(Chains):
    """The no-U-turn sampler with warm-up shared by the chains of a dataset.

    Args:
        chains: lanes per dataset.
        warmup: transitions per chain that adapt step size and metric; not kept.
        draws: kept transitions per chain.
        target_accept: target of the mean acceptance probability; raise it against divergences.
        metric: "diag", "dense", "low_rank", or "auto": dense up to 200 dimensions, low rank above, and diagonal where the
            curvature of the posterior varies strongly (see `jaxlatent.engines.nuts.warmup`).
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
        require(self.draws >= 1, "NUTS(draws=...)", got=self.draws, expected="at least 1 draw")
        require(self.warmup >= 0, "NUTS(warmup=...)", got=self.warmup, expected="0 or more transitions")
        require(
            0 < self.target_accept < 1, "NUTS(target_accept=...)", got=self.target_accept, expected="a number in (0, 1)"
        )
        kinds = ("auto", "diag", "dense", "low_rank")
        require(self.metric in kinds, "NUTS(metric=...)", got=self.metric, expected=f"one of {kinds}")
        require(self.rank >= 1, "NUTS(rank=...)", got=self.rank, expected="at least 1 direction")
        threshold = self.divergence_threshold
        require(threshold > 0, "NUTS(divergence_threshold=...)", got=threshold, expected="a positive energy error")
        require(1 <= self.max_depth <= 20, "NUTS(max_depth=...)", got=self.max_depth, expected="1 to 20 doublings")

    def compile_key(self) -> "NUTS":
        """One chain of one draw."""
        return replace(self, chains=1, warmup=0, draws=1)

    def schedule(self, segment: int) -> tuple[Stage, ...]:
        """Warm-up windows, then segments of kept draws."""
        sampling = (Stage(steps, SAMPLE, self.max_depth, True) for steps in split_steps(self.draws, segment))
        return (*warmup_stages(self.warmup, self.max_depth), *sampling)

    def shared(self, posterior: Posterior, key: Key) -> Shared:
        """Unit metric, step size 1."""
        kind = self.metric
        if kind == "auto":
            kind = "dense" if posterior.dim <= 200 else "low_rank"
        return Shared(
            metrics.identity(kind, posterior.dim, self.rank), jnp.ones(()), jnp.zeros((), bool), jnp.zeros((), bool)
        )

    def init(self, posterior: Posterior, key: Key, position: Position, shared: Shared) -> State:
        """A lane before the evaluation of its first position, which is done by a leapfrog step of size zero."""
        zero, nothing, none = jnp.zeros_like(position), jnp.zeros((), position.dtype), jnp.zeros((), jnp.int32)
        point = Point(position, nothing, zero)
        leaf = Leaf(position, zero, zero)
        tree = Tree(point, nothing, nothing, zero, nothing, none)
        return State(
            draw=point,
            transitions=none - 1,
            left=leaf,
            right=leaf,
            end=leaf,
            tree=tree,
            subtree=tree,
            checkpoints=(jnp.zeros((self.max_depth, position.shape[0]), position.dtype),) * 2,
            depth=none,
            direction=nothing,
            start_energy=nothing,
            choices=Choices(key, jnp.zeros(self.max_depth, position.dtype), jnp.zeros(self.max_depth, position.dtype)),
            step_size=nothing,
            tuning=start_tuning(nothing + 1),
            info=Info(nothing, nothing, none, none, jnp.zeros((), bool), nothing),
            tally=Tally(none, none, none),
        )

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: Shared, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One leapfrog step, and the end of the subtree, trajectory and draw where it completes them."""
        point, leaf, log_weight, energy = _leapfrog(posterior, state, shared.metric)
        subtree, checkpoints = state.subtree, state.checkpoints
        total = state.tree.size + subtree.size
        uniform = jax.random.uniform(jax.random.fold_in(state.choices.leaf_key, total), dtype=energy.dtype)
        accept = uniform < jax.nn.sigmoid(log_weight - subtree.log_weight)
        grown = Tree(
            proposal=_select(accept, point, subtree.proposal),
            energy=jnp.where(accept, energy, subtree.energy),
            log_weight=jnp.logaddexp(subtree.log_weight, log_weight),
            momentum_sum=subtree.momentum_sum + leaf.momentum,
            accept_sum=subtree.accept_sum + jnp.exp(jnp.minimum(log_weight, 0.0)),
            size=subtree.size + 1,
        )
        checkpoints, turning = _check_subtree(checkpoints, leaf.momentum, grown.momentum_sum, subtree.size)
        fresh = state.transitions < 0
        diverging = -log_weight > self.divergence_threshold
        broken = turning | diverging
        state = state._replace(end=leaf, subtree=grown, checkpoints=checkpoints)

        def merge(carry: tuple[State, Array]) -> tuple[State, Array]:
            joined, turning = _merge(carry[0], broken)
            return _open_subtree(joined), broken | turning | (joined.depth >= shared.limit(stage)) | fresh

        def begin(state: State) -> State:
            return _begin(self._draw(state, point, fresh, diverging, shared, stage), key, shared.metric)

        complete = broken | (grown.size >= (1 << state.depth)) | fresh
        state, ended = when(complete, merge, (state, jnp.zeros((), bool)))
        state = when(ended, begin, state)
        record = Record(state.draw.position, state.draw.gradient, state.draw.log_density, state.info)
        return state, record, ended & ~fresh

    def _draw(self, state: State, point: Point, fresh: Array, diverging: Array, shared: Shared, stage: Stage) -> State:
        """Make the trajectory's proposal (at first: the starting point) the current draw, and tune the step size."""
        tree = state.tree
        acceptance = tree.accept_sum / jnp.maximum(tree.size, 1)
        tuning = _select(fresh, state.tuning, tune(state.tuning, acceptance - self.target_accept))
        kept = ~fresh & (stage.kind == SAMPLE)
        moved = jnp.any(tree.proposal.position != state.draw.position)
        counts = jnp.stack([kept, kept & (state.depth >= shared.limit(stage)), kept & moved]).astype(jnp.int32)
        return state._replace(
            draw=_select(fresh, point, tree.proposal),
            transitions=state.transitions + 1,
            info=Info(tree.energy, acceptance, tree.size, state.depth, diverging, state.step_size),
            tuning=tuning,
            tally=Tally(*(jnp.stack(state.tally) + counts)),
            step_size=jnp.where(stage.kind == SAMPLE, shared.step_size, jnp.exp(tuning.log_step)),
        )

    def done(self, state: State) -> Array:
        """Whether the start has no finite density: nothing to sample."""
        return (state.transitions >= 0) & ~jnp.isfinite(state.draw.log_density)

    def adapt(self, state: State, shared: Shared, records: Record, counts: Array, stage: Stage) -> tuple[State, Shared]:
        """Pool the lanes into a common step size, and at the end of a window into a common metric."""
        averages = jnp.exp(state.tuning.log_average)
        window = Window(records.position, records.gradient, records.lp, records.info.diverging, records.info.tree_depth)
        shared = pool(shared, window, averages, counts, stage, automatic=self.metric == "auto")
        tuning = start_tuning(shared.step_size)

        def restart(lane: State) -> State:
            leaf = lane.end._replace(gradient=shared.metric.transpose(lane.draw.gradient))
            return lane._replace(left=leaf, right=leaf, end=leaf, step_size=shared.step_size, tuning=tuning)

        return jax.vmap(restart)(state), shared

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """The status; draws are in the records."""
        tally, long = state.tally, state.tally.draws >= _MIN_TRANSITIONS
        status = jnp.where(long & (2 * tally.capped > tally.draws), Status.TREE_DEPTH, Status.OK)
        status = jnp.where(long & (_MOVING * tally.moved < tally.draws), Status.STUCK, status)
        status = jnp.where(self.done(state), Status.NON_FINITE, status)
        return Final(Outputs({}), state.draw.log_density, status)


def _leapfrog(posterior: Posterior, state: State, metric: Metric) -> tuple[Point, Leaf, Array, Array]:
    """One leapfrog step: the new point, the leaf, its log weight relative to the start, and its energy."""
    step = state.direction * state.step_size
    half = state.end.momentum + 0.5 * step * state.end.gradient
    position = state.end.position + step * metric.forward(half)
    log_density, gradient = jax.value_and_grad(posterior.log_density)(position)
    whitened = metric.transpose(gradient)
    momentum = half + 0.5 * step * whitened
    energy = 0.5 * momentum @ momentum - log_density
    change = state.start_energy - energy
    log_weight = jnp.where(jnp.isnan(change), -jnp.inf, change)
    return Point(position, log_density, gradient), Leaf(position, momentum, whitened), log_weight, energy


def _begin(state: State, key: Key, metric: Metric) -> State:
    """Start a trajectory from the current draw."""
    draw, dim, depths = state.draw, state.draw.position.shape[0], state.choices.joins.shape[0]
    key, leaf_key = jax.random.split(jax.random.fold_in(key, state.transitions))
    edge = jnp.nextafter(jnp.ones((), draw.position.dtype), 0.0)
    uniform = jax.random.uniform(key, (dim + 2 * depths,), draw.position.dtype, minval=-edge, maxval=1.0)
    gaussian, signs, joins = uniform[:dim], uniform[dim : dim + depths], uniform[dim + depths :]
    momentum = jnp.sqrt(2.0).astype(gaussian.dtype) * jax.lax.erf_inv(gaussian)
    energy = 0.5 * momentum @ momentum - draw.log_density
    leaf = Leaf(draw.position, momentum, metric.transpose(draw.gradient))
    zero = jnp.zeros_like(energy)
    return _open_subtree(
        state._replace(
            left=leaf,
            right=leaf,
            tree=Tree(draw, energy, zero, momentum, zero, jnp.zeros_like(state.transitions)),
            start_energy=energy,
            depth=jnp.zeros_like(state.depth),
            choices=Choices(leaf_key, jnp.where(signs > 0, 1.0, -1.0).astype(signs.dtype), (joins + 1) / 2),
        )
    )


def _open_subtree(state: State) -> State:
    """Start an empty subtree at the end of the trajectory that the next doubling extends."""
    direction = state.choices.directions[state.depth]
    end = _select(direction > 0, state.right, state.left)
    zero = jnp.zeros_like(state.start_energy)
    subtree = Tree(
        state.tree.proposal, zero, zero - jnp.inf, jnp.zeros_like(end.momentum), zero, jnp.zeros_like(state.depth)
    )
    return state._replace(end=end, subtree=subtree, direction=direction)


def _merge(state: State, broken: Array) -> tuple[State, Array]:
    """Join the finished subtree to the trajectory by biased progressive sampling (Betancourt 2017, A.3.2), and check for a U-turn."""
    tree, subtree = state.tree, state.subtree
    accept = ~broken & (state.choices.joins[state.depth] < jnp.exp(subtree.log_weight - tree.log_weight))
    forward = state.direction > 0
    left = _select(forward, state.left, state.end)
    right = _select(forward, state.end, state.right)
    momentum_sum = tree.momentum_sum + subtree.momentum_sum
    joined = Tree(
        proposal=_select(accept, subtree.proposal, tree.proposal),
        energy=jnp.where(accept, subtree.energy, tree.energy),
        log_weight=jnp.where(broken, tree.log_weight, jnp.logaddexp(tree.log_weight, subtree.log_weight)),
        momentum_sum=momentum_sum,
        accept_sum=tree.accept_sum + subtree.accept_sum,
        size=tree.size + subtree.size,
    )
    turning = _is_turning(left.momentum, right.momentum, momentum_sum)
    return state._replace(left=left, right=right, tree=joined, depth=state.depth + 1), turning


def _is_turning(left: Array, right: Array, momentum_sum: Array) -> Array:
    """The generalised U-turn criterion (Betancourt 2013) in whitened momenta, over the last axis."""
    rho = momentum_sum - (left + right) / 2
    return (jnp.sum(left * rho, -1) <= 0) | (jnp.sum(right * rho, -1) <= 0)


def _check_subtree(
    checkpoints: tuple[Array, Array], momentum: Array, momentum_sum: Array, leaf: Array
) -> tuple[tuple[Array, Array], Array]:
    """Check every subtree that ends at this leaf for a U-turn (Phan et al. 2019, appendix A).

    Even leaves are stored; odd leaves are checked against the left ends of all balanced subtrees that they complete, ``first`` to
    ``last`` in the stack of checkpoints.
    """
    momenta, sums = checkpoints
    last = jnp.bitwise_count(leaf >> 1).astype(jnp.int32)
    first = last - jnp.bitwise_count((~leaf & (leaf + 1)) - 1).astype(jnp.int32) + 1
    index = jnp.arange(momenta.shape[0])
    store = ((index == last) & (leaf & 1 == 0))[:, None]
    momenta, sums = jnp.where(store, momentum, momenta), jnp.where(store, momentum_sum, sums)
    turning = _is_turning(momenta, momentum, momentum_sum - sums + momenta)
    return (momenta, sums), jnp.any(turning & (index >= first) & (index <= last))


def _select(condition: Array, this: SamePyTree, other: SamePyTree) -> SamePyTree:
    chosen: SamePyTree = jax.tree.map(lambda a, b: jnp.where(condition, a, b), this, other)
    return chosen
