r"""Forward and backward messages of a finite Markov chain that is seen through a likelihood.

Letters: `K` states, `T` steps, `B` sequences; :math:`\pi` the initial probabilities, :math:`A_{ij}` the transition from `i` to `j`,
:math:`\ell_t(k)` the log likelihood of what was seen at step `t` in state `k`. With :math:`b_t = e^{\ell_t - m_t}`,

.. math::
    \alpha_t = b_t \odot A_t^\top \alpha_{t-1} / c_t, \qquad
    \beta_{t-1} = A_t\,(b_t \odot \beta_t) / c_t, \qquad
    \log Z = \sum_t (\log c_t + m_t),

with :math:`c_t` such that :math:`\alpha_t` sums to one (Rabiner 1989, section V.A): probabilities, not their logarithms, because an
exponential for each pair of states is what a step costs in log space. :math:`m_t` is the largest :math:`\ell_t` among the states that
can be reached, so that an impossible state of high likelihood does no harm. A state whose filtered probability falls below the
smallest number of the float type is forgotten unless transitions lead back to it; where transitions are exactly zero and the evidence
turns by more than 80 nats, use 64 bits.

Arrays run ``(T, K, B)`` here: with the sequences innermost a step is a handful of vector instructions.
"""

from collections.abc import Callable
from functools import reduce
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from jaxlatent.markov.kernel import one_kernel
from jaxlatent.typing import Array

#: "sequential": a scan, the least work. "associative": a parallel scan of matrix products, K times the work in log T rounds.
#: "dynamax": the reference, for the likelihood only.
Method = Literal["sequential", "associative", "dynamax"]

#: So few states are written out: sums over them are additions of rows.
_FEW = 16
#: Where a GPU has so many steps and few states, the rounds of the parallel scan win over the latency of a step.
_LONG = 512


class Messages(NamedTuple):
    """Messages, ``(T, K, B)`` each.

    Attributes:
        log_scales: ``(T, B)``; their sum is the log normaliser.
        alpha: filtered probabilities.
        pull: likelihoods over normalisers, ``b_t / c_t``.
        beta: backward messages, scaled such that ``alpha * beta`` are the smoothed probabilities.
    """

    log_scales: Array
    alpha: Array
    pull: Array
    beta: Array


class Matrices(NamedTuple):
    """Transitions as the recursions meet them.

    Attributes:
        always: ``(K, K)``, where all steps share one.
        later: otherwise ``(T, K, K, B or 1)``, from each step to the next.
        earlier: and to each step from the one before.
    """

    always: Array | None
    later: Array | None
    earlier: Array | None

    def at(self, step: Array | None) -> Array:
        """The one of all steps, or of this one."""
        either = self.always if step is None else step
        assert either is not None
        return either


def choose_method(steps: int, states: int) -> Method:
    """The method that is expected to be fastest on JAX's default backend."""
    parallel = jax.default_backend() != "cpu" and steps >= _LONG and states <= _FEW
    return "associative" if parallel else "sequential"


def messages(initial: Array, transition: Array, log_likelihoods: Array, live: Array | None, method: Method) -> Messages:
    """Messages of every sequence.

    Args:
        initial: ``(K, B)`` or ``(K, 1)``.
        transition: ``(K, K)``, or ``(T - 1, K, K, B or 1)``.
        log_likelihoods: ``(T, K, B)``.
        live: ``(T, B)``: False past the end of a sequence; None where all are equally long.
        method: see `choose_method`.
    """
    run = _sequential if method == "sequential" else _associative
    return run(initial, transition, log_likelihoods, live)


def push(transition: Array, x: Array) -> Array:
    """``A' x`` for ``x`` of shape ``(..., K, B)``: one step of the chain forward."""
    if transition.ndim == 2:
        transition = transition[..., None]
    if x.shape[-2] > _FEW:
        return jnp.sum(transition * x[..., :, None, :], -3)
    return reduce(jnp.add, (transition[..., i, :, :] * x[..., i, None, :] for i in range(x.shape[-2])))


def pull_back(transition: Array, x: Array) -> Array:
    """``A x`` for ``x`` of shape ``(..., K, B)``."""
    if transition.ndim == 2:
        transition = transition[..., None]
    if x.shape[-2] > _FEW:
        return jnp.sum(transition * x[..., None, :, :], -2)
    return reduce(jnp.add, (transition[..., :, j, :] * x[..., j, None, :] for j in range(x.shape[-2])))


