r"""What is expected of hidden labels and paths, for every distribution that hides them: the E-step, and the function that an M-step raises.

For a mixture or a hidden Markov model with parameters :math:`\theta`, the expected complete log likelihood
:math:`Q(\theta \mid \theta') = E[\log p(y, z \mid \theta) \mid y, \theta']` needs the posterior of the hidden ``z`` only
through the expected counts here (Dempster, Laird and Rubin 1977). A distribution that hides nothing is its own log density.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import logsumexp

from jaxlatent import markov
from jaxlatent.data import split
from jaxlatent.distributions.hidden_markov import HiddenMarkov
from jaxlatent.distributions.masking import feasible, masked_log_prob
from jaxlatent.typing import Array, Key

#: "exact": the posterior of labels and paths. "hard": the most likely ones. "draw": draws from the posterior.
EStep = Literal["exact", "hard", "draw"]


class Expected(NamedTuple):
    """Expected counts of what is hidden behind one observation.

    Attributes:
        log_likelihood: of the observation, whatever is hidden summed out; a scalar.
        weights: how much each value belongs to each of ``K`` components or states, ``(..., K)``; zero where masked; None where nothing
            is hidden.
        initial: of the state at the first step, ``(..., K)``; hidden Markov models only.
        transitions: from row to column, ``(..., K, K)`` or ``(..., T - 1, K, K)``; hidden Markov models only.
    """

    log_likelihood: Array
    weights: Array | None = None
    initial: Array | None = None
    transitions: Array | None = None


def expect(
    d: dist.Distribution, observation: Any, how: EStep = "exact", key: Key | None = None, draws: int = 1
) -> Expected:
    """The E-step for one observation.

    Args:
        d: its distribution at the current parameters.
        observation: an array or `jaxlatent.Masked`.
        how: see `EStep`.
        key: for "draw".
        draws: for "draw": how many paths or labels are averaged.
    """
    value, mask = split(observation)
    if isinstance(d, HiddenMarkov):
        return _expect_paths(d, value, mask, how, key, draws)
    if isinstance(d, dist.MixtureSameFamily | dist.MixtureGeneral):
        joint = _joint(d, value, mask)
        probs = jax.nn.softmax(joint, -1)
        if how == "hard":
            probs = jax.nn.one_hot(jnp.argmax(joint, -1), joint.shape[-1], dtype=joint.dtype)
        elif how == "draw":
            labels = jax.random.categorical(_required(key), joint, shape=(draws, *joint.shape[:-1]))
            probs = jnp.mean(jax.nn.one_hot(labels, joint.shape[-1], dtype=joint.dtype), 0)
        log_likelihood = logsumexp(joint, -1)
        if mask is not None:
            probs, log_likelihood = jnp.where(mask[..., None], probs, 0.0), jnp.where(mask, log_likelihood, 0.0)
        return Expected(jnp.sum(log_likelihood), probs)
    return Expected(jnp.sum(masked_log_prob(d, value, mask)))


def expected_log_prob(d: dist.Distribution, observation: Any, expected: Expected) -> Array:
    """The expected complete log likelihood of one observation, a scalar; arguments as in `expect`, ``d`` at any parameters."""
    value, mask = split(observation)
    if isinstance(d, HiddenMarkov):
        emitted = _weighted(expected.weights, d.state_log_likelihoods(value, mask))
        started = _weighted(expected.initial, jnp.log(d.initial_probs))
        return emitted + started + _weighted(expected.transitions, jnp.log(d.transition_matrix))
    if expected.weights is not None:
        return _weighted(expected.weights, _joint(d, value, mask))
    return jnp.sum(masked_log_prob(d, value, mask))


def responsibilities(d: dist.Distribution, value: Array) -> Array:
    """How likely each value came from each component of a mixture, ``(..., K)``.

    Args:
        d: a `numpyro.distributions.MixtureSameFamily` or ``MixtureGeneral``.
        value: of its batch and event shape.
    """
    return jax.nn.softmax(d.component_log_probs(value), -1)


def _joint(d: Any, value: Array, mask: Array | None) -> Array:
    """The log density of values together with each label, ``(..., K)``."""
    return d.component_log_probs(value if mask is None else feasible(d, value, mask))


def _expect_paths(
    d: HiddenMarkov, value: Array, mask: Array | None, how: EStep, key: Key | None, draws: int
) -> Expected:
    likelihoods = d.state_log_likelihoods(value, mask)
    chain = (d.initial_probs, d.transition_matrix, likelihoods, mask)
    if how == "exact":
        log_normalizer, probs, transitions = markov.smooth(*chain)
    else:
        log_normalizer = markov.log_normalizer(*chain)
        if how == "hard":
            paths = markov.most_likely_states(*chain)[0][None]
        else:
            keys = jax.random.split(_required(key), draws)
            paths = jax.vmap(lambda key: markov.sample_states(key, *chain))(keys)
        here = (paths[..., None] == jnp.arange(d.num_states)).astype(likelihoods.dtype)
        probs = jnp.mean(here, 0)
        step = "stki,stkj->stkij" if d.transition_matrix.ndim > 2 else "stki,stkj->stij"
        flat = here.reshape(draws if how == "draw" else 1, -1, *here.shape[-2:])
        transitions = jnp.mean(jnp.einsum(step, flat[:, :, :-1], flat[:, :, 1:]), 0)
        transitions = transitions.reshape(*here.shape[1:-2], *transitions.shape[1:])
    weights = probs if mask is None else jnp.where(mask[..., None], probs, 0.0)
    return Expected(jnp.sum(log_normalizer), weights, probs[..., 0, :], transitions)


def _weighted(counts: Array | None, logs: Array) -> Array:
    """The sum of counts times logarithms, where no count times minus infinity is nothing."""
    assert counts is not None
    needed = jnp.broadcast_to(counts > 0, jnp.broadcast_shapes(counts.shape, logs.shape))
    return jnp.sum(jnp.where(needed, counts * jnp.where(needed, logs, 0.0), 0.0))


def _required(key: Key | None) -> Key:
    assert key is not None, "draws need a key"
    return key
