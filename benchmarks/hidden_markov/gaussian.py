"""Parts b and c: EM with normal emissions of full covariance, against dynamax and hmmlearn."""

import logging
from functools import partial
from itertools import cycle

import jax
import jax.numpy as jnp
import numpy as np
from dynamax.hidden_markov_model import GaussianHMM
from hmmlearn import hmm as hmmlearn
from threadpoolctl import threadpool_limits

import jaxlatent as jl
from benchmarks.hidden_markov import simulate
from benchmarks.measure import alternate, called, compiled, entries

SEQUENCES, STEPS, STATES, DIM, ITERATIONS, STARTS = 50, 1000, 5, 4, 50, 20
#: BLAS threads by name. By default all cores; these spin, and where something else runs fits take twenty times longer.
HMMLEARN = {"hmmlearn": None, "hmmlearn, one thread": 1}
#: States overlap so much that EM still climbs after all iterations: jaxlatent stops where its log joint stands still in
#: float32, even with ``tol=0``.
SPREAD = 0.4
SIZES = {"sequences": SEQUENCES, "steps": STEPS, "states": STATES, "dim": DIM, "iterations": ITERATIONS}


def run(rounds):
    """Lines of part b."""
    return iteration(rounds) + repeated(rounds)


def iteration(rounds):
    """EM at a fixed number of iterations, compiled before."""
    y = simulate.normals(1, SEQUENCES, STEPS, STATES, DIM, SPREAD)
    start = simulate.normal_start(2, y, STATES)
    fit = lambda: ours(y, start, jl.EM(restarts=1, max_iter=ITERATIONS, tol=0.0))
    model, params, props = dynamax(STATES, DIM, start)
    em = lambda params, y: model.fit_em(params, props, y, num_iters=ITERATIONS, verbose=False)
    contenders = [
        called("jaxlatent", fit),
        compiled("dynamax", em, params, jnp.asarray(y), per=ITERATIONS, target=4.0),
        *(
            called(name, partial(other, y, start, ITERATIONS, -1e9, threads), compile_s=0.0, per=ITERATIONS, target=9.0)
            for name, threads in HMMLEARN.items()
        ),
    ]
    result, (_, joints), *fitted = (one.result for one in contenders)
    contenders[0].per = int(result.statistics["n_steps"][0])
    contenders[0].facts = {"log_joint": float(result.trace[0, contenders[0].per - 1]), "iterations": contenders[0].per}
    contenders[1].facts = {"log_joint": float(joints[-1]), "iterations": ITERATIONS}
    for one, monitor in zip(contenders[2:], (fit.monitor_ for fit in fitted), strict=True):
        one.facts = {"log_likelihood": float(monitor.history[-1]), "iterations": monitor.iter}
    times = alternate(contenders, rounds)
    return entries("b", "EM, an iteration", SIZES, contenders, times, "ms an iteration")


def repeated(rounds, sequences=3, steps=200, states=3, dim=2):
    """A second fit with other data of equal shapes, to one tolerance; dynamax takes as many iterations as jaxlatent."""
    datasets = [simulate.normals(seed, sequences, steps, states, dim, spread=3.0) for seed in range(10, 15)]
    starts = [simulate.normal_start(seed, y, states) for seed, y in enumerate(datasets)]
    engine = jl.EM(restarts=1)
    tol = engine.tol * sequences * steps
    turns = {name: cycle(range(len(datasets))) for name in ("jaxlatent", "dynamax", *HMMLEARN)}
    used = {name: {} for name in turns}

    def fit():
        i = next(turns["jaxlatent"])
        result = ours(datasets[i], starts[i], engine)
        used["jaxlatent"][i] = int(result.statistics["n_steps"][0])

    def fit_em():
        i = next(turns["dynamax"])
        used["dynamax"][i] = used["jaxlatent"][i]
        model, params, props = dynamax(states, dim, starts[i])
        return model.fit_em(params, props, jnp.asarray(datasets[i]), num_iters=used["dynamax"][i], verbose=False)

    def fit_other(name):
        i = next(turns[name])
        used[name][i] = other(datasets[i], starts[i], engine.max_iter, tol, HMMLEARN[name]).monitor_.iter

    contenders = [
        called("jaxlatent", fit, facts={"tol_nats": tol}),
        called("dynamax", fit_em, target=20.0),
        *(
            called(name, partial(fit_other, name), compile_s=0.0, target=1.0, facts={"tol_nats": tol})
            for name in HMMLEARN
        ),
    ]
    times = alternate(contenders, rounds)
    for one in contenders:
        one.facts["iterations"] = float(np.median(list(used[one.name].values())))
    sizes = {"sequences": sequences, "steps": steps, "states": states, "dim": dim}
    return entries("b", "EM, a repeated fit", sizes, contenders, times, "ms a fit")


def restarts(rounds):
    """Lines of part c."""
    y = simulate.normals(1, SEQUENCES, STEPS, STATES, DIM, SPREAD)
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
    for one in contenders[:2]:
        steps, joint = one.result.statistics["n_steps"], one.result.objective
        one.facts = {"best_log_joint": float(np.max(joint)), "iterations": float(np.mean(steps))}
    best = float(jnp.max(contenders[2].result[1][:, -1]))
    contenders[2].facts = {"best_log_joint": best, "iterations": ITERATIONS}
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


def other(y, start, iterations, tol, threads):
    """hmmlearn's fit with its own settings, scaling implementation, and so many BLAS threads."""
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
    with threadpool_limits(threads, "blas"):
        return model.fit(y.reshape(-1, y.shape[-1]).astype(float), [y.shape[1]] * len(y))
