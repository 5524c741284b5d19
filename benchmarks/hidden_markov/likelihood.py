"""Part a: value and gradient of the log likelihood, against autodiff through dynamax's filter."""

import jax
import jax.numpy as jnp
from dynamax.hidden_markov_model import hmm_filter

from benchmarks.hidden_markov import simulate
from benchmarks.measure import alternate, compiled, entries
from jaxlatent.latent import markov

#: (B, T, K) and the target.
CASES = {(64, 1000, 3): 3.0, (64, 1000, 8): 3.0, (1, 10000, 4): 1.4}


def ours(initial, transition, log_likelihoods):
    return jnp.sum(markov.log_normalizer(initial, transition, log_likelihoods))


def dynamax(initial, transition, log_likelihoods):
    one = lambda log_likelihoods: hmm_filter(initial, transition, log_likelihoods).marginal_loglik
    return jnp.sum(jax.vmap(one)(log_likelihoods))


def run(rounds):
    """Lines of all cases."""
    lines = []
    for (sequences, steps, states), target in CASES.items():
        args = tuple(map(jnp.asarray, simulate.chain(states, sequences, steps, states)))
        both = {"jaxlatent": ours, "dynamax": dynamax}
        contenders = [compiled(name, jax.value_and_grad(function, (0, 1, 2)), *args) for name, function in both.items()]
        contenders[1].target = target
        (value, slopes), (other, others) = (one.result for one in contenders)
        apart = [float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b))) for a, b in zip(slopes, others, strict=True)]
        contenders[0].facts = {"value": float(value), "gradients_apart": max(apart)}
        contenders[1].facts = {"value": float(other)}
        sizes = {"sequences": sequences, "steps": steps, "states": states}
        name = f"value and gradient {sequences} x {steps}, K={states}"
        lines += entries("a", name, sizes, contenders, alternate(contenders, rounds, calls=5))
    return lines
