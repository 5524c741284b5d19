"""Mixture density networks: densities written out, training by rows, and what their predictions say."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from often import often
from scipy import stats

import jaxlatent as jl
from jaxlatent.datasets import inverse_problem
from jaxlatent.keys import streams
from jaxlatent.models import Network, mixture_density_network
from jaxlatent.results.conditional import make_conditional

DATA = inverse_problem(200).data
RNG = np.random.default_rng(0)
ADAM = optax.adam(1e-2)


def weights_of(model, data, seed=0):
    posterior = jl.condition(model, data)
    draw = jax.jit(lambda key: posterior.constrain(posterior.initial_position(key)))
    return posterior, draw(jax.random.key(seed))


def by_hand(params, x, components, hidden, outputs):
    """Logits, means and scales ``(N, K, Q)`` in NumPy."""
    h = x.T.astype(float)
    for i in range(hidden):
        h = np.tanh(params[f"hidden_{i}.kernel"] @ h + params[f"hidden_{i}.bias"][:, None])
    flat = (params["heads.kernel"] @ h + params["heads.bias"][:, None]).reshape(-1, components, len(x))
    logits, means, log_scales, rest = np.split(flat, [1, 1 + outputs, 1 + 2 * outputs])
    return logits[0].T, means.transpose(2, 1, 0), np.exp(log_scales).transpose(2, 1, 0) + 0.01, rest.transpose(2, 1, 0)


@pytest.mark.parametrize(
    ("outputs", "covariance"),
    [*(pytest.param(outputs, "diagonal", marks=pytest.mark.slow) for outputs in (1, 3)), (3, "full")],
)
def test_the_density_is_the_one_written_out(outputs, covariance):
    x = RNG.normal(size=(7, 2)).astype(np.float32)
    y = RNG.normal(size=(7, outputs)).astype(np.float32)
    data = {"x": x, "y": y[:, 0] if outputs == 1 else y}
    model = mixture_density_network(2, 2, outputs, hidden=(5, 4), covariance=covariance)
    posterior, params = weights_of(model, data)
    logits, means, scales, rest = by_hand(params, x, 2, 2, outputs)
    expected = []
    for n in range(7):
        weights = np.exp(logits[n]) / np.exp(logits[n]).sum()
        total = 0.0
        for k in range(2):
            factor = np.diag(scales[n, k])
            if covariance == "full":
                factor[np.tril_indices(outputs, -1)] = rest[n, k]
            total += weights[k] * stats.multivariate_normal(means[n, k], factor @ factor.T).pdf(y[n])
        expected.append(np.log(total))
    found = jax.jit(model.log_likelihood)(params, posterior.data)["y"]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_value_and_gradient_are_those_of_numpyro_s_mixture():
    model = mixture_density_network(3, 1)
    posterior, params = weights_of(model, DATA)

    def theirs(position):
        d = model.observed(posterior.constrain(position), posterior.data)["y"]
        plain = dist.MixtureSameFamily(d.mixing_distribution, d.component_distribution)
        return jnp.sum(plain.log_prob(posterior.data["y"]))

    position = jax.jit(posterior.unconstrain)(params)
    both = [jax.jit(jax.value_and_grad(f))(position) for f in (posterior.log_density, theirs)]
    for ours, other in zip(*both, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-3, atol=1e-3)


def test_no_weights_make_the_density_nan():
    posterior, params = weights_of(mixture_density_network(3, 1), DATA)
    rise = jax.jit(lambda size: jax.value_and_grad(posterior.log_density)(size * posterior.unconstrain(params)))
    for size in (1e2, 1e4, 1e8):
        value, gradient = rise(size)
        assert np.isfinite(value) and np.isfinite(gradient).all(), size


def test_training_in_one_program_is_the_loop_written_out():
    model = mixture_density_network(2, 1, hidden=(4,))
    with jax.enable_x64(True):
        result = jl.fit(model, DATA, jl.Optimize(optimizer=ADAM, max_iter=30, tol=0.0, restarts=2), seed=0)
        posterior = jl.condition(model, DATA)
        key = jax.random.fold_in(streams(jax.random.key(0), np.arange(1), 2).start[0, 1], 0)
        position = jax.jit(posterior.initial_position)(key)
        state, seen = ADAM.init(position), []

        @jax.jit
        def step(position, state):
            value, slope = jax.value_and_grad(lambda z: -posterior.log_density(z))(position)
            update, state = ADAM.update(slope, state)
            return optax.apply_updates(position, update), state, -value

        for _ in range(30):
            position, state, value = step(position, state)
            seen.append(float(value))
    np.testing.assert_allclose(result.trace[1], np.maximum.accumulate(seen), rtol=1e-9)


@pytest.fixture(scope="module")
def trained():
    return jl.fit(
        mixture_density_network(3, 1), DATA, jl.Optimize(optimizer=ADAM, max_iter=1500, restarts=2), seed=0
    ).best()


def test_training_beats_one_normal_by_far(trained):
    slope, bias = np.polyfit(DATA["x"][:, 0], DATA["y"], 1)
    line = stats.norm(slope * DATA["x"][:, 0] + bias, np.std(DATA["y"] - slope * DATA["x"][:, 0] - bias))
    assert trained.score() > line.logpdf(DATA["y"]).mean() + 0.5


def test_moments_quantiles_and_densities_are_those_of_the_mixture(trained):
    grid = {"x": np.array([[0.2], [0.5], [0.8]])}
    found = trained.conditional(grid)
    d = trained.posterior.density.observed(trained.params, {"x": jnp.asarray(grid["x"], jnp.float32)})["y"]
    weights = np.exp(d.mixing_distribution.logits) / np.exp(d.mixing_distribution.logits).sum(1, keepdims=True)
    means, scales = np.asarray(d.component_distribution.loc), np.asarray(d.component_distribution.scale)
    np.testing.assert_allclose(found.mean(), (weights * means).sum(1), rtol=1e-4)
    second = (weights * (means**2 + scales**2)).sum(1)
    np.testing.assert_allclose(found.variance(), second - found.mean() ** 2, rtol=1e-3, atol=1e-5)
    y = np.linspace(-0.5, 1.5, 2001)
    density = (weights[:, None] * stats.norm(means[:, None], scales[:, None]).pdf(y[:, None])).sum(-1)
    np.testing.assert_allclose(found.density(y), density, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.cdf(found.quantile([0.1, 0.5, 0.9])[1])[1], [0.1, 0.5, 0.9], atol=1e-3)
    best = y[density.argmax(1)]
    np.testing.assert_allclose(found.modes()[:, 0], best, atol=5e-3)
    values, labels = found.sample(seed=1, draws=4000)
    share = np.mean(labels[:, 1] == np.arange(3)[:, None], 1)
    assert np.all(np.abs(share - weights[1]) < 4.5 * np.sqrt(weights[1] * (1 - weights[1]) / 4000) + 1e-9)
    largest = weights[1].argmax()
    picked = values[:, 1][labels[:, 1] == largest]
    assert abs(picked.mean() - means[1, largest]) < 4.5 * scales[1, largest] / np.sqrt(len(picked))


def test_predictions_are_calibrated_on_what_was_not_seen(trained):
    # 200 points train 80 weights: a little too sure of themselves is to be expected, not more.
    held_out = inverse_problem(400, seed=7).data
    found = trained.conditional(held_out)
    assert abs(found.coverage([0.5, 0.9]) - [0.5, 0.9]).max() < 0.12
    assert np.mean(found.log_score()) == pytest.approx(trained.score(held_out), rel=1e-4)


@pytest.mark.slow
def test_draws_of_the_weights_are_averaged():
    model = mixture_density_network(2, 1, hidden=(3,), prior_scale=1.0)
    draws = jl.fit(model, DATA, jl.DADVI(draws=30, linear_response=False), seed=0)
    found = draws.conditional({"x": np.array([[0.3]])})
    each = [
        model.observed({k: jnp.asarray(v[0, i]) for k, v in draws.params.items()}, {"x": jnp.array([[0.3]])})["y"]
        for i in range(30)
    ]
    means, variances = np.array([float(d.mean[0]) for d in each]), np.array([float(d.variance[0]) for d in each])
    np.testing.assert_allclose(found.mean(), means.mean(), rtol=1e-4)
    np.testing.assert_allclose(found.variance(), variances.mean() + means.var(), rtol=1e-3)


def test_predictions_of_a_batch_lead_with_datasets_and_lanes():
    model = jl.Model(prior={"w": dist.Normal(0.0, 1.0)}, likelihood=lambda p, d: {"y": dist.Normal(p.w * d.x, 0.5)})
    both = jl.batch(
        {"up": {"x": np.arange(4.0), "y": np.arange(4.0)}, "down": {"x": np.arange(4.0), "y": -np.arange(4.0)}}
    )
    many = jl.fit(model, both, jl.Optimize(restarts=2), seed=0)
    points = many.conditional()
    assert points.mean().shape == (2, 2, 4) and many.best().conditional().mean().shape == (2, 4)
    np.testing.assert_allclose(points.mean()[:, 0], many.params["w"][:, :1] * np.arange(4.0), rtol=1e-5)
    np.testing.assert_allclose(points.pit()[1, 0], stats.norm(points.mean()[1, 0], 0.5).cdf(-np.arange(4.0)), atol=1e-5)
    draws = jl.fit(model, both, jl.Laplace(draws=50), seed=0).conditional({"x": np.array([1.0, 2.0])})
    assert draws.mean().shape == (2, 2) and draws.quantile([0.1, 0.9]).shape == (2, 2, 2)
    assert draws.sample(seed=0, draws=7)[0].shape == (2, 7, 2)


def at(d, value=1.0, y=(1.0, 1.0, 1.0, 1.0)):
    """The predictions of one observation of distribution ``d(p)``, at one value of its parameter."""
    model = jl.Model({"a": dist.LogNormal(0.0, 1.0)}, lambda p, data: {"y": d(p)})
    posterior = jl.condition(model, {"y": y if isinstance(y, jl.Masked) else np.asarray(y)})
    posterior = jax.tree.map(lambda x: jnp.asarray(x)[None], posterior)
    return make_conditional(posterior, {"a": jnp.full((1, 1), value)}, False, None, lambda x: x[0, 0])


@pytest.mark.parametrize(
    ("d", "law"),
    [
        (lambda p: dist.Poisson(0.1 * p.a), stats.poisson(0.1)),
        (lambda p: dist.NegativeBinomial2(3.0 * p.a, 2.0), stats.nbinom(2, 0.4)),
    ],
    ids=["poisson", "negative binomial"],
)
def test_counts_are_calibrated_under_their_own_distribution(d, law):
    y = law.rvs(4000, random_state=0)
    found, probs = at(d, y=y), np.array([0.5, 0.8, 0.9])
    pit = found.pit(seed=1)
    assert np.all((pit >= law.cdf(y - 1) - 1e-5) & (pit <= law.cdf(y) + 1e-5))
    # False alarms in one of ten thousand.
    assert stats.kstest(pit, "uniform").pvalue > 1e-4
    assert np.all(np.abs(found.coverage(probs, seed=1) - probs) < 4 * np.sqrt(probs * (1 - probs) / len(y)))
    for call in (found.pit, lambda: found.coverage(probs)):
        with pytest.raises(jl.InputError, match=r"pit\(seed=0\)"):
            call()


ORDERED = np.diff(1 / (1 + np.exp(1.0 - np.array([-np.inf, -1.0, 0.5, np.inf]))))
GAMMAS = dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.5, 0.5])), dist.Gamma(jnp.array([2.0, 5.0]), 1.0))


@pytest.mark.parametrize(
    ("d", "law"),
    [
        (dist.OrderedLogistic(1.0, jnp.array([-1.0, 0.5])), stats.rv_discrete(values=(range(3), ORDERED)).pmf),
        (dist.Categorical(probs=jnp.array([0.2, 0.8])), stats.bernoulli(0.8).pmf),
        (dist.DiscreteUniform(1, 3), stats.randint(1, 4).pmf),
        (dist.Poisson(2.0), stats.poisson(2).pmf),
        (dist.Exponential(2.0), stats.expon(scale=0.5).pdf),
        (dist.Beta(2.0, 3.0), stats.beta(2, 3).pdf),
        (GAMMAS, lambda y: 0.5 * stats.gamma(2).pdf(y) + 0.5 * stats.gamma(5).pdf(y)),
    ],
    ids=["ordered", "categories", "integers", "counts", "exponential", "beta", "gammas"],
)
def test_the_density_is_0_outside_the_support_and_takes_whole_numbers_as_floats(d, law):
    y = [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 40.0]
    y = y if d.is_discrete else [*y[:2], 1e-3, *y[3:]]
    found = at(lambda p: d, y=np.ones(4, int if d.is_discrete else float)).density(y)
    assert found.shape == (4, 8)
    np.testing.assert_allclose(found[0], law(np.array(y)), rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (300.0, 0.3), (1e5, 10.0)])
def test_the_variance_is_that_of_the_draws_however_large_the_mean(mean, sd):
    model = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.mu, sd)})
    posterior = jax.tree.map(lambda x: jnp.asarray(x)[None], jl.condition(model, {"y": np.zeros(4)}))
    draws = np.random.default_rng(0).normal(mean, sd / 3, (1, 4, 1000)).astype(np.float32)
    found = make_conditional(posterior, {"mu": draws}, True, None, lambda x: x[0])
    exact = draws.astype(float)
    np.testing.assert_allclose(found.mean(), exact.mean(), rtol=2e-7, atol=1e-6)
    np.testing.assert_allclose(found.variance(), sd**2 + exact.var(), rtol=1e-4)


def mixture_of_gammas(y):
    return 0.5 * stats.gamma(2).cdf(y) + 0.5 * stats.gamma(50).cdf(y)


@pytest.mark.parametrize(
    ("d", "cdf", "modes"),
    [
        (lambda p: dist.Gamma(2.0, p.a), stats.gamma(2).cdf, [1.0]),
        (lambda p: dist.LogNormal(3.0 * p.a, 2.0), stats.lognorm(2, scale=np.exp(3)).cdf, [np.exp(-1)]),
        (lambda p: dist.Cauchy(p.a, 3.0), stats.cauchy(1, 3).cdf, [1.0]),
        (lambda p: dist.Normal(1e5 * p.a, 1e3), stats.norm(1e5, 1e3).cdf, [1e5]),
        (
            lambda p: dist.MixtureSameFamily(
                dist.Categorical(probs=jnp.array([0.5, 0.5])), dist.Gamma(jnp.array([2.0, 50.0]) * p.a, 1.0)
            ),
            mixture_of_gammas,
            [1.0, 49.0],
        ),
    ],
    ids=["gamma", "log-normal", "cauchy", "far from zero", "gammas"],
)
def test_quantiles_and_modes_need_no_moments_and_no_values_outside_the_support(d, cdf, modes):
    found, levels = at(d), np.array([0.001, 0.05, 0.5, 0.9, 0.999])
    quantiles = found.quantile(levels)
    assert quantiles.shape == (4, 5)
    np.testing.assert_allclose(cdf(quantiles[2].astype(float)), levels, atol=2e-6)
    np.testing.assert_allclose(found.modes()[3, : len(modes)], modes, rtol=0.01)
    assert np.isnan(found.modes()[:, len(modes) :]).all()
    assert np.isnan(at(d, np.nan).quantile(levels)).all()


def test_masked_rows_are_not_judged(trained):
    part = {"x": DATA["x"][:6], "y": jl.Masked(DATA["y"][:6], np.arange(6) != 2)}
    judged, whole = trained.conditional(part), trained.conditional({"x": DATA["x"][:6], "y": DATA["y"][:6]})
    for ours, theirs in ((judged.pit(), whole.pit()), (judged.log_score(), whole.log_score())):
        assert np.isnan(ours[2])
        np.testing.assert_allclose(np.delete(ours, 2), np.delete(theirs, 2), rtol=1e-5)
    assert judged.coverage([0.9]) == np.mean(np.abs(np.delete(whole.pit(), 2) - 0.5) <= 0.45)


def test_a_mask_of_rows_is_of_all_their_entries_and_one_of_steps_of_sequences():
    y, rows = np.random.default_rng(8).normal(size=(3, 3)), np.array([True, False, True])
    entries = at(lambda p: dist.Normal(0.0, p.a), y=jl.Masked(y, rows))
    for found, law in ((entries.log_score(), stats.norm.logpdf), (entries.pit(), stats.norm.cdf)):
        np.testing.assert_allclose(found, np.where(rows[:, None], law(y), np.nan), rtol=1e-5)
    # Of independent steps: those that are missing add nothing, and a sequence without any has no score.
    steps = rows | np.arange(3)[:, None].astype(bool)
    steps[2] = False
    chain = lambda p: jl.HiddenMarkov(jnp.ones(1), jnp.ones((1, 1)), dist.Normal(jnp.zeros(1), p.a))
    found = at(chain, y=jl.Masked(y, steps)).log_score()
    np.testing.assert_allclose(found[:2], np.where(steps, stats.norm.logpdf(y), 0).sum(1)[:2], rtol=1e-5)
    assert found.shape == (3,) and np.isnan(found[2])


def test_what_a_prediction_cannot_tell_is_said(trained):
    found = trained.conditional({"x": np.array([[0.5]])})
    for call, message in (
        (lambda: found.pit(), "data that hold 'y'"),
        (lambda: found.quantile([0.0]), "probabilities in"),
        (lambda: found.density(0.5), "one axis"),
        (lambda: trained.conditional(name="z"), r"one of \['y'\]"),
    ):
        with pytest.raises(jl.InputError, match=message):
            call()


# Rows: minibatches and held-out data.


def test_minibatches_go_through_every_row_once_an_epoch():
    line = jl.Model(prior={"w": dist.Normal(0.0, 1.0)}, likelihood=lambda p, d: {"y": dist.Normal(p.w * d.x, 1.0)})
    still = optax.GradientTransformation(lambda p: (), lambda g, s, p=None: (jax.tree.map(jnp.zeros_like, g), s))
    engine = jl.Optimize(optimizer=still, max_iter=8, batch_size=2, objective="mle")
    data = {"x": 2.0 ** np.arange(8), "y": np.zeros(8)}
    trace = jl.fit(line, data, engine, seed=0, init={"w": np.array(1.0)}).trace[0]
    # At w = 1 the log likelihood of a row is -x^2 / 2 and a constant: the sum of two tells which two there were.
    squares = np.round(-2 * (trace * 2 / 8) - 2 * np.log(2 * np.pi)).astype(int)
    rows = [[i for i in range(8) if total >> (2 * i) & 1] for total in squares]
    for epoch in (rows[:4], rows[4:]):
        assert sorted(row for batch in epoch for row in batch) == list(range(8))
    assert sorted(rows[:4]) != sorted(rows[4:])


def test_early_stopping_keeps_the_best_weights():
    x = RNG.normal(size=(40, 5)).astype(np.float32)
    y = (x[:, 0] + RNG.normal(size=40)).astype(np.float32)
    model = mixture_density_network(2, 5, hidden=(30,))
    engine = jl.Optimize(optimizer=ADAM, max_iter=3000, validation=0.3, patience=10)
    result = jl.fit(model, {"x": x, "y": y}, engine, seed=0)
    curve = result.statistics["validation"][0]
    assert result.statistics["n_steps"][0] < 3000 and result.status[0] == jl.Status.CONVERGED
    assert result.objective[0] == pytest.approx(np.nanmax(curve[10:]) * 12, rel=1e-5)
    order = np.asarray(engine.shared(result.posterior, streams(jax.random.key(0), np.arange(1), 1).shared[0]))[:12]
    assert result.score({"x": x[order], "y": y[order]})[0] * 12 == pytest.approx(result.objective[0], rel=1e-4)


def test_a_run_too_short_to_look_ends_where_it_got():
    engine = jl.Optimize(optimizer=ADAM, max_iter=3, validation=0.2)
    result = jl.fit(mixture_density_network(2, 1, hidden=(3,)), DATA, engine, seed=0)
    assert np.isfinite(result.best().objective)


def test_minibatches_reach_the_same_fit():
    x = RNG.normal(size=(500, 2)).astype(np.float32)
    y = (x @ [1.0, -1.0] + 0.1 * RNG.normal(size=500)).astype(np.float32)
    line = jl.Model(
        prior={"w": dist.Normal(0.0, 1.0).expand([2]).to_event(1)},
        likelihood=lambda p, d: {"y": dist.Normal(d.x @ p.w, 0.1)},
    )
    decay = optax.adam(optax.exponential_decay(0.05, 100, 0.5))
    some = jl.fit(line, {"x": x, "y": y}, jl.Optimize(optimizer=decay, max_iter=1000, batch_size=50), seed=0)
    top = np.linalg.solve(x.T @ x / 0.1**2 + np.eye(2), x.T @ y / 0.1**2)
    height = stats.norm.logpdf(top).sum() + stats.norm(x @ top, 0.1).logpdf(y).sum()
    np.testing.assert_allclose(some.params["w"][0], top, atol=5e-3)
    assert some.objective[0] == pytest.approx(height, abs=0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 10}, "gradients without noise"),
        ({"validation": 1.0}, r"a fraction in \[0, 1\)"),
        ({"optimizer": ADAM, "batch_size": 500}, "at most the 200 rows"),
        ({"validation": 0.001}, "at least 1 of 200 rows"),
        ({"validation": 0.2, "standard_errors": True}, "all rows in every evaluation"),
    ],
)
def test_bad_settings_are_told(settings, message):
    with pytest.raises(jl.InputError, match=message):
        jl.fit(mixture_density_network(2, 1, hidden=(3,)), DATA, jl.Optimize(**settings), seed=0)


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mixture_density_network(0, 1), "num_components"),
        (lambda: mixture_density_network(2, 1, covariance="tied"), "covariance"),
        (lambda: mixture_density_network(2, 1, scale_floor=0.0), "scale_floor"),
        (
            lambda: jl.fit(mixture_density_network(2, 1), {"x": np.zeros(3), "y": np.zeros(3)}, jl.Optimize(), seed=0),
            r"give x\[\.\.\., None\]",
        ),
    ],
)
def test_bad_networks_are_told(build, message):
    with pytest.raises(jl.InputError, match=message):
        build()


@pytest.mark.slow
def test_any_flax_module_becomes_named_parameters():
    import flax.linen as nn

    network = Network(nn.Sequential((nn.Dense(3), nn.tanh, nn.Dense(1))), 2, prior_scale=1.0)
    model = jl.Model(
        prior={**network.prior(), "sd": dist.HalfNormal(1.0)},
        likelihood=lambda p, d: {"y": dist.Normal(network.apply(p, d.x)[:, 0], p.sd)},
    )
    x = RNG.normal(size=(30, 2))
    result = jl.fit(model, {"x": x, "y": x[:, 0]}, jl.Optimize(), seed=0)
    assert result.params["layers_0.kernel"].shape == (1, 2, 3) and np.isfinite(result.objective).all()


@pytest.mark.slow
@pytest.mark.parametrize("noise", often(["wide", "narrow"], {"wide"}))
def test_training_is_as_good_as_published(noise):
    """X4: a plain script gets -1.02 to -1.03 nats after 5,000 epochs on the wide noise."""
    data = inverse_problem(noise=noise).data
    engine = jl.Optimize(optimizer=optax.adam(1e-3), max_iter=5000, tol=0.0, restarts=4)
    result = jl.fit(mixture_density_network(3, 1), data, engine, seed=0)
    assert -result.best().score() <= {"wide": -1.02, "narrow": -1.9}[noise]


def test_rows_of_one_mixture_have_labels_of_their_own():
    """Weights that are the same for all rows are not one label for all of them."""
    y = np.concatenate([np.random.default_rng(0).normal(m, 0.1, 40) for m in (-3.0, 3.0)])
    found = jl.fit(jl.models.gaussian_mixture(2, None), {"y": y}, jl.EM(restarts=3), seed=0).best().conditional()
    values, labels = found.sample(seed=1, draws=200)
    shares, means, _ = found.components()
    assert shares.shape == means.shape == (80, 2)
    assert 0 < labels[0].sum() < 80, "one label for a whole draw"
    np.testing.assert_allclose(values, means[0][labels], atol=1.0)
    # Of 200 draws, five standard errors.
    np.testing.assert_allclose(labels.mean(0), 0.5, atol=0.18)
