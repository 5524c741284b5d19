"""Parts b and c: EM with normal emissions of full covariance, against dynamax and hmmlearn."""

import logging
from itertools import count

import jax
import jax.numpy as jnp
import numpy as np
from dynamax.hidden_markov_model import GaussianHMM
from hmmlearn import hmm as hmmlearn

import jaxlatent as jl
from benchmarks.hidden_markov import simulate
from benchmarks.hidden_markov.measure import alternate, called, clock, compiled, entries

SEQUENCES, STEPS, STATES, DIM, ITERATIONS, STARTS = 50, 1000, 5, 4, 50, 20
SIZES = {"sequences": SEQUENCES, "steps": STEPS, "states": STATES, "dim": DIM, "iterations": ITERATIONS}


def run(rounds):
    """Lines of part b."""
    return iteration(rounds) + repeated(rounds)


def iteration(rounds):
    """EM at a fixed number of iterations, compiled before."""
    y = simulate.normals(1, SEQUENCES, STEPS, STATES, DIM)
    start = simulate.normal_start(2, y, STATES)
    fit = lambda: ours(y, start, jl.EM(restarts=1, max_iter=ITERATIONS, tol=0.0))
    result, (model, params, props) = fit(), dynamax(STATES, DIM, start)
    em = lambda params, y: model.fit_em(params, props, y, num_iters=ITERATIONS, verbose=False)
    # jaxlatent in a fresh process would compile in this call; it did above, so the caches are dropped first.
    jax.clear_caches()
    contenders = [
        called("jaxlatent", fit, per=int(result.statistics["n_steps"][0])),
        compiled("dynamax", em, params, jnp.asarray(y), per=ITERATIONS, target=4.0),
        called("hmmlearn", lambda: other(y, start, ITERATIONS, -1e9), per=ITERATIONS, target=9.0),
    ]
    contenders[0].facts = {"log_joint": float(result.trace[0, -1]), "iterations": contenders[0].per}
    contenders[1].facts = {"log_joint": float(contenders[1].call()[1][-1]), "iterations": ITERATIONS}
    fitted = contenders[2].call()
    contenders[2].facts = {"log_likelihood": float(fitted.monitor_.history[-1]), "iterations": fitted.monitor_.iter}
    times = alternate(contenders, rounds)
    return entries("b", "EM, an iteration", SIZES, contenders, times, "ms an iteration")


def repeated(rounds, sequences=3, steps=200, states=3, dim=2):
    """A second fit with other data of equal shapes, to the same tolerance; dynamax takes as many iterations as jaxlatent did."""
    datasets = [simulate.normals(seed, sequences, steps, states, dim, spread=3.0) for seed in range(10, 15)]
    starts = [simulate.normal_start(seed, y, states) for seed, y in enumerate(datasets)]
    engine = jl.EM(restarts=1)
    tol = engine.tol * sequences * steps
    jax.clear_caches()
    turns = {name: count() for name in ("jaxlatent", "dynamax", "hmmlearn")}
    used = {}

    def turn(name):
        i = next(turns[name]) % len(datasets)
        return i, datasets[i], starts[i]

    def fit():
        i, y, start = turn("jaxlatent")
        result = ours(y, start, engine)
        used[i] = int(result.statistics["n_steps"][0])
        return result.objective

    def fit_em():
        i, y, start = turn("dynamax")
        model, params, props = dynamax(states, dim, start)
        return model.fit_em(params, props, jnp.asarray(y), num_iters=used[i], verbose=False)

    def fit_other():
        _, y, start = turn("hmmlearn")
        return other(y, start, engine.max_iter, tol)

    contenders = [
        called("jaxlatent", fit, facts={"tol": tol}),
        called("dynamax", fit_em, target=20.0),
        called("hmmlearn", fit_other, target=1.0, facts={"tol": tol}),
    ]
    times = alternate(contenders, rounds)
    for name, one in zip(turns, contenders, strict=True):
        one.facts["median_iterations"] = {
            "hmmlearn": lambda: float(
                np.median([other(y, start, engine.max_iter, tol).monitor_.iter for y, start in zip(datasets, starts)])
            )
        }.get(name, lambda: float(np.median(list(used.values()))))()
    sizes = {"sequences": sequences, "steps": steps, "states": states, "dim": dim}
    return entries("b", "EM, a repeated fit", sizes, contenders, times, "ms a fit")


def restarts(rounds):
    """Lines of part c."""
    y = simulate.normals(1, SEQUENCES, STEPS, STATES, DIM)
    starts = simulate.normal_start(3, y, STATES, STARTS)
    fixed = lambda: ours(y, starts, jl.EM(restarts=STARTS, max_iter=ITERATIONS, tol=0.0))
    early = lambda: ours(y, starts, jl.EM(restarts=STARTS, max_iter=ITERATIONS))
    model, _, props = dynamax(STATES, DIM, jax.tree.map(lambda x: x[0], starts))
    params = jax.vmap(lambda start: dynamax(STATES, DIM, start)[1])(jax.tree.map(jnp.asarray, starts))
    em = jax.vmap(lambda params, y: model.fit_em(params, props, y, num_iters=ITERATIONS, verbose=False), (0, None))
    contenders = [
        called("jaxlatent", fixed),
        called("jaxlatent, default tol", early),
        compiled("dynamax", em, params, jnp.asarray(y), target=4.0),
    ]
    for one, fit in zip(contenders[:2], (fixed, early), strict=True):
        _, result = clock(fit)
        steps = result.statistics["n_steps"]
        one.facts = {"best_log_joint": float(np.max(result.objective)), "mean_iterations": float(np.mean(steps))}
    contenders[2].facts = {
        "best_log_joint": float(jnp.max(contenders[2].call()[1][:, -1])),
        "mean_iterations": ITERATIONS,
    }
    times = alternate(contenders, rounds)
    return entries("c", f"EM, {STARTS} starts", SIZES | {"starts": STARTS}, contenders, times)


def ours(y, start, engine):
    """`jl.fit` of the family; start with or without lanes."""
    model = jl.models.hmm(start["means"].shape[-2], jl.models.emissions.Gaussian(y.shape[-1]))
    return jl.fit(model, {"y": y}, engine, 0, init=start, progress=False)


def dynamax(states, dim, start):
    """dynamax's model, its parameters at the start, and their properties."""
    model = GaussianHMM(states, dim)
    params, props = model.initialize(
        jax.random.PRNGKey(0),
        initial_probs=jnp.asarray(start["initial_probs"]),
        transition_matrix=jnp.asarray(start["transition_matrix"]),
        emission_means=jnp.asarray(start["means"]),
        emission_covariances=jnp.asarray(start["covs"]),
    )
    return model, params, props


def other(y, start, iterations, tol):
    """hmmlearn's fit with its own settings, scaling implementation."""
    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)
    model = hmmlearn.GaussianHMM(
        len(start["means"]),
        covariance_type="full",
        implementation="scaling",
        n_iter=iterations,
        tol=tol,
        init_params="",
    )
    model.startprob_ = np.asarray(start["initial_probs"], float)
    model.transmat_ = np.asarray(start["transition_matrix"], float)
    model.startprob_ /= model.startprob_.sum()
    model.transmat_ /= model.transmat_.sum(1, keepdims=True)
    model.means_, model.covars_ = np.asarray(start["means"], float), np.asarray(start["covs"], float)
    return model.fit(y.reshape(-1, y.shape[-1]).astype(float), [y.shape[1]] * len(y))
