r"""Forward and backward messages of hidden Markov chains.

Notation: `K` states, `T` steps, `B` sequences; :math:`\pi` the initial probabilities, :math:`A_{ij}` the transition from `i` to `j`,
:math:`\ell_t(k)` the log likelihood of step `t` in state `k`. With :math:`b_t = e^{\ell_t - m_t}`,

.. math::
    \alpha_t = b_t \odot A_t^\top \alpha_{t-1} / c_t, \qquad
    \beta_{t-1} = A_t\,(b_t \odot \beta_t) / c_t, \qquad
    \log Z = \sum_t (\log c_t + m_t),

with :math:`c_t` such that :math:`\alpha_t` sums to one (Rabiner 1989, section V.A). These are scaled probabilities rather than logarithms,
since in log space each step needs an exponential for each pair of states. :math:`m_t` is the largest :math:`\ell_t` among the reachable
states, so that an impossible state of high likelihood does no harm. A state whose filtered probability underflows is lost unless
transitions lead back to it; if transitions are exactly zero and the evidence shifts by more than 80 nats, use 64 bits.

Arrays have shape ``(T, K, B)``: with the sequences innermost a step is a handful of vector instructions.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from jaxlatent._compat.one_kernel import one_kernel
from jaxlatent._compat.tracing import probably_on_cpu
from jaxlatent.typing import Array, Bool, Float

#: "sequential": a scan, the least work. "associative": a parallel scan of matrix products, K times the work in log T rounds.
Method = Literal["sequential", "associative"]

#: Up to this many states, sums over states are unrolled into additions of rows.
FEW = 16
#: From this many steps with few states, a parallel scan is faster on a GPU than the latency of sequential steps.
_LONG = 512


class Messages(NamedTuple):
    """The result of the forward and backward passes.

    Attributes:
        log_scales: ``(T, B)``.
        alpha: filtered probabilities, ``(T, K, B)``; predictions past the end of a sequence, where all other attributes are zero.
        smoothed: posterior probabilities, ``(T, K, B)``.
        seen: normalised likelihood of a step and all later ones, ``b_t * beta_t / c_t``, ``(T, K, B)``; times the predicted
            probabilities of the step it gives the smoothed ones.
    """

    log_scales: Float[Array, "T B"]
    alpha: Float[Array, "T K B"]
    smoothed: Float[Array, "T K B"]
    seen: Float[Array, "T K B"]

    @property
    def log_normalizer(self) -> Array:
        """``(B,)``."""
        return jnp.sum(self.log_scales, 0)


def choose_method(steps: int, states: int) -> Method:
    """The expected fastest method on the devices in use if the trace knows them, else on JAX's default device."""
    parallel = not probably_on_cpu() and steps >= _LONG and states <= FEW
    return "associative" if parallel else "sequential"


def messages(
    initial: Float[Array, "K #B"],
    transition: Float[Array, "K K"] | Float[Array, "steps K K #B"],
    log_likelihoods: Float[Array, "T K B"],
    live: Bool[Array, "T B"] | None,
    method: Method,
) -> Messages:
    """Messages of every sequence.

    Args:
        initial: probabilities of the first state.
        transition: the common matrix, or the ``T - 1`` matrices into the steps after the first.
        log_likelihoods: of each step in each state.
        live: False past the end of a sequence; None if all have the same length.
        method: see `choose_method`.
    """
    run = _sequential if method == "sequential" else _associative
    log_scales, alpha, smoothed, seen = run(initial, transition, log_likelihoods, live)
    if live is not None:
        log_scales = jnp.where(live, log_scales, 0.0)
        smoothed, seen = (jnp.where(live[:, None], x, 0.0) for x in (smoothed, seen))
    return Messages(log_scales, alpha, smoothed, seen)


def push(transition: Array, x: Float[Array, "*steps K B"]) -> Float[Array, "*steps K B"]:
    """``A' x``: one step of the chain forward."""
    return _sum(_over_sequences(transition) * x[..., :, None, :], -3)


def pull_back(transition: Array, x: Float[Array, "*steps K B"]) -> Float[Array, "*steps K B"]:
    """``A x``."""
    return _sum(_over_sequences(transition) * x[..., None, :, :], -2)


def _over_sequences(transition: Array) -> Array:
    return transition[..., None] if transition.ndim == 2 else transition


def _sum(x: Array, axis: int) -> Array:
    """Sum over states."""
    return _reduce(jnp.add, jnp.sum, x, axis)


def _largest(x: Array, axis: int) -> Array:
    """Maximum over states, which may lose NaN and is cheaper for it."""
    return _reduce(lambda a, b: jnp.where(a > b, a, b), jnp.max, x, axis)


def _reduce(operation: Callable[[Array, Array], Array], of_many: Callable[..., Array], x: Array, axis: int) -> Array:
    """Reduce ``x`` over an axis of states, unrolled if they are few."""
    if x.shape[axis] > FEW:
        return of_many(x, axis)
    return reduce(operation, (jax.lax.index_in_dim(x, k, axis, keepdims=False) for k in range(x.shape[axis])))


