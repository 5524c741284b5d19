"""Hierarchical families against quadrature, their own base family group by group, and calibration."""

from dataclasses import replace

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy
from often import often

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.selection import cross_validation

GROUPS, STATES, INPUTS = 4, 2, 2
LOGISTIC = jl.models.emissions.BernoulliRegression(INPUTS)
BASE = jl.models.hmm(STATES, LOGISTIC)
MODEL = jl.models.hierarchical(BASE, "animal", GROUPS)
SHORT = jl.EM(restarts=1, max_iter=20, tol=0)


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
    """From a table, whose rows are in no order."""
    made, _ = simulated(GROUPS, 3, 80, 0)
    steps = zip(made["animal"], made["x"], made["y"], strict=True)
    rows = [
        (f"mouse {animal}", session, trial, *x[trial], y[trial])
        for session, (animal, x, y) in enumerate(steps)
        for trial in range(len(y))
    ]
    frame = pd.DataFrame(rows, columns=["animal", "session", "trial", "stimulus", "previous", "choice"])
    frame = pd.concat([frame[:1], frame[1:].sample(frac=1, random_state=0)])
    columns = {"y": "choice", "x": ["stimulus", "previous"]}
    trials = jl.sequences(frame, sequence="session", group="animal", order="trial", **columns)
    return trials


@pytest.fixture(scope="module")
def em(data):
    return jl.fit(MODEL, data, jl.EM(restarts=4), 0)


@pytest.fixture(scope="module")
def draws(em, data):
    return jl.fit(MODEL, data, jl.NUTS(chains=1, warmup=150, draws=150), 1, init=em)


def test_every_group_has_the_likelihood_of_its_own_weights(em, data):
    """By the forward recursion, sequence by sequence."""
    p = {name: np.asarray(value, float) for name, value in em.best().params.items()}
    for y, x, animal, found in zip(data["y"], data["x"], data["animal"], em.best().log_likelihood()["y"], strict=True):
        eta = x @ p["animal_weights"][animal].T + p["animal_biases"][animal]
        probs = 1 / (1 + np.exp(-np.where(y[:, None] == 1, eta, -eta)))
        forward, total = p["initial_probs"] * probs[0], 0.0
        for step in probs[1:]:
            forward = (forward @ p["transition_matrix"]) * step
            total, forward = total + np.log(forward.sum()), forward / forward.sum()
        np.testing.assert_allclose(found, total, rtol=1e-4)


def test_em_never_decreases_its_objective_and_ends_where_no_newton_step_gains(em):
    assert (em.status == jl.Status.CONVERGED).all()
    trace = em.trace.reshape(len(em.objective), -1)
    steps = np.diff(trace, axis=1)
    assert np.nanmin(steps) > -1e-5 * np.abs(em.objective).max()
    assert em.agreeing() >= 2


@pytest.mark.parametrize("family", often(["logistic", "Poisson"], ["Poisson"]))
def test_em_of_one_state_is_near_the_maximum_of_the_marginal_likelihood_by_quadrature(family):
    """Regressions of one input without an intercept: the integral over each group's weight has one dimension."""
    rng = np.random.default_rng(1)
    groups, rows, scale = 40, 200, 1.0
    x = rng.normal(size=(groups, rows, 1))
    eta = (0.8 + 0.5 * rng.normal(size=(groups, 1))) * x[..., 0]
    emissions, stats = jl.models.emissions, scipy.stats
    if family == "logistic":
        emission, d = emissions.BernoulliRegression, lambda eta: stats.bernoulli(scipy.special.expit(eta))
    else:
        emission, d = emissions.PoissonRegression, lambda eta: stats.poisson(np.exp(eta))
    y = d(eta).rvs(random_state=rng)
    base = jl.models.hmm(1, emission(1, prior_scale=2.0, bias=False))
    model = jl.models.hierarchical(base, "group", groups, scale)
    fitted = jl.fit(model, {"y": y, "x": x, "group": np.arange(groups)}, jl.EM(restarts=1, tol=1e-8), 0).best()
    # The prior of the scale is per standard deviation of the input; without an intercept, about zero.
    prior = stats.rayleigh(scale=scale / np.sqrt(np.mean(x**2)))
    w = np.linspace(-2.0, 4.0, 1501)
    terms = np.stack([d(x[i] * w).logpmf(y[i, :, None]).sum(0) for i in range(groups)]) + np.log(w[1] - w[0])

    def loss(free):
        mu, s = free[0], np.exp(free[1])
        marginal = scipy.special.logsumexp(terms + stats.norm(mu, s).logpdf(w), axis=1).sum()
        return -marginal - stats.norm(0, 2.0).logpdf(mu) - prior.logpdf(s)

    best = scipy.optimize.minimize(loss, [0.8, -0.7], method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4})
    # What is left is the error of Laplace's approximation.
    np.testing.assert_allclose(fitted.params["weights"].item(), best.x[0], rtol=0.02)
    np.testing.assert_allclose(fitted.params["weights_scale"].item(), np.exp(best.x[1]), rtol=0.03)
    # The densities of the only initial and transition probability are constants.
    params = {name: jnp.asarray(value) for name, value in fitted.params.items()}
    simplex = sum(
        float(jnp.sum(base.prior_of(name, params, {}).log_prob(params[name])))
        for name in ("initial_probs", "transition_matrix")
    )
    np.testing.assert_allclose(fitted.objective, simplex - best.fun, atol=0.5)


