"""Data of every part, from fixed seeds."""

import numpy as np


def paths(rng, sequences, steps, transition):
    """Hidden paths ``(sequences, steps)`` that start anywhere."""
    states = np.empty((sequences, steps), int)
    states[:, 0] = rng.integers(len(transition), size=sequences)
    upper = np.cumsum(transition, 1)
    for t in range(1, steps):
        above = rng.random(sequences)[:, None] > upper[states[:, t - 1]]
        states[:, t] = np.minimum(above.sum(1), len(transition) - 1)
    return states


def sticky(num_states, stay=0.95):
    """A transition matrix that stays with probability ``stay``."""
    return np.full((num_states, num_states), (1 - stay) / (num_states - 1)) + np.eye(num_states) * (
        stay - (1 - stay) / (num_states - 1)
    )


def chain(seed, sequences, steps, num_states):
    """Initial probabilities, transition matrix and log likelihoods, all float32."""
    rng = np.random.default_rng(seed)
    initial = rng.dirichlet(np.ones(num_states))
    transition = rng.dirichlet(np.ones(num_states), num_states)
    log_likelihoods = rng.normal(-1.0, 1.5, (sequences, steps, num_states))
    return tuple(x.astype(np.float32) for x in (initial, transition, log_likelihoods))


def normals(seed, sequences, steps, num_states, dim, spread=2.0):
    """Observations ``(sequences, steps, dim)`` of normal states with full covariances."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0.0, spread, (num_states, dim))
    roots = np.tril(rng.normal(0.0, 0.3, (num_states, dim, dim)), -1) + np.eye(dim)
    states = paths(rng, sequences, steps, sticky(num_states))
    noise = np.einsum("stij,stj->sti", roots[states], rng.normal(size=(sequences, steps, dim)))
    return (means[states] + noise).astype(np.float32)


def normal_start(seed, y, num_states, lanes=None):
    """Parameters to start EM from: observations drawn as means, the covariance of all, states that last; with or without lanes."""
    rng = np.random.default_rng(seed)
    flat = y.reshape(-1, y.shape[-1])
    leading = () if lanes is None else (lanes,)
    repeat = lambda x: np.broadcast_to(x, (*leading, *x.shape)).astype(np.float32)
    return {
        "initial_probs": repeat(np.full(num_states, 1 / num_states)),
        "transition_matrix": repeat(sticky(num_states, 0.9)),
        "means": flat[rng.integers(len(flat), size=(*leading, num_states))],
        "covs": repeat(np.broadcast_to(np.cov(flat.T).reshape(y.shape[-1:] * 2), (num_states, *y.shape[-1:] * 2))),
    }


def regression(seed, sessions, steps, num_inputs, num_states, binary):
    """Inputs, responses, and a start about halfway to what they came from."""
    rng = np.random.default_rng(seed)
    weights, biases = rng.normal(0.0, 1.5, (num_states, num_inputs)), rng.normal(0.0, 0.5, num_states)
    x = rng.normal(size=(sessions, steps, num_inputs))
    states = paths(rng, sessions, steps, sticky(num_states))
    eta = np.einsum("sti,sti->st", x, weights[states]) + biases[states]
    y = rng.random(eta.shape) < 1 / (1 + np.exp(-eta)) if binary else eta + rng.normal(0.0, 0.7, eta.shape)
    start = {
        "initial_probs": np.full(num_states, 1 / num_states),
        "transition_matrix": sticky(num_states, 0.9),
        "weights": 0.3 * weights + rng.normal(0.0, 0.3, weights.shape),
        "biases": np.zeros(num_states),
    }
    if not binary:
        start["covs"] = np.ones(num_states)
    to32 = lambda value: np.asarray(value, np.float32)
    data = {"x": to32(x), "y": y.astype(np.int32) if binary else to32(y)}
    return data, {name: to32(value) for name, value in start.items()}