def _sequential(
    initial: Array, transition: Array, log_likelihoods: Array, live: Array | None
) -> tuple[Array, Array, Array, Array]:
    """One forward and one backward pass: the fields of `Messages`, not yet zero past the end of a sequence."""
    start = jnp.broadcast_to(initial, log_likelihoods.shape[1:])
    later = earlier = transition
    if transition.ndim == 4:
        beyond = jnp.zeros((1, *transition.shape[1:]), transition.dtype)
        later, earlier = jnp.concatenate([transition, beyond]), jnp.concatenate([beyond, transition])
    small = initial.shape[0] <= FEW and log_likelihoods.shape[0] > 1
    ahead, back = _IN_ONE_KERNEL if small else (forward, _backward)
    log_scales, alpha, pull = ahead(start, later, log_likelihoods)
    return log_scales, alpha, *back(earlier, alpha, pull, live)


def forward(
    start: Float[Array, "K B"], later: Array, log_likelihoods: Float[Array, "T K B"]
) -> tuple[Float[Array, "T B"], Float[Array, "T K B"], Float[Array, "T K B"]]:
    """Log scales, filtered probabilities and ``b / c``; ``later`` is the common transition, or that from each step to the next."""
    tiny = jnp.finfo(start.dtype).tiny
    varying = later.ndim == 4

    # The carry is the prediction of the step, so the first step is not special, and no concatenation is needed.
    def step(predicted: Array, now: tuple[Array, Any]) -> tuple[Array, tuple[Array, Array, Array]]:
        log_likelihood, transition = now
        highest = _largest(jnp.where(predicted > tiny, log_likelihood, -jnp.inf), 0)
        highest = jax.lax.stop_gradient(jnp.where(highest > -jnp.inf, highest, 0.0))
        # The bound matters for unreachable states only.
        b = jnp.exp(jnp.minimum(log_likelihood - highest, 80.0))
        joint = predicted * b
        c = _sum(joint, 0)
        # XLA computes a quotient of selects once; for a select of quotients it would recompute the sum for every state.
        share = jnp.where(c > tiny, 1.0, 0.0) / jnp.where(c > tiny, c, 1.0)
        alpha = joint * share
        return push(transition if varying else later, alpha), (jnp.log(c) + highest, alpha, b * share)

    return jax.lax.scan(step, start, (log_likelihoods, later if varying else None))[1]


def _backward(
    earlier: Array, alpha: Float[Array, "T K B"], pull: Float[Array, "T K B"], live: Bool[Array, "T B"] | None
) -> tuple[Float[Array, "T K B"], Float[Array, "T K B"]]:
    """Smoothed probabilities and `Messages.seen`; ``earlier`` is the common transition, or that to each step from the one before."""
    varying = earlier.ndim == 4

    def step(beta: Array, now: tuple[Array, Array, Any, Any]) -> tuple[Array, tuple[Array, Array]]:
        alpha, pull, transition, alive = now
        seen = bounded(pull * beta)
        before = pull_back(transition if varying else earlier, seen)
        return before if alive is None else jnp.where(alive, before, 1.0), (alpha * beta, seen)

    steps = (alpha, pull, earlier if varying else None, live)
    return jax.lax.scan(step, jnp.ones_like(alpha[0]), steps, reverse=True)[1]


_IN_ONE_KERNEL = one_kernel(forward), one_kernel(_backward)


def _associative(
    initial: Array, transition: Array, log_likelihoods: Array, live: Array | None
) -> tuple[Array, Array, Array, Array]:
    """Parallel scans of matrix products (Särkkä and García-Fernández 2021), in log space, normalising each product."""
    states = initial.shape[0]
    log_transition = jnp.log(transition[..., None] if transition.ndim == 2 else transition)
    factors = ending = log_transition + log_likelihoods[1:, None]
    if live is not None:
        identity = jnp.log(jnp.eye(states, dtype=factors.dtype))[None, ..., None]
        ending = jnp.where(live[1:, None, None], factors, identity)

    def product(a: Array, b: Array) -> Array:
        joined = logsumexp(a[:, :, :, None] + b[:, None], 2)
        # Only ratios between states are needed; without normalisation the sum over steps would cancel them in rounding.
        return joined - _finite(jax.lax.stop_gradient(jnp.max(joined, (1, 2), keepdims=True)))

    forward = jax.lax.associative_scan(product, factors)
    backward = jax.lax.associative_scan(lambda a, b: product(b, a), ending, reverse=True)
    joint = jnp.log(initial) + log_likelihoods[0]
    scale = logsumexp(joint, 0)
    alpha = jnp.concatenate([joint[None], logsumexp(joint[:, None] + forward, 1)])
    alpha = alpha - _finite(logsumexp(alpha, 1, keepdims=True))
    scales = logsumexp(logsumexp(alpha[:-1, :, None] + log_transition, 1) + log_likelihoods[1:], 1)
    log_scales = jnp.concatenate([scale[None], scales])
    beta = jnp.concatenate([logsumexp(backward, 2), jnp.zeros_like(joint)[None]])
    beta = beta - _finite(logsumexp(alpha + beta, 1, keepdims=True))
    pull = jnp.where(jnp.isfinite(log_scales)[:, None], log_likelihoods - log_scales[:, None], -jnp.inf)
    alpha, pull, beta = (bounded(jnp.exp(x)) for x in (alpha, pull, beta))
    return log_scales, alpha, alpha * beta, bounded(pull * beta)


def _finite(x: Array) -> Array:
    return jnp.where(jnp.isfinite(x), x, 0.0)


def bounded(x: Array) -> Array:
    """Bound the likelihood of unreachable states, since zero times infinity would spoil sums."""
    return jnp.minimum(x, jnp.finfo(x.dtype).max ** 0.75)
