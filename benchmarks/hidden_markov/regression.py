"""Part d: GLM-HMMs against dynamax's: Bernoulli until equally good, linear an iteration."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from dynamax.hidden_markov_model import LinearRegressionHMM, LogisticRegressionHMM

import jaxlatent as jl
from benchmarks.hidden_markov import simulate
from benchmarks.measure import alternate, called, compiled, entries
from jaxlatent.models import emissions, hmm

SESSIONS, STEPS = 40, 500
STATES, INPUTS = simulate.WEIGHTS.shape
SIZES = {"sessions": SESSIONS, "steps": STEPS, "inputs": INPUTS, "states": STATES}
#: Iterations that both are given to get as high as they can, and those of the linear regressions.
GENEROUS, ITERATIONS = 200, 25


def run(rounds):
    """Lines of both cases."""
    return bernoulli(rounds) + linear(rounds)


def bernoulli(rounds):
    """Seconds to the highest log joint that both reach, less 0.1 nat.

    The log joints differ by the constant of dynamax's almost flat prior of the weights, which the common start tells.
    """
    data, start = simulate.regression(5, SESSIONS, STEPS, binary=True)
    model = hmm(STATES, emissions.BernoulliRegression(INPUTS, prior_scale=None))
    peer, params, props = dynamax(LogisticRegressionHMM(STATES, INPUTS), start)
    x, y = map(jnp.asarray, (data["x"], data["y"]))
    fit = lambda n: jl.fit(model, data, jl.EM(restarts=1, max_iter=n, tol=0.0), 0, init=start, progress=False)
    em = lambda params, y, x, n: peer.fit_em(params, props, y, x, num_iters=n, verbose=False)
    trace = fit(GENEROUS).trace[0]
    trace = trace[np.isfinite(trace)]
    theirs = np.asarray(jax.jit(em, static_argnums=3)(params, y, x, GENEROUS)[1])
    theirs = theirs - theirs[0] + trace[0]
    goal = min(trace.max(), theirs.max()) - 0.1
    ours_n, theirs_n = (max(int(np.argmax(path >= goal)), 1) for path in (trace, theirs))
    contenders = [
        called("jaxlatent", lambda: fit(ours_n).objective),
        compiled("dynamax", partial(em, n=theirs_n), params, y, x, target=10.0),
    ]
    for one, n, path in zip(contenders, (ours_n, theirs_n), (trace, theirs), strict=True):
        one.facts = {"iterations": n, "goal_log_joint": float(goal), "highest_log_joint": float(path.max())}
    times = alternate(contenders, rounds)
    return entries("d", "Bernoulli GLM-HMM, to equal fit", SIZES, contenders, times, "ms to the goal")


def linear(rounds):
    """An iteration, at a fixed number of them."""
    data, start = simulate.regression(6, SESSIONS, STEPS, binary=False)
    flat = emissions.LinearRegression(INPUTS, prior_scale=None, variance_shape=None)
    model, engine = hmm(STATES, flat), jl.EM(restarts=1, max_iter=ITERATIONS, tol=0.0)
    fit = lambda: jl.fit(model, data, engine, 0, init=start, progress=False)
    peer, params, props = dynamax(LinearRegressionHMM(STATES, INPUTS, 1), start)
    em = lambda params, y, x: peer.fit_em(params, props, y, x, num_iters=ITERATIONS, verbose=False)
    x, y = jnp.asarray(data["x"]), jnp.asarray(data["y"])[..., None]
    contenders = [called("jaxlatent", fit), compiled("dynamax", em, params, y, x, per=ITERATIONS, target=3.0)]
    result = contenders[0].result
    contenders[0].per = int(result.statistics["n_steps"][0])
    contenders[0].facts = {"iterations": contenders[0].per, "log_joint": float(result.trace[0, -1])}
    contenders[1].facts = {"iterations": ITERATIONS, "log_joint": float(contenders[1].result[1][-1])}
    times = alternate(contenders, rounds)
    sizes = SIZES | {"iterations": ITERATIONS}
    return entries("d", "linear GLM-HMM, an iteration", sizes, contenders, times, "ms an iteration")


def dynamax(model, start):
    """A dynamax model, its parameters at the start, and their properties."""
    start = jax.tree.map(jnp.asarray, start)
    own = {"emission_weights": start["weights"], "emission_biases": start["biases"]}
    if "covs" in start:
        own = {
            "emission_weights": start["weights"][:, None],
            "emission_biases": start["biases"][:, None],
            "emission_covariances": start["covs"][:, None, None],
        }
    chain = {name: start[name] for name in ("initial_probs", "transition_matrix")}
    params, props = model.initialize(jax.random.PRNGKey(0), **chain, **own)
    return model, params, props
