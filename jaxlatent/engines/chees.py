r"""ChEES-HMC: Hamiltonian Monte Carlo with many chains and one adapted trajectory length (Hoffman, Radul and Sountsov 2021).

All chains of a dataset take trajectories of the same length, so none waits for another, which suits many chains on a GPU. After each
warm-up trajectory all chains adapt together (`ChEES.cross_lanes`). The step size follows the harmonic mean of their acceptance
probabilities by dual averaging. The length follows the gradient of the criterion that names the method, the change in the estimator of
the expected square: for chains at :math:`x` with proposals :math:`x'` and velocity :math:`v'`, centred and whitened,

.. math:: \frac{1}{4} \frac{\partial}{\partial t} E[(\|x'\|^2 - \|x\|^2)^2] = E[(\|x'\|^2 - \|x\|^2)\, x' \cdot v'],

ascended by Adam in the logarithm of the length. Lengths are jittered by a van der Corput sequence. A diagonal metric is estimated at the
end of each window from the draws and gradients of all chains (`jaxlatent.engines.hmc.metric`).
"""

from dataclasses import replace
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxlatent.engines.base import Final, Outputs, Stage, engine, when
from jaxlatent.engines.chains import Chains, Record
from jaxlatent.engines.hmc import metric as metrics
from jaxlatent.engines.hmc.dual_averaging import Tuning, start_tuning, tune
from jaxlatent.engines.hmc.leapfrog import PhasePoint, Point, leapfrog, total_energy
from jaxlatent.engines.hmc.metric import Metric
from jaxlatent.engines.hmc.stages import SAMPLE, WINDOW, sampler_stages
from jaxlatent.errors import require
from jaxlatent.masks import select
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status
from jaxlatent.typing import Array, Key, Position, PyTree

#: Bits of the van der Corput jitter.
_BITS = 16
_ADAM = optax.adam(0.025)


class Shared(NamedTuple):
    """Shared state of the chains of one dataset.

    Attributes:
        metric: the diagonal whitening map.
        step_size: leapfrog step size.
        log_length: logarithm of the maximum trajectory length, in whitened units.
        tuning: dual averaging of the step size.
        average: running average of ``log_length`` over the warm-up, later trajectories weighing more.
        adam: optimiser state of ``log_length``.
    """

    metric: Metric
    step_size: Array
    log_length: Array
    tuning: Tuning
    average: Array
    adam: PyTree


class Info(NamedTuple):
    """Statistics of the last transition, under ArviZ's names."""

    energy: Array
    acceptance_rate: Array
    n_steps: Array
    diverging: Array
    step_size: Array


class Ended(NamedTuple):
    """The trajectory that ended in the last step, if any: input of the adaptation across chains.

    Attributes:
        valid: whether one ended.
        before, after: positions at its start and its end, whitened.
        velocity: at its end, whitened.
        acceptance: acceptance probability.
        length: of the trajectory, as a fraction of the maximum.
    """

    valid: Array
    before: Array
    after: Array
    velocity: Array
    acceptance: Array
    length: Array


class State(NamedTuple):
    """A chain between two leapfrog steps.

    Attributes:
        draw: the current draw of the chain.
        transitions: number completed; -1 until the starting position has been evaluated.
        end: of the trajectory.
        taken: leapfrog steps of this trajectory.
        energy: at the start of the trajectory.
        ended: see `Ended`.
        info: statistics of the last transition.
    """

    draw: Point
    transitions: Array
    end: PhasePoint
    taken: Array
    energy: Array
    ended: Ended
    info: Info


