"""The trajectory of NUTS: doublings and U-turn checks.

Multinomial sampling over an iteratively doubled trajectory (Hoffman and Gelman 2014; Betancourt 2017; Phan et al. 2019). Momenta are
whitened (`jaxlatent.engines.hmc.metric`), so a U-turn check is a plain dot product.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxlatent._compat.tracing import on_cpu
from jaxlatent.engines.hmc.leapfrog import PhasePoint, Point, total_energy
from jaxlatent.engines.hmc.metric import Metric
from jaxlatent.masks import select
from jaxlatent.typing import Array, Bool, Float, Int, Key, Position


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
    energy: Float[Array, ""]
    log_weight: Float[Array, ""]
    momentum_sum: Float[Array, " dim"]
    accept_sum: Float[Array, ""]
    size: Int[Array, ""]


class Choices(NamedTuple):
    """The random choices of one transition besides its momentum.

    Attributes:
        leaf_key: folded with the leapfrog step number, for the sampling within a subtree.
        directions: +1 or -1 for each doubling.
        joins: uniforms that decide whether the proposal moves into the new subtree.
    """

    leaf_key: Key
    directions: Float[Array, " max_depth"]
    joins: Float[Array, " max_depth"]


class Trajectory(NamedTuple):
    """A trajectory between two leapfrog steps.

    Attributes:
        left, right, end: its two ends, and the end being integrated.
        tree, subtree: see `Tree`.
        checkpoints: whitened momenta and momentum sums for the U-turn checks inside a subtree.
        depth: doublings completed.
        direction: +1 or -1.
        start_energy: the energy at its start.
        choices: random numbers of the transition, see `Choices`.
    """

    left: PhasePoint
    right: PhasePoint
    end: PhasePoint
    tree: Tree
    subtree: Tree
    checkpoints: tuple[Float[Array, "max_depth dim"], Float[Array, "max_depth dim"]]
    depth: Int[Array, ""]
    direction: Float[Array, ""]
    start_energy: Float[Array, ""]
    choices: Choices


def initial(key: Key, position: Position, max_depth: int) -> Trajectory:
    """A trajectory without momentum or direction, whose first step evaluates ``position``."""
    zeros, zero, count = jnp.zeros_like(position), jnp.zeros((), position.dtype), jnp.zeros((), jnp.int32)
    end, depths = PhasePoint(position, zeros, zeros), jnp.zeros(max_depth, position.dtype)
    tree = Tree(Point(position, zero, zeros), zero, zero, zeros, zero, count)
    checkpoints = (jnp.zeros((max_depth, position.shape[0]), position.dtype),) * 2
    choices = Choices(key, depths, depths)
    return Trajectory(end, end, end, tree, tree, checkpoints, count, zero, zero, choices)


def extend(
    trajectory: Trajectory, point: Point, end: PhasePoint
) -> tuple[Trajectory, Float[Array, ""], Bool[Array, ""]]:
    """Add a leapfrog step to the subtree: the trajectory, the step's energy error, and whether the subtree makes a U-turn."""
    subtree = trajectory.subtree
    energy = total_energy(end.momentum, point.log_density)
    change = trajectory.start_energy - energy
    log_weight = jnp.where(jnp.isnan(change), -jnp.inf, change)
    total = trajectory.tree.size + subtree.size
    uniform = jax.random.uniform(jax.random.fold_in(trajectory.choices.leaf_key, total), dtype=energy.dtype)
    accept = uniform < jax.nn.sigmoid(log_weight - subtree.log_weight)
    proposal, energy = select(accept, (point, energy), (subtree.proposal, subtree.energy))
    grown = Tree(
        proposal=proposal,
        energy=energy,
        log_weight=jnp.logaddexp(subtree.log_weight, log_weight),
        momentum_sum=subtree.momentum_sum + end.momentum,
        accept_sum=subtree.accept_sum + jnp.exp(jnp.minimum(log_weight, 0.0)),
        size=subtree.size + 1,
    )
    checkpoints, turning = _check_subtree(trajectory.checkpoints, end.momentum, grown.momentum_sum, subtree.size)
    return trajectory._replace(end=end, subtree=grown, checkpoints=checkpoints), -log_weight, turning


def begin(trajectory: Trajectory, draw: Point, key: Key, metric: Metric) -> Trajectory:
    """Start a new trajectory from a draw."""
    dim, depths = draw.position.shape[0], trajectory.choices.joins.shape[0]
    key, leaf_key = jax.random.split(key)
    edge = jnp.nextafter(jnp.ones((), draw.position.dtype), 0.0)
    uniform = jax.random.uniform(key, (dim + 2 * depths,), draw.position.dtype, minval=-edge, maxval=1.0)
    gaussian, signs, joins = uniform[:dim], uniform[dim : dim + depths], uniform[dim + depths :]
    momentum = jnp.sqrt(2.0).astype(gaussian.dtype) * jax.lax.erf_inv(gaussian)
    choices = Choices(leaf_key, jnp.where(signs > 0, 1.0, -1.0).astype(signs.dtype), (joins + 1) / 2)
    return start_from(trajectory._replace(choices=choices), draw, momentum, metric)


