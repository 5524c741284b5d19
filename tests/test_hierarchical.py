"""Hierarchical families against quadrature, their own base family group by group, and calibration."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
import scipy

import jaxlatent as jl

GROUPS, STATES, INPUTS = 4, 2, 2
LOGISTIC = jl.models.emissions.BernoulliRegression(INPUTS)
BASE = jl.models.hmm(STATES, LOGISTIC)
MODEL = jl.models.hierarchical(BASE, "animal", GROUPS)


def simulated(groups, sequences, steps, seed, spread=0.5, states=STATES, inputs=INPUTS):
    """Sessions of animals whose weights differ by ``spread``; states last for thirty trials."""
    rng = np.random.default_rng(seed)
    weights = np.stack([np.linspace(4.0, 0.5, states), np.linspace(-0.5, 1.5, states)], 1)[:, :inputs]
    own = weights + spread * rng.normal(size=(groups, *weights.shape))
    animal = np.repeat(np.arange(groups), sequences)
    y, x = [], []
    for a in animal:
        length = rng.integers(steps // 2, steps + 1)
        state = np.cumsum(rng.random(length) < 1 / 30) % states
        x.append(rng.normal(size=(length, inputs)))
        y.append((rng.random(length) < 1 / (1 + np.exp(-np.sum(own[a, state] * x[-1], 1)))).astype(int))
    return {"y": y, "x": x, "animal": animal}, own


@pytest.fixture(scope="module")
def data():
    return simulated(GROUPS, 3, 80, 0)[0]


@pytest.fixture(scope="module")
def em(data):
    return jl.fit(MODEL, data, jl.EM(restarts=4), 0)


def test_every_group_has_the_likelihood_of_the_base_family_at_its_own_weights(em, data):
    params = em.best().params
    term = em.best().log_likelihood()["y"]
    for animal in range(GROUPS):
        mine = np.flatnonzero(data["animal"] == animal)
        one = {"y": [data["y"][i] for i in mine], "x": [data["x"][i] for i in mine]}
        posterior = jl.condition(BASE, one)
        own = {name: params[f"animal_{name}"][animal] for name in ("weights", "biases")}
        own |= {name: params[name] for name in ("initial_probs", "transition_matrix")}
        expected = posterior.density.log_likelihood(jax.tree.map(jnp.asarray, own), posterior.data)["y"]
        np.testing.assert_allclose(term[mine], expected, rtol=2e-5)


def test_em_never_decreases_its_objective_and_ends_where_no_newton_step_gains(em):
    assert (em.status == jl.Status.CONVERGED).all()
    trace = em.trace.reshape(len(em.objective), -1)
    steps = np.diff(trace, axis=1)
    assert np.nanmin(steps) > -1e-5 * np.abs(em.objective).max()
    assert em.agreeing() >= 2


@pytest.mark.parametrize("family", ["logistic", "Poisson"])
def test_em_of_one_state_is_near_the_maximum_of_the_marginal_likelihood_by_quadrature(family):
    """Fifty groups of a regression on one input without an intercept: the integral over each group's weight is of one dimension."""
    rng = np.random.default_rng(1)
    groups, rows, scale = 50, 30, 1.0
    x = rng.normal(size=(groups, rows, 1))
    eta = (0.8 + 0.6 * rng.normal(size=(groups, 1))) * x[..., 0]
    y = rng.random(eta.shape) < 1 / (1 + np.exp(-eta)) if family == "logistic" else rng.poisson(np.exp(0.5 * eta))
    eta = eta if family == "logistic" else 0.5 * eta
    emissions = jl.models.emissions
    emission = (emissions.BernoulliRegression if family == "logistic" else emissions.PoissonRegression)(
        1, prior_scale=2.0, bias=False
    )
    model = jl.models.hierarchical(jl.models.hmm(1, emission), "group", groups, scale)
    data = {"y": y.astype(int), "x": x, "group": np.arange(groups)}
    fitted = jl.fit(model, data, jl.EM(restarts=1, tol=1e-8, max_iter=2000), 0).best()
    spread = np.sqrt(
        np.mean(x**2)
    )  # the prior of scales is per standard deviation of the input; without intercept about zero
    nodes, logs = np.polynomial.hermite_e.hermegauss(60)

    def loss(free):
        mu, s = free[0], np.exp(free[1])
        w = mu + s * nodes
        lines = x[..., 0, None] * w
        d = (
            scipy.stats.bernoulli(scipy.special.expit(lines))
            if family == "logistic"
            else scipy.stats.poisson(np.exp(lines))
        )
        terms = d.logpmf(y[..., None].astype(int)).sum(1)
        marginal = scipy.special.logsumexp(terms + np.log(logs / logs.sum()), axis=1).sum()
        prior = scipy.stats.norm(0, 2.0).logpdf(mu) + scipy.stats.rayleigh(scale=scale / spread).logpdf(s)
        return -marginal - prior

    best = scipy.optimize.minimize(loss, [0.5, -0.5], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    mu, s = best.x[0], np.exp(best.x[1])
    # What is left is the error of Laplace's approximation, which for these is of a hundredth.
    np.testing.assert_allclose(fitted.params["weights"].item(), mu, rtol=0.03)
    np.testing.assert_allclose(fitted.params["weights_scale"].item(), s, rtol=0.03)
    initial = float(dist.Dirichlet(jnp.full(1, 1.1)).log_prob(jnp.ones(1)))
    assert abs(fitted.objective - initial * 2 + best.fun) < 0.05 * groups * 0.2


def test_padding_and_the_order_of_sequences_change_nothing(em, data):
    engine = jl.EM(restarts=1, max_iter=20, tol=0)
    start = {name: value for name, value in em.best().params.items()}
    whole = jl.fit(MODEL, data, engine, 0, init=start)
    order = np.random.default_rng(0).permutation(len(data["animal"]))
    shuffled = {"y": [data["y"][i] for i in order], "x": [data["x"][i] for i in order], "animal": data["animal"][order]}
    length = 100
    mask = np.array([np.arange(length) < len(y) for y in data["y"]])
    fill = lambda values: np.stack([np.pad(v, [(0, length - len(v)), *[(0, 0)] * (v.ndim - 1)]) for v in values])
    padded = {"y": jl.Masked(fill(data["y"]), mask), "x": fill(data["x"]), "animal": data["animal"]}
    for other in (shuffled, padded):
        again = jl.fit(MODEL, other, engine, 0, init=start)
        np.testing.assert_allclose(again.objective, whole.objective, rtol=1e-5)
        np.testing.assert_allclose(again.params["animal_weights"], whole.params["animal_weights"], rtol=2e-3, atol=2e-3)


def test_units_and_origin_of_the_inputs_change_nothing(data):
    engine = jl.EM(restarts=2, max_iter=50)
    factor, origin = np.array([1e3, 0.1]), np.array([0.0, 20.0])
    moved = {**data, "x": [x * factor + origin for x in data["x"]]}
    here, there = jl.fit(MODEL, data, engine, 0), jl.fit(MODEL, moved, engine, 0)
    shift = (
        GROUPS * STATES * np.log(factor).sum() + STATES * np.log(factor).sum() * 2
    )  # densities of weights and scales
    np.testing.assert_allclose(
        here.best().params["animal_weights"], there.best().params["animal_weights"] * factor, rtol=0.02, atol=0.02
    )
    assert shift > 0


def test_a_batch_is_a_loop(data):
    other, _ = simulated(GROUPS, 3, 80, 5)
    engine = jl.EM(restarts=2, max_iter=30, tol=0)
    both = jl.fit(MODEL, jl.batch([data, other]), engine, 0)
    assert both.params["animal_weights"].shape == (2, 2, GROUPS, STATES, INPUTS)
    start = {name: value[0] for name, value in both.params.items()}
    alone = jl.fit(MODEL, data, jl.EM(restarts=2, max_iter=1, tol=0), 0, init=start)
    again = jl.fit(MODEL, jl.batch([data, other]), jl.EM(restarts=2, max_iter=1, tol=0), 0, init=both.params)
    np.testing.assert_allclose(again.objective[0], alone.objective, rtol=1e-5)


def test_new_animals_are_drawn_from_the_population(em, data):
    """Predictions of an animal that was not in the data; its mean choice is that of drawn coefficients, by hand."""
    draws = jl.fit(MODEL, data, jl.NUTS(chains=1, warmup=150, draws=150), 1, init=em)
    x = np.zeros((1, 400, INPUTS))
    new = {"x": x, "animal": np.array([GROUPS])}
    with pytest.raises(jl.InputError, match="animal"):
        draws.predict(2, new)
    seen = draws.predict(2, new, new_levels=True)["y"][0, :, 0].mean(1)
    assert draws.params["animal_weights"].shape[2] == GROUPS
    # At x = 0 the choice depends on biases alone, which are new in every draw: far more spread than the 20 % of binomial noise.
    p = {name: value[0] for name, value in draws.params.items()}
    centre = np.concatenate(data["x"]).mean(0)
    rng = np.random.default_rng(0)
    weights = p["weights"] + p["weights_scale"] * rng.normal(size=p["weights"].shape)
    biases = p["biases"] + (p["weights"] - weights) @ centre + p["biases_scale"] * rng.normal(size=p["biases"].shape)
    stationary = np.array([np.linalg.matrix_power(m, 500)[0] for m in p["transition_matrix"].astype(float)])
    expected = np.sum(stationary / (1 + np.exp(-biases)), 1)
    error = np.sqrt(seen.var() / 150 + expected.var() / 150)
    assert abs(seen.mean() - expected.mean()) < 5 * error
    assert 0.4 < seen.std() / expected.std() < 2.5


@pytest.mark.parametrize("seed", range(3))
def test_animals_with_few_trials_are_predicted_better_than_pooled_or_alone(seed):
    data, _ = simulated(12, 3, 100, seed, spread=0.8)
    model = jl.models.hierarchical(BASE, "animal", 12)
    engine, folds = jl.EM(restarts=5), np.tile(np.arange(3), 12)
    pooled = jl.cross_validate(BASE, {"y": data["y"], "x": data["x"]}, engine, 0, folds=folds)
    partial = jl.cross_validate(model, data, engine, 0, folds=folds)
    one = lambda a: {name: [data[name][i] for i in np.flatnonzero(data["animal"] == a)] for name in ("y", "x")}
    separate = jl.cross_validate(BASE, jl.batch([one(a) for a in range(12)]), engine, 0, folds=np.arange(3))
    assert partial.bits > pooled.bits
    assert partial.bits > separate.bits


def test_the_population_is_recovered():
    data, own = simulated(20, 6, 100, 3)
    best = jl.fit(jl.models.hierarchical(BASE, "animal", 20), data, jl.EM(restarts=5), 0).best()
    order = np.argsort(-best.params["weights"][:, 0])
    own_error = best.params["animal_weights"][:, order] - own
    pooled_error = own.mean(0) - own
    assert np.sqrt((own_error**2).mean()) < 0.8 * np.sqrt((pooled_error**2).mean())
    np.testing.assert_allclose(best.params["weights"][order], own.mean(0), atol=0.5)


def test_names_of_groups_and_inputs_reach_the_results():
    data, _ = simulated(GROUPS, 3, 80, 0)
    rows = [
        (f"mouse {a}", i, *x, y)
        for i, a in enumerate(data["animal"])
        for x, y in zip(data["x"][i], data["y"][i], strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["animal", "session", "stimulus", "previous", "choice"])
    trials = jl.sequences(frame, sequence="session", group="animal", y="choice", x=["stimulus", "previous"])
    found = jl.fit(MODEL, trials, jl.EM(restarts=1, max_iter=3), 0).to_arviz()
    effects = found["posterior"]["animal_weights"]
    assert effects.dims[-3:] == ("animal", "state", "input")
    assert list(effects.coords["animal"].values) == [f"mouse {a}" for a in range(GROUPS)]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"animal": np.zeros((12, 80), int)}, "one integer for each sequence"),
        ({"animal": np.zeros(12)}, "float"),
        ({"animal": np.repeat(np.arange(4), 3) + 1}, "from 1 to 4 into an axis of length 4"),
    ],
)
def test_wrong_groups_are_refused(data, change, match):
    with pytest.raises(jl.InputError, match=match):
        jl.fit(MODEL, {**data, **change}, jl.EM(restarts=1), 0)
    with pytest.raises(jl.InputError, match="animal"):
        jl.fit(MODEL, {"y": data["y"], "x": data["x"]}, jl.EM(restarts=1), 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: jl.models.hierarchical(jl.models.hmm(2, jl.models.emissions.Gaussian()), "animal", 3),
        lambda: jl.models.hierarchical(MODEL, "lab", 3),
        lambda: jl.models.hierarchical(BASE, "animal", 1),
        lambda: jl.models.hierarchical(BASE, "animal", 3, scale=0.0),
    ],
    ids=["no regression", "twice", "one group", "scale"],
)
def test_wrong_arguments_are_refused(make):
    with pytest.raises(jl.InputError, match="hierarchical"):
        make()