@engine
class ChEES(Chains):
    """Many short chains of Hamiltonian Monte Carlo that adapt together, see `jaxlatent.engines.chees`.

    Args:
        chains: lanes per dataset, a few dozen at least, since adaptation averages over them. They stay on one device.
        warmup: transitions per chain that adapt step size, length and metric; not kept.
        draws: kept transitions per chain.
        target_accept: target of the harmonic mean acceptance probability (0.651 is the optimum of the paper).
        max_steps: maximum leapfrog steps of a trajectory.
        divergence_threshold: energy error above which a trajectory is divergent.
    """

    chains: int = 64
    warmup: int = 500
    draws: int = 250
    target_accept: float = 0.651
    max_steps: int = 1000
    divergence_threshold: float = 1000.0

    crosses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(self.chains >= 2, "ChEES(chains=...)", got=self.chains, expected="at least 2 chains, better 64")
        self.check_settings()
        require(self.max_steps >= 1, "ChEES(max_steps=...)", got=self.max_steps, expected="at least 1 step")

    def compile_key(self) -> "ChEES":
        """Two chains of one draw."""
        return replace(self, chains=2, warmup=0, draws=1)

    def schedule(self, segment: int) -> tuple[Stage, ...]:
        """Warm-up windows, then segments of kept draws."""
        return sampler_stages(self.warmup, self.draws, segment)

    def shared(self, posterior: Posterior, key: Key) -> Shared:
        """Unit metric, step size 1, length 1."""
        zero = jnp.zeros(())
        metric = metrics.identity("diag", posterior.dim, 0)
        return Shared(metric, zero + 1, zero, start_tuning(zero + 1), zero, _ADAM.init(zero))

    def init(self, posterior: Posterior, key: Key, position: Position, shared: Shared) -> State:
        """A lane before the evaluation of its first position, which is done by a leapfrog step of size zero."""
        zeros, zero, count = jnp.zeros_like(position), jnp.zeros((), position.dtype), jnp.zeros((), jnp.int32)
        false = jnp.zeros((), bool)
        ended = Ended(false, zeros, zeros, zeros, zero, zero)
        info = Info(zero, zero, count, false, zero)
        end = PhasePoint(position, zeros, zeros)
        return State(Point(position, zero, zeros), count - 1, end, count, zero, ended, info)

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: Shared, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One leapfrog step, and at the end of a trajectory the Metropolis accept or reject."""
        fresh = state.transitions < 0
        step_size = jnp.where(fresh, 0.0, shared.step_size).astype(state.energy.dtype)
        point, end = leapfrog(posterior, state.end, step_size, shared.metric)
        share = _van_der_corput(state.transitions)
        steps = jnp.clip(jnp.ceil(share * jnp.exp(shared.log_length) / shared.step_size), 1, self.max_steps)
        moved = state._replace(end=end, taken=state.taken + 1)
        ends = fresh | (moved.taken >= steps.astype(moved.taken.dtype))

        def finish(moved: State) -> State:
            error = total_energy(end.momentum, point.log_density) - state.energy
            acceptance = jnp.where(jnp.isnan(error), 0.0, jnp.exp(jnp.minimum(-error, 0.0)))
            choice, key_momentum = jax.random.split(jax.random.fold_in(key, state.transitions + 1))
            accept = fresh | (jax.random.uniform(choice, dtype=acceptance.dtype) < acceptance)
            draw = select(accept, point, state.draw)
            diverging = ~(error <= self.divergence_threshold)
            info = Info(state.energy + jnp.where(accept, error, 0.0), acceptance, moved.taken, diverging, step_size)
            scale = shared.metric.scale
            finished = Ended(
                ~fresh, state.draw.position / scale, point.position / scale, end.momentum, acceptance, share
            )
            momentum = jax.random.normal(key_momentum, end.momentum.shape, end.momentum.dtype)
            return State(
                draw=draw,
                transitions=state.transitions + 1,
                end=PhasePoint(draw.position, momentum, shared.metric.transpose(draw.gradient)),
                taken=jnp.zeros_like(state.taken),
                energy=total_energy(momentum, draw.log_density),
                ended=finished,
                info=info,
            )

        idle = moved._replace(ended=moved.ended._replace(valid=jnp.zeros((), bool)))
        state = when(ends, finish, idle)
        drawn = state.draw
        return state, Record(drawn.position, drawn.gradient, drawn.log_density, state.info), ends & ~fresh

    def cross_lanes(self, states: State, shared: Shared, stage: Stage) -> tuple[State, Shared]:
        """After a warm-up trajectory: adapt the step size and the length to all chains."""
        ended = states.ended
        counted = ended.valid & ~jax.vmap(self.done)(states)

        def learn(shared: Shared) -> Shared:
            count = jnp.maximum(jnp.sum(counted, dtype=ended.acceptance.dtype), 1)
            inverse = jnp.where(counted, 1 / jnp.maximum(ended.acceptance, 1e-20), 0.0)
            tuning = tune(shared.tuning, count / jnp.sum(inverse) - self.target_accept)
            trusted = counted & jnp.isfinite(ended.after).all(1) & jnp.isfinite(ended.velocity).all(1)
            weight = jnp.where(trusted, ended.acceptance, 0.0)
            total = jnp.maximum(jnp.sum(weight), 1e-20)
            before = _centred(ended.before, counted.astype(weight.dtype))
            after = _centred(ended.after, weight)
            speed = jnp.sum(after * jnp.where(trusted[:, None], ended.velocity, 0.0), 1)
            change = (jnp.sum(after**2, 1) - jnp.sum(before**2, 1)) * speed * ended.length
            slope = jnp.sum(weight * change) / total * jnp.exp(shared.log_length)
            # Adam minimises; a non-finite gradient counts as zero. Optax mixes floats with its count.
            with jax.numpy_dtype_promotion("standard"):
                update, adam = _ADAM.update(-jnp.where(jnp.isfinite(slope), slope, 0.0), shared.adam)
            step_size = jnp.exp(tuning.log_step)
            longest = tuning.log_step + jnp.log(self.max_steps)
            log_length = jnp.clip(shared.log_length + update, tuning.log_step, longest)
            rate = tuning.seen**-0.5
            average = (1 - rate) * shared.average + rate * log_length
            return shared._replace(
                step_size=step_size, log_length=log_length, tuning=tuning, average=average, adam=adam
            )

        return states, when(jnp.any(counted) & (stage.kind != SAMPLE), learn, shared)

    def done(self, state: State) -> Array:
        """Whether the start has no finite density: nothing to sample."""
        return (state.transitions >= 0) & ~jnp.isfinite(state.draw.log_density)

    def adapt(self, state: State, shared: Shared, records: Record, counts: Array, stage: Stage) -> tuple[State, Shared]:
        """At the end of a window, estimate the metric and set step size and length to their averages."""
        index = jnp.arange(records.lp.shape[1], dtype=counts.dtype)
        weights = (index < counts[:, None]) & ~self.done(state)[:, None]
        fresh = metrics.estimate(records.position, records.gradient, weights.astype(state.energy.dtype), shared.metric)
        learn = (stage.kind <= WINDOW) & weights.any()
        metric = select(learn, fresh.metric, shared.metric)
        known = shared.tuning.seen > 0
        step_size = jnp.where(known, jnp.exp(shared.tuning.log_average), shared.step_size)
        log_length = jnp.where(known, shared.average, shared.log_length)
        gradient = jax.vmap(metric.transpose)(state.draw.gradient)
        shared = Shared(metric, step_size, log_length, start_tuning(step_size), log_length, shared.adam)
        return state._replace(end=state.end._replace(gradient=gradient)), shared

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """The status; draws are in the records."""
        status = jnp.where(self.done(state), Status.NON_FINITE, Status.OK)
        return Final(Outputs({}), state.draw.log_density, status)


def _centred(x: Array, weight: Array) -> Array:
    """Rows minus their weighted mean; zero for rows without weight."""
    rows = jnp.where(weight[:, None] > 0, x, 0.0)
    mean = weight @ rows / jnp.maximum(jnp.sum(weight), 1e-20)
    return jnp.where(weight[:, None] > 0, rows - mean, 0.0)


def _van_der_corput(number: Array) -> Array:
    """Element ``number`` of the base-2 van der Corput sequence, in (0, 1): consecutive elements are evenly spread."""
    bits, floats = jnp.arange(_BITS, dtype=number.dtype), jnp.result_type(float)
    return jnp.sum(((number + 1) >> bits & 1).astype(floats) * 0.5 ** (bits.astype(floats) + 1.0))
