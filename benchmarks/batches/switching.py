"""Part d: two hundred switching regressions by EM from ten starts in one call, against dynamax and against `jl.fit` one by one."""

import jax
import jax.numpy as jnp
import numpy as np
from dynamax.hidden_markov_model import LinearRegressionHMM

import jaxlatent as jl
from benchmarks.hidden_markov.simulate import paths
from benchmarks.measure import alternate, called, entries

DATASETS, SEQUENCES, STEPS, RESTARTS, ITERATIONS = 200, 10, 100, 10, 50
SIZES = {
    "datasets": DATASETS,
    "sequences": SEQUENCES,
    "steps": STEPS,
    "states": 3,
    "restarts": RESTARTS,
    "iterations": ITERATIONS,
}
#: How many datasets each loop goes through in a turn. `fit_em` compiles anew at each call, that is for every start.
ONE_BY_ONE, COMPILED_ONCE, AS_DOCUMENTED = 40, 10, 1
#: The truth that every dataset is drawn from.
WEIGHTS, BIASES, VARIANCES = np.array([1.0, -0.8, 0.2]), np.array([2.0, 0.0, -1.0]), np.array([1.0, 0.8, 1.5])
TRANSITIONS = np.array([[0.5, 0.4, 0.1], [0.1, 0.5, 0.4], [0.4, 0.1, 0.5]])
#: As in dynamax: a Dirichlet prior of concentration 1.1 on the chain, none on the emissions.
MODEL = jl.models.hmm(3, jl.models.emissions.LinearRegression(1, prior_scale=None, variance_shape=None))
#: ``tol=0``: every start runs all iterations, as those of dynamax do.
ENGINE = jl.EM(restarts=RESTARTS, max_iter=ITERATIONS, tol=0.0)
PEER = LinearRegressionHMM(3, 1, 1)


def run(rounds):
    datasets = [dataset(seed) for seed in range(DATASETS)]
    batch, starts = jl.batch(datasets), [PEER.initialize(key) for key in jax.random.split(jax.random.key(0), RESTARTS)]
    apart = nats_apart(datasets[0], starts[0])
    fit = lambda data, engine=ENGINE: jl.fit(MODEL, data, engine, 0, progress=False)
    em = lambda params, y, x: PEER.fit_em(params, starts[0][1], y, x, num_iters=ITERATIONS, verbose=False)
    together = jax.jit(jax.vmap(em, (0, None, None)))
    stacked = jax.tree.map(lambda *params: jnp.stack(params), *(params for params, _ in starts))
    contenders = [
        called("jaxlatent", lambda: fit(batch), per=DATASETS),
        called("jaxlatent, default tol", lambda: fit(batch, jl.EM(restarts=RESTARTS)), per=DATASETS),
        called(
            "jaxlatent, one by one",
            lambda: [fit(data) for data in datasets[:ONE_BY_ONE]],
            per=ONE_BY_ONE,
            target=5.0,
        ),
        called(
            "dynamax, compiled once, starts by vmap",
            lambda: [together(stacked, *arrays(data))[1] for data in datasets[:COMPILED_ONCE]],
            per=COMPILED_ONCE,
            target=20.0,
        ),
        called(
            "dynamax, fit_em for every start",
            lambda: [[em(params, *arrays(data))[1] for params, _ in starts] for data in datasets[:AS_DOCUMENTED]],
            per=AS_DOCUMENTED,
            target=20.0,
        ),
    ]
    for one in contenders[:2]:
        one.facts["iterations"] = float(np.mean(one.result.statistics["n_steps"]))
    contenders[0].facts["nats_apart"] = apart
    # Of the last iteration of the best start, of each dataset that all have fitted.
    last = lambda result: np.asarray(result.trace)[..., -1].max(-1)
    best = [
        last(contenders[0].result),
        contenders[1].result.objective.max(-1),
        [last(result) for result in contenders[2].result],
        *(np.asarray(contender.result)[..., -1].max(-1) for contender in contenders[3:]),
    ]
    for one, joint in zip(contenders, best, strict=True):
        one.facts |= {"best_log_joint": float(joint[0]), "datasets_a_turn": one.per}
        if len(joint) >= COMPILED_ONCE:
            one.facts["mean_best_log_joint"] = float(np.mean(joint[:COMPILED_ONCE]))
        one.result = None
    return entries("d", "switching regressions by EM", SIZES, contenders, alternate(contenders, rounds), "ms a dataset")


def dataset(seed):
    """Inputs ``(SEQUENCES, STEPS, 1)`` and responses ``(SEQUENCES, STEPS)``."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.0, 10.0, (SEQUENCES, STEPS))
    states = paths(rng, SEQUENCES, STEPS, TRANSITIONS)
    y = WEIGHTS[states] * x + BIASES[states] + np.sqrt(VARIANCES[states]) * rng.normal(size=x.shape)
    return {"x": x[..., None].astype(np.float32), "y": y.astype(np.float32)}


def arrays(data):
    """Emissions and inputs as dynamax takes them."""
    return jnp.asarray(data["y"])[..., None], jnp.asarray(data["x"])


def nats_apart(data, start):
    """By how much the log joints of both differ over the first iterations from one start; an error if by more than rounding."""
    params, props = start
    named = {
        "initial_probs": params.initial.probs,
        "transition_matrix": params.transitions.transition_matrix,
        "weights": params.emissions.weights[:, 0],
        "biases": params.emissions.biases[:, 0],
        "covs": params.emissions.covs[:, 0, 0],
    }
    engine = jl.EM(restarts=1, max_iter=5, tol=0.0)
    ours = jl.fit(MODEL, data, engine, 0, init=named, progress=False).trace[0]
    theirs = np.asarray(PEER.fit_em(params, props, *arrays(data), num_iters=5, verbose=False)[1])
    apart = float(np.max(np.abs(ours - theirs)))
    if not apart <= 1e-5 * np.abs(theirs).max():
        raise RuntimeError(f"the log joints of jaxlatent {ours} and dynamax {theirs} differ")
    return apart
