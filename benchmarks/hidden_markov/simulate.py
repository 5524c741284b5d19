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
    """Where EM starts, with or without lanes: observations drawn as means, the covariance of all, states that last."""
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


#: Three states of four inputs, the stimulus first, and a bias: a subject is engaged, leaning left or leaning right, as
#: mice are in Ashwood et al. (2022, doi:10.1038/s41593-021-01007-z).
WEIGHTS = np.array([[5.0, 0.5, 0.3, 0.2], [1.0, 0.2, 0.8, 0.3], [1.0, 0.2, 0.8, 0.3]])
BIASES = np.array([0.0, -2.0, 2.0])


def regression(seed, sessions, steps, binary, noise=6.0):
    """Inputs, responses, and a start as Ashwood et al. choose it: one regression for all states, plus noise of sd 0.2.

    Responses are choices, or the linear predictor plus ``noise``.
    """
    rng = np.random.default_rng(seed)
    num_states, num_inputs = WEIGHTS.shape
    x = rng.normal(size=(sessions, steps, num_inputs))
    states = paths(rng, sessions, steps, sticky(num_states, 0.97))
    eta = np.einsum("sti,sti->st", x, WEIGHTS[states]) + BIASES[states]
    y = rng.random(eta.shape) < 1 / (1 + np.exp(-eta)) if binary else eta + noise * rng.normal(size=eta.shape)
    pooled = pooled_fit(np.c_[x.reshape(-1, num_inputs), np.ones(x[..., 0].size)], y.ravel().astype(float), binary)
    coefficients = pooled + rng.normal(0.0, 0.2, (num_states, num_inputs + 1))
    start = {
        "initial_probs": np.full(num_states, 1 / num_states),
        "transition_matrix": sticky(num_states, 0.9),
        "weights": coefficients[:, :-1],
        "biases": coefficients[:, -1],
    }
    if not binary:
        start["covs"] = np.full(num_states, np.var(y))
    to32 = lambda value: np.asarray(value, np.float32)
    data = {"x": to32(x), "y": y.astype(np.int32) if binary else to32(y)}
    return data, {name: to32(value) for name, value in start.items()}


def pooled_fit(x, y, binary):
    """Coefficients of one logistic (ten Newton steps) or linear regression."""
    if not binary:
        return np.linalg.lstsq(x, y)[0]
    coefficients = np.zeros(x.shape[1])
    for _ in range(10):
        mean = 1 / (1 + np.exp(-x @ coefficients))
        coefficients += np.linalg.solve((x.T * (mean * (1 - mean))) @ x, x.T @ (y - mean))
    return coefficients