@pytest.mark.slow
def test_nuts_is_calibrated_up_to_the_names_of_the_states():
    """Ranks of what does not depend on the order of the states."""
    emission = jl.models.emissions.BernoulliRegression(1, prior_scale=1.5)
    base = jl.models.hmm(2, emission, jl.models.Stationary(stickiness=5.0))
    model = jl.models.hierarchical(base, "animal", 3, scale=0.5)
    derived = lambda p, d: {
        "scales": jnp.stack([jnp.sum(p.weights_scale**2), jnp.sum(p.biases_scale**2)]),
        "means": jnp.stack([jnp.sum(p.weights), jnp.sum(p.biases)]),
        "animals": jnp.sum(p.animal_weights, 1)[:, 0],
    }
    rng = np.random.default_rng(0)
    data = {"y": np.zeros((6, 40), int), "x": rng.normal(size=(6, 40, 1)), "animal": np.repeat(np.arange(3), 2)}
    engine = jl.NUTS(chains=2, warmup=500, draws=500, target_accept=0.95)
    found = jl.calibrate(replace(model, derived=derived), data, engine, 0, simulations=200)
    pvalues = np.concatenate([np.ravel(found.pvalues()[name]) for name in ("scales", "means", "animals")])
    assert pvalues.min() > 1e-3 / len(pvalues)
