r"""The log likelihood of sequences under a hidden Markov model, with a custom derivative.

The gradient of the log normaliser consists of expected sufficient statistics (Fisher's identity; Baum et al. 1970): with respect to
:math:`\ell_t` it is the smoothed probabilities, and :math:`A_{ij}\,\partial \log Z / \partial A_{ij}` is the expected number of
transitions. So one forward and one backward pass give value and gradient, without autodiff through the recursion. A ``custom_jvp``,
unlike a ``custom_vjp``, serves forward mode and Hessians as well as reverse mode.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxlatent.errors import InputError, require
from jaxlatent.latent.markov.expectations import expectations, summable
from jaxlatent.latent.markov.messages import Method, choose_method, messages, push
from jaxlatent.typing import AnyArray, Array, Bool, Float


def log_normalizer(
    initial_probs: Array,
    transition_matrix: Array,
    log_likelihoods: Array,
    mask: AnyArray | None = None,
    method: Method | None = None,
) -> Array:
    """The log likelihood of every sequence, summed over all paths of states.

    Args:
        initial_probs: ``(K,)`` or ``(..., K)``.
        transition_matrix: ``(K, K)``, from row to column; or ``(..., T - 1, K, K)``, into each step after the first.
        log_likelihoods: ``(..., T, K)``, of each step in each state; leading axes are sequences.
        mask: ``(..., T)``, False where missing. Steps after the last unmasked one are past the end of the sequence: they add nothing, also
            no expected transitions. Masked log likelihoods may be anything, also NaN.
        method: "sequential" or "associative"; by default the one expected to be faster.

    Returns:
        ``(...)``.

    Raises:
        InputError: for inconsistent shapes or an unknown method.
    """
    problem = arrange(initial_probs, transition_matrix, log_likelihoods, mask, method)
    return _log_normalizer(problem.method, *problem[:4]).reshape(problem.leading)


class Problem(NamedTuple):
    """Sequences in the layout of `jaxlatent.latent.markov.messages`.

    Attributes:
        initial, transition: probabilities; ``steps`` is ``T - 1``.
        log_likelihoods: zero where masked.
        live: False past the end of a sequence.
        method: of the messages.
        leading: axes that were flattened to ``B``.
    """

    initial: Float[Array, "K #B"]
    transition: Float[Array, "K K"] | Float[Array, "steps K K #B"]
    log_likelihoods: Float[Array, "T K B"]
    live: Bool[Array, "T B"] | None
    method: Method
    leading: tuple[int, ...]


def arrange(
    initial_probs: Array, transition_matrix: Array, log_likelihoods: Array, mask: AnyArray | None, method: Method | None
) -> Problem:
    """Check shapes, promote to one type, and move sequences to the last axis. Arguments as in `log_normalizer`."""
    *leading, steps, states = log_likelihoods.shape
    _check(initial_probs, transition_matrix, log_likelihoods, mask, method)
    # Constants of a model that was written under 32 bits stay so under 64, and loops take no mixtures.
    dtype = jnp.result_type(initial_probs, transition_matrix, log_likelihoods)
    initial_probs, transition_matrix, log_likelihoods = (
        x.astype(dtype) for x in (initial_probs, transition_matrix, log_likelihoods)
    )

    def batch(x: Array, event: int) -> Array:
        """Flatten sequences to the last axis, of length 1 if all share ``x``."""
        if x.ndim > event:
            x = jnp.broadcast_to(x, (*leading, *x.shape[-event:]))
        return jnp.moveaxis(x.reshape(math.prod(x.shape[:-event]), *x.shape[-event:]), 0, -1)

    live, terms = None, batch(log_likelihoods, 2)
    if mask is not None:
        mask = jnp.broadcast_to(mask, (*leading, steps))
        # From lengths, in the layout of the messages: transposing the mask would take as long as a pass.
        lengths = jnp.max(jnp.where(mask, jnp.arange(1, steps + 1), 0), -1).ravel()
        live = jnp.arange(steps)[:, None] < lengths
        # With ``live``, which changes nothing, this is more than a transposition: XLA takes it out of the iterations of EM.
        terms = jnp.where((batch(mask, 1) & live)[:, None], terms, 0.0)
    return Problem(
        batch(initial_probs, 1),
        transition_matrix if transition_matrix.ndim == 2 else batch(transition_matrix, 3),
        terms,
        live,
        choose_method(steps, states) if method is None else method,
        tuple(leading),
    )


def _check(
    initial: Array, transition: Array, log_likelihoods: Array, mask: AnyArray | None, method: Method | None
) -> None:
    *leading, steps, states = log_likelihoods.shape
    known = (None, "sequential", "associative")
    wanted = {
        "initial_probs": (initial, f"(..., {states})", initial.shape[-1:] == (states,)),
        "transition_matrix": (
            transition,
            f"({states}, {states}) or (..., {steps - 1}, {states}, {states})",
            transition.shape == (states, states) or transition.shape[-3:] == (steps - 1, states, states),
        ),
        "mask": (
            jnp.zeros(steps) if mask is None else mask,
            f"(..., {steps})",
            mask is None or mask.shape[-1:] == (steps,),
        ),
    }
    for name, (value, expected, fits) in wanted.items():
        if not fits:
            raise InputError(
                name,
                got=f"shape {jnp.shape(value)}",
                expected=f"{expected}, for log likelihoods (..., T, K) = {(*leading, steps, states)}",
                remedy="use rows for the current state and columns for the next one.",
            )
    require(method in known, "method", got=method, expected=f"one of {known}", remedy="leave it out.")


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _log_normalizer(
    method: Method,
    initial: Float[Array, "K #B"],
    transition: Float[Array, "K K"] | Float[Array, "steps K K #B"],
    log_likelihoods: Float[Array, "T K B"],
    live: Bool[Array, "T B"] | None,
) -> Float[Array, " B"]:
    if summable(transition, log_likelihoods, method):
        return expectations(initial, transition, log_likelihoods, live).log_normalizer
    return messages(initial, transition, log_likelihoods, live, method).log_normalizer


@_log_normalizer.defjvp
def _log_normalizer_jvp(
    method: Method, primals: tuple[Array, Array, Array, Array | None], tangents: tuple[Array, Array, Array, Any]
) -> tuple[Array, Array]:
    initial, transition, log_likelihoods, live = primals
    d_initial, d_transition, d_log_likelihoods, _ = tangents
    if summable(transition, log_likelihoods, method):
        found = expectations(initial, transition, log_likelihoods, live)
        slope = jnp.sum(found.smoothed * d_log_likelihoods, (0, 1)) + jnp.sum(found.first * d_initial, 0)
        return found.log_normalizer, slope + jnp.einsum("ij,ijb->b", d_transition, found.moves)
    m = messages(initial, transition, log_likelihoods, live, method)
    slope = jnp.sum(m.smoothed * d_log_likelihoods, (0, 1)) + jnp.sum(m.seen[0] * d_initial, 0)
    if transition.ndim == 2:
        # One matrix per chunk of steps: transposed, this is a batch of small products, up to eight times as fast as one long product.
        left, entered = _in_chunks(m.alpha), _in_chunks(m.seen, 1)
        d_transition = jnp.broadcast_to(d_transition, (left.shape[0], *transition.shape))
        pushed = jnp.einsum("nij,nis->njs", d_transition, left) * entered
        return m.log_normalizer, slope + jnp.sum(pushed.reshape(*pushed.shape[:2], -1, slope.size), (0, 1, 2))
    return m.log_normalizer, slope + jnp.sum(push(d_transition, m.alpha[:-1]) * m.seen[1:], (0, 1))


def _in_chunks(x: Array, skip: int = 0) -> Array:
    """Reshape ``(T, K, B)`` without its first ``skip`` steps to chunks ``(T / n, K, n B)`` with ``n B`` about 64, padded with zeros."""
    steps, states, sequences = x.shape
    each = max(1, 64 // sequences)
    number = -(-steps // each)
    zero = jnp.zeros((), x.dtype)
    filled = jax.lax.pad(x, zero, ((-skip, number * each - steps + skip, 0), (0, 0, 0), (0, 0, 0)))
    return jnp.moveaxis(filled.reshape(number, each, states, sequences), 1, 2).reshape(number, states, each * sequences)