def start_from(trajectory: Trajectory, draw: Point, momentum: Float[Array, " dim"], metric: Metric) -> Trajectory:
    """The trajectory with its random choices, at its start from a draw with a whitened momentum."""
    energy = total_energy(momentum, draw.log_density)
    start = PhasePoint(draw.position, momentum, metric.transpose(draw.gradient))
    zero, count = jnp.zeros_like(energy), jnp.zeros_like(trajectory.depth)
    tree = Tree(draw, energy, zero, momentum, zero, count)
    return _open_subtree(trajectory._replace(left=start, right=start, tree=tree, start_energy=energy, depth=count))


def merge(trajectory: Trajectory, broken: Bool[Array, ""]) -> tuple[Trajectory, Bool[Array, ""]]:
    """Join the finished subtree by biased progressive sampling (Betancourt 2017, A.3.2): the trajectory, and whether it makes a U-turn."""
    tree, subtree, forward = trajectory.tree, trajectory.subtree, trajectory.direction > 0
    accept = ~broken & (trajectory.choices.joins[trajectory.depth] < jnp.exp(subtree.log_weight - tree.log_weight))
    left = select(forward, trajectory.left, trajectory.end)
    right = select(forward, trajectory.end, trajectory.right)
    momentum_sum = tree.momentum_sum + subtree.momentum_sum
    proposal, energy = select(accept, (subtree.proposal, subtree.energy), (tree.proposal, tree.energy))
    joined = Tree(
        proposal=proposal,
        energy=energy,
        log_weight=jnp.where(broken, tree.log_weight, jnp.logaddexp(tree.log_weight, subtree.log_weight)),
        momentum_sum=momentum_sum,
        accept_sum=tree.accept_sum + subtree.accept_sum,
        size=tree.size + subtree.size,
    )
    turning = _is_turning(left.momentum, right.momentum, momentum_sum)
    depth = trajectory.depth + 1
    return _open_subtree(trajectory._replace(left=left, right=right, tree=joined, depth=depth)), turning


def _open_subtree(trajectory: Trajectory) -> Trajectory:
    """Start an empty subtree at the end that the next doubling extends."""
    direction = trajectory.choices.directions[trajectory.depth]
    end = select(direction > 0, trajectory.right, trajectory.left)
    zero, count = jnp.zeros_like(trajectory.start_energy), jnp.zeros_like(trajectory.depth)
    subtree = Tree(trajectory.tree.proposal, zero, zero - jnp.inf, jnp.zeros_like(end.momentum), zero, count)
    return trajectory._replace(end=end, subtree=subtree, direction=direction)


def _is_turning(
    left: Float[Array, "*many dim"], right: Float[Array, "*#many dim"], momentum_sum: Float[Array, "*many dim"]
) -> Bool[Array, "*many"]:
    """The generalised U-turn criterion (Betancourt 2013) in whitened momenta."""
    rho = momentum_sum - (left + right) / 2
    return (jnp.sum(left * rho, -1) <= 0) | (jnp.sum(right * rho, -1) <= 0)


def _check_subtree(
    checkpoints: tuple[Float[Array, "depths dim"], Float[Array, "depths dim"]],
    momentum: Float[Array, " dim"],
    momentum_sum: Float[Array, " dim"],
    leaf: Int[Array, ""],
) -> tuple[tuple[Float[Array, "depths dim"], Float[Array, "depths dim"]], Bool[Array, ""]]:
    """Check every subtree that ends at this leaf for a U-turn (Phan et al. 2019, appendix A).

    Even leaves are stored; odd leaves are checked against the left ends of all balanced subtrees that they complete, ``first`` to
    ``last`` in the stack of checkpoints: one on average, so a CPU reads only those rows. On a GPU, where nothing was
    measured, the host would wait for each turn of such a loop.
    """
    momenta, sums = checkpoints
    last = jnp.bitwise_count(leaf >> 1).astype(jnp.int32)
    first = last - jnp.bitwise_count((~leaf & (leaf + 1)) - 1).astype(jnp.int32) + 1
    # Odd leaves go to the last row, which no even leaf of fewer than max_depth doublings reaches.
    place = jnp.where(leaf & 1 == 0, last, momenta.shape[0] - 1)
    momenta, sums = momenta.at[place].set(momentum), sums.at[place].set(momentum_sum)
    turns: Callable[[Any], Bool[Array, "*depths"]] = lambda rows: _is_turning(
        momenta[rows], momentum, momentum_sum - sums[rows] + momenta[rows]
    )

    def one_by_one(first: Int[Array, ""], last: Int[Array, ""]) -> Bool[Array, ""]:
        below: Callable[[tuple[Array, Array]], tuple[Array, Array]] = lambda carry: (carry[0] - 1, turns(carry[0]))
        turning: Array = jax.lax.while_loop(
            lambda carry: (carry[0] >= first) & ~carry[1], below, (last, jnp.zeros((), bool))
        )[1]
        return turning

    def at_once(first: Int[Array, ""], last: Int[Array, ""]) -> Bool[Array, ""]:
        index = jnp.arange(momenta.shape[0], dtype=leaf.dtype)
        return jnp.any(turns(slice(None)) & (index >= first) & (index <= last))

    turning: Array = on_cpu(one_by_one, at_once, first, last)
    return (momenta, sums), turning