def test_states_are_drawn_at_the_population_and_aligned_with_their_groups(em):
    best = em.best()
    axes = plots.psychometric(best, "stimulus", others="zero")
    params = best.params
    for k, line in enumerate(line for line in axes.lines if line.get_label() in ("0", "1")):
        at = np.asarray(line.get_xdata())
        logits = params["biases"][k] + params["weights"][k, 0] * at
        np.testing.assert_allclose(line.get_ydata(), 1 / (1 + np.exp(-logits)), atol=1e-4)
    plt.close("all")
    swapped = {
        name: np.flip(value, 1) if name.startswith("animal_") else np.flip(value, 0) for name, value in params.items()
    }
    swapped["transition_matrix"] = np.flip(params["transition_matrix"])
    turned = best.align(to=swapped).params
    np.testing.assert_array_equal(turned["animal_weights"], swapped["animal_weights"])
    np.testing.assert_array_equal(turned["weights_scale"], swapped["weights_scale"])


def test_there_is_no_number_of_free_parameters(em):
    with pytest.raises(jl.InputError, match="cross_validate"):
        em.criteria()


@pytest.mark.parametrize("study", ["cross_validate", "select"])
def test_a_point_fit_knows_nothing_of_groups_that_are_held_out(data, study, monkeypatch):
    """Their marginal likelihood is no likelihood at the mean of the population; in part they can be held out, and under NUTS as a whole."""
    monkeypatch.setattr(cross_validation, "fit", lambda *args, **options: pytest.fail("fitted"))
    call = (
        jl.cross_validate
        if study == "cross_validate"
        else lambda model, *rest, **options: jl.select(lambda _: model, ["one"], *rest, **options)
    )
    with pytest.raises(jl.InputError, match=r"'animal_(weights|biases)'[\s\S]*fold 0[\s\S]*jl.NUTS"):
        call(MODEL, data, SHORT, 0, by=data["animal"], folds=2)
    for engine, options in (
        (SHORT, {"folds": np.tile(np.arange(3), GROUPS)}),
        (jl.NUTS(), {"by": data["animal"], "folds": 2}),
    ):
        with pytest.raises(pytest.fail.Exception, match="fitted"):
            call(MODEL, data, engine, 0, **options)


def test_padding_and_the_order_of_sequences_change_nothing(em, data):
    start = dict(em.best().params)
    whole = jl.fit(MODEL, data, SHORT, 0, init=start)
    order = np.random.default_rng(0).permutation(len(data["animal"]))
    shuffled = {"y": [data["y"][i] for i in order], "x": [data["x"][i] for i in order], "animal": data["animal"][order]}
    length = 100
    mask = np.array([np.arange(length) < len(y) for y in data["y"]])
    fill = lambda values: np.stack([np.pad(v, [(0, length - len(v)), *[(0, 0)] * (v.ndim - 1)]) for v in values])
    padded = {"y": jl.Masked(fill(data["y"]), mask), "x": fill(data["x"]), "animal": data["animal"]}
    for other in (shuffled, padded):
        again = jl.fit(MODEL, other, SHORT, 0, init=start)
        np.testing.assert_allclose(again.objective, whole.objective, rtol=1e-5)
        np.testing.assert_allclose(again.params["animal_weights"], whole.params["animal_weights"], rtol=2e-3, atol=2e-3)