def _over_states(operation: Callable[[Array, Array], Array], all_at_once: Callable[..., Array], x: Array) -> Array:
    """``(..., K, B)`` to ``(..., 1, B)``."""
    if x.shape[-2] > _FEW:
        return all_at_once(x, -2, keepdims=True)
    return reduce(operation, (x[..., k, None, :] for k in range(x.shape[-2])))


def _weigh(predicted: Array, log_likelihood: Array) -> tuple[Array, Array, Array]:
    """Bayes' rule at one step: filtered probabilities, ``b / c`` and the log scale, of ``(..., K, B)`` both."""
    tiny = jnp.finfo(predicted.dtype).tiny
    highest = _over_states(jnp.maximum, jnp.max, jnp.where(predicted > tiny, log_likelihood, -jnp.inf))
    highest = jax.lax.stop_gradient(jnp.where(highest > -jnp.inf, highest, 0.0))
    # The bound matters to states that cannot be reached.
    b = jnp.exp(jnp.minimum(log_likelihood - highest, 80.0))
    joint = predicted * b
    c = _over_states(jnp.add, jnp.sum, joint)
    share = jnp.where(c > tiny, 1 / jnp.where(c > tiny, c, 1.0), 0.0)
    return joint * share, b * share, (jnp.log(c) + highest)[..., 0, :]


def _sequential(initial: Array, transition: Array, log_likelihoods: Array, live: Array | None) -> Messages:
    # The carries are what is predicted of a step before it is seen, and what is known after it: no step is special, and no array is joined.
    start = jnp.broadcast_to(initial, log_likelihoods.shape[1:])
    matrices = Matrices(transition, None, None)
    if transition.ndim == 4:
        beyond = jnp.zeros((1, *transition.shape[1:]), transition.dtype)
        matrices = Matrices(None, jnp.concatenate([transition, beyond]), jnp.concatenate([beyond, transition]))
    small = initial.shape[0] <= _FEW and log_likelihoods.shape[0] > 1 and jax.default_backend() == "cpu"
    recursions = _recursions_in_one_kernel if small else _recursions
    return Messages(*recursions(start, matrices, log_likelihoods, live))


def _recursions(
    start: Array, matrices: Matrices, log_likelihoods: Array, live: Array | None
) -> tuple[Array, Array, Array, Array]:
    def forward(predicted: Array, step: tuple[Array, Array | None]) -> tuple[Array, tuple[Array, Array, Array]]:
        log_likelihood, now = step
        weighed = _weigh(predicted, log_likelihood)
        return push(matrices.at(now), weighed[0]), weighed

    def backward(beta: Array, step: tuple[Array, Array | None, Array | None]) -> tuple[Array, Array]:
        pull, now, alive = step
        before = pull_back(matrices.at(now), bounded(pull * beta))
        if alive is not None:
            before = jnp.where(alive, before, 1.0)
        return before, beta

    alpha, pull, log_scales = jax.lax.scan(forward, start, (log_likelihoods, matrices.later))[1]
    beta = jax.lax.scan(backward, jnp.ones_like(start), (pull, matrices.earlier, live), reverse=True)[1]
    return log_scales, alpha, pull, beta


_recursions_in_one_kernel = one_kernel(_recursions)


def _associative(initial: Array, transition: Array, log_likelihoods: Array, live: Array | None) -> Messages:
    """Parallel scans of matrix products (Särkkä and García-Fernández 2021), in log space with the scale of each product dropped."""
    states = initial.shape[0]
    log_transition = jnp.log(transition[..., None] if transition.ndim == 2 else transition)
    factors = ending = log_transition + log_likelihoods[1:, None]
    if live is not None:
        nothing = jnp.log(jnp.eye(states, dtype=factors.dtype))[None, ..., None]
        ending = jnp.where(live[1:, None, None], factors, nothing)

    def product(a: Array, b: Array) -> Array:
        joined = logsumexp(a[:, :, :, None] + b[:, None], 2)
        # Only directions are needed: sums over all steps would drown what differs between states.
        return joined - _finite(jnp.max(joined, (1, 2), keepdims=True))

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
    return Messages(log_scales, *(bounded(jnp.exp(x)) for x in (alpha, pull, beta)))


def _finite(x: Array) -> Array:
    return jnp.where(jnp.isfinite(x), x, 0.0)


def bounded(x: Array) -> Array:
    """States that cannot be reached may carry a likelihood without bound; zero times infinity must not meet the sums."""
    return jnp.minimum(x, jnp.finfo(x.dtype).max ** 0.75)