def test_units_and_origin_of_the_inputs_change_nothing(data):
    factor, origin = np.array([1e3, 0.1]), np.array([0.0, 20.0])
    moved = {**data, "x": [x * factor + origin for x in data["x"]]}
    here, there = (jl.fit(MODEL, one, SHORT, 0).best().params for one in (data, moved))
    for name in ("animal_weights", "weights", "weights_scale"):
        np.testing.assert_allclose(here[name], there[name] * factor, rtol=0.01, atol=0.01)
    levels = there["animal_biases"] + there["animal_weights"] @ origin
    np.testing.assert_allclose(here["animal_biases"], levels, rtol=0.01, atol=0.01)


def test_a_batch_is_a_loop(data):
    other, _ = simulated(GROUPS, 3, 80, 5)
    both = jl.fit(MODEL, jl.batch([data, other]), SHORT, 0)
    again = jl.fit(MODEL, data, SHORT, 0)
    np.testing.assert_allclose(both.objective[0], again.objective, rtol=1e-5)
    np.testing.assert_allclose(both.params["animal_weights"][0], again.params["animal_weights"], rtol=2e-3, atol=2e-3)


def test_new_animals_are_drawn_from_the_population(draws, data):
    """Predictions of an animal that was not in the data; its mean choice is that of drawn coefficients, by hand."""
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


@pytest.mark.slow
def test_animals_with_few_trials_are_predicted_better_than_pooled_or_alone():
    """In each of two studies; and their weights are nearer to the truth than those of the population."""
    animals = 12
    studies, truth = zip(*(simulated(animals, 3, 80, seed, spread=0.8) for seed in range(2)), strict=True)
    model = jl.models.hierarchical(BASE, "animal", animals)
    engine, folds = jl.EM(restarts=4, tol=1e-4), np.tile(np.arange(3), animals)
    pick = lambda study, which: {name: [study[name][i] for i in which] for name in ("y", "x")}
    everything = range(3 * animals)
    pooled = jl.cross_validate(BASE, jl.batch([pick(one, everything) for one in studies]), engine, 0, folds=folds)
    study = jl.select(lambda _: model, ["partial"], jl.batch(list(studies)), engine, 0, folds=folds)
    partial = study.validations["partial"]
    assert "bic" not in study.table and "occupancy" in study.table
    single = [pick(one, np.flatnonzero(one["animal"] == a)) for one in studies for a in range(animals)]
    separate = jl.cross_validate(BASE, jl.batch(single), engine, 0, folds=np.arange(3))
    alone = separate.totals["log_likelihood"].to_numpy().reshape(2, animals).sum(1)
    assert (partial.totals["log_likelihood"] > pooled.totals["log_likelihood"]).all()
    assert (partial.totals["log_likelihood"] > alone).all()
    for population, found, own in zip(
        study.best.params["weights"], study.best.params["animal_weights"], truth, strict=True
    ):
        order = np.argsort(-population[:, 0])
        pooled_error = np.sqrt(np.mean((own.mean(0) - own) ** 2))
        assert np.sqrt(np.mean((found[:, order] - own) ** 2)) < 0.8 * pooled_error
        np.testing.assert_allclose(population[order], own.mean(0), atol=0.7)


def test_names_of_groups_and_inputs_reach_the_results(draws):
    effects = draws.to_arviz()["posterior"]["animal_weights"]
    assert effects.dims[-3:] == ("animal", "state", "input")
    assert set(effects.coords["animal"].values) == {f"mouse {a}" for a in range(GROUPS)}
    assert list(effects.coords["input"].values) == ["stimulus", "previous"]


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
        jl.fit(MODEL, {**data, **change}, SHORT, 0)
    with pytest.raises(jl.InputError, match="animal"):
        jl.fit(MODEL, {"y": data["y"], "x": data["x"]}, SHORT, 0)


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
    engine = jl.NUTS(chains=1, warmup=300, draws=300, target_accept=0.9)
    found = jl.calibrate(replace(model, derived=derived), data, engine, 0, simulations=100)
    pvalues = np.concatenate([np.ravel(found.pvalues()[name]) for name in ("scales", "means", "animals")])
    assert pvalues.min() > 1e-3 / len(pvalues)
