"""The later rows of the regression gallery against what is not jaxlatent.

Likelihoods are compared with SciPy point by point. Posteriors are compared with importance sampling of densities written out here (lost
values integrated out, the differential equation in closed form), and with the maximum likelihood of statsmodels where priors are wide.
Each test runs the rows it needs, once; those that compile longest are left to `make test-slow`.
"""

import io
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from monte_carlo import LIMIT, check_summary, off
from often import often
from rich.console import Console
from scipy import optimize, stats
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.tsa.ar_model import AutoReg

import jaxlatent as jl
from jaxlatent.demos import regression
from jaxlatent.demos.regression import missing, network, ode, ordered, series, survival
from jaxlatent.errors import InputError

NAMES = ("missing", "survival", "ordered", "series", "ode", "network")
ALWAYS = ("series",)
NORMAL, NOISE = stats.norm, np.random.default_rng(5)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A function that runs a row when it is first asked for: what it hands out, what it printed, where it drew."""
    done, out = {}, tmp_path_factory.mktemp("gallery")

    def row(name):
        if name not in done:
            text = io.StringIO()
            found = regression.run([name], out, console=Console(file=text, width=132))[name]
            done[name] = found, text.getvalue(), out / f"{name}.svg"
        return done[name]

    return row


@pytest.fixture
def found(rows):
    return lambda name: rows(name)[0]


def importance(log_density, start, draws=40_000):
    """Draws and weights of a density ``(n, k) -> (n,)``: a Student t at its mode, as wide as its curvature tells."""
    start = np.asarray(start, float)
    mode = optimize.minimize(lambda v: -log_density(v[None])[0], start, method="Nelder-Mead",
                             options={"maxiter": 20_000, "xatol": 1e-5, "fatol": 1e-7}).x  # fmt: skip
    h, k = 1e-3, len(start)
    corners = [mode + h * (a * np.eye(k)[i] + b * np.eye(k)[j])
               for i in range(k) for j in range(k) for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]  # fmt: skip
    curvature = log_density(np.array(corners)).reshape(k, k, 4) @ [1, -1, -1, 1] / (4 * h * h)
    proposal = stats.multivariate_t(mode, 1.1 * np.linalg.inv(-curvature), df=10, seed=1)
    values = proposal.rvs(draws)
    log_weight = log_density(values) - proposal.logpdf(values)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    assert 1 / np.sum(weight**2) > draws / 4, "the proposal does not fit"
    return values, weight


def check_moments(fit, names, values, weight):
    """Means and sds of the named quantities, side by side, agree with weighted draws within the error of both."""
    mean = weight @ values
    sd = np.sqrt(weight @ (values - mean) ** 2)
    check_summary(fit, names, mean, sd, error=sd * np.sqrt(np.sum(weight**2)))


def check_density(model, params, data, likelihood, prior):
    """The likelihood of every observation, point by point, and the density of the posterior that engines see."""
    params, data = jax.tree.map(jnp.asarray, (params, data))
    computed = jax.jit(model.log_likelihood)(params, data)
    assert computed.keys() == likelihood.keys()
    for name, exact in likelihood.items():
        np.testing.assert_allclose(computed[name], exact, rtol=2e-4, atol=2e-4)
    posterior = jl.condition(model, data)
    density = jax.jit(lambda values: posterior.log_density(posterior.unconstrain(values), jacobian=False))(params)
    np.testing.assert_allclose(density, prior + sum(np.sum(exact) for exact in likelihood.values()), rtol=2e-4)


@pytest.mark.parametrize("name", often(NAMES, ALWAYS))
def test_the_row_prints_draws_and_finds_the_truth(rows, name):
    found, text, figure = rows(name)
    assert f"{name}: {regression.ROWS[name].line}" in text
    assert "nan" not in text
    assert figure.stat().st_size > 10_000
    assert found["fit"].statistics["diverging"].sum() <= 5
    for parameter, truth in found["truth"].items():
        draws = {**found["fit"].params, **found["fit"].derived}[parameter]
        assert np.all(off(draws, truth) < 4), parameter
        assert np.all(found["fit"].summary([parameter]).r_hat < 1.05), parameter


# Missing data.


def half_normal(x, scale):
    return stats.halfnorm.logpdf(x, scale=scale)


def missing_prior(v):
    """The log prior of usual_hours, hours_by_age, sd_hours, intercept, by_hour, by_age, sigma ``(..., 7)``."""
    means = NORMAL.logpdf(v[..., [0, 1, 3, 4, 5]], 0, [10, 10, 50, 10, 10]).sum(-1)
    return means + half_normal(v[..., 2], 5) + half_normal(v[..., 6], 5)


MISSING = ("usual_hours", "hours_by_age", "sd_hours", "intercept", "by_hour", "by_age", "sigma")


def test_the_density_of_the_model_that_imputes():
    data = {
        "age": np.array([0.5, -1.0, 1.5, 0.2]),
        "hours": jl.Masked(np.array([3.0, np.nan, 2.0, np.nan]), np.array([True, False, True, False])),
        "fitness": jl.Masked(np.array([20.0, 27.0, np.nan, 25.0]), np.array([True, True, False, True])),
        "lost": np.array([1, 3]),
    }
    values, lost = np.array([4.0, -1.1, 1.4, 19.0, 1.2, -1.9, 2.2]), np.array([5.5, 4.5])
    usual, hours = 4.0 - 1.1 * data["age"], np.array([3.0, 5.5, 2.0, 4.5])
    likelihood = {
        "hours": NORMAL.logpdf(hours, usual, 1.4) * [1, 0, 1, 0],
        "fitness": np.array([1, 1, 0, 1])
        * NORMAL.logpdf(np.nan_to_num(data["fitness"].values), 19.0 + 1.2 * hours - 1.9 * data["age"], 2.2),
    }
    prior = missing_prior(values) + NORMAL.logpdf(lost, usual[[1, 3]], 1.4).sum()
    params = {**dict(zip(MISSING, values, strict=True)), "lost_hours": lost}
    check_density(missing.imputing, params, data, likelihood, prior)


@pytest.mark.slow
def test_imputing_is_integrating_lost_hours_out(found):
    """One person at a time, hours and fitness are jointly normal, so what was lost has an exact marginal and an exact posterior."""
    fit, data = found("missing")["fit"], found("missing")["data"]
    age, hours, kept = data["age"], data["hours"].values, data["hours"].mask
    fitness, tested = data["fitness"].values, data["fitness"].mask
    assert np.all(tested[~kept])

    def log_density(v):
        sd, sigma = np.exp(v[:, [2]]), np.exp(v[:, [6]])
        usual = v[:, [0]] + v[:, [1]] * age
        mean = v[:, [3]] + v[:, [4]] * np.where(kept, hours, usual) + v[:, [5]] * age
        spread = np.where(kept, sigma, np.hypot(sigma, v[:, [4]] * sd))
        seen = np.where(kept, NORMAL.logpdf(hours, usual, sd), 0) + np.where(
            tested, NORMAL.logpdf(fitness, mean, spread), 0
        )
        natural = v.copy()
        natural[:, [2, 6]] = np.exp(v[:, [2, 6]])
        return seen.sum(1) + missing_prior(natural) + v[:, 2] + v[:, 6]

    values, weight = importance(log_density, [5, -1, 0.3, 19, 1, -2, 0.9], draws=8000)
    values[:, [2, 6]] = np.exp(values[:, [2, 6]])
    check_moments(fit, list(MISSING), values, weight)
    average = values[:, 3] + values[:, 4] * values[:, 0]
    check_moments(fit, ["average"], average[:, None], weight)

    usual = values[:, [0]] + values[:, [1]] * age[data["lost"]]
    slope, precision = values[:, [4]], values[:, [2]] ** -2 + values[:, [4]] ** 2 / values[:, [6]] ** 2
    rest = fitness[data["lost"]] - values[:, [3]] - values[:, [5]] * age[data["lost"]] - slope * usual
    drawn = usual + slope * rest / values[:, [6]] ** 2 / precision
    drawn = drawn + np.random.default_rng(2).normal(size=drawn.shape) / np.sqrt(precision)
    check_moments(fit, ["lost_hours"], drawn, weight)


@pytest.mark.slow
def test_complete_rows_mislead(found):
    """They are least squares on what is left, and least squares is far off there."""
    row = found("missing")
    data, naive = row["data"], row["naive"]
    whole = data["hours"].mask & data["fitness"].mask
    design = np.column_stack([np.ones(whole.sum()), row["hours"][whole], data["age"][whole]])
    slope = np.linalg.lstsq(design, data["fitness"].values[whole], rcond=None)[0][1]
    assert off(naive.params["by_hour"], slope) < 0.15
    assert naive.params["by_hour"].mean() < 0.8
    assert off(naive.params["by_hour"], row["truth"]["by_hour"]) > 2.5
    assert off(row["fit"].params["by_hour"], row["truth"]["by_hour"]) < 2.5


# Survival.


def weibull(months, relapsed, scale, shape):
    return np.where(
        relapsed,
        stats.weibull_min.logpdf(months, shape, scale=scale),
        stats.weibull_min.logsf(months, shape, scale=scale),
    )


def test_the_density_of_censored_times():
    data = {
        "months": np.array([0.3, 5.0, 24.0, 11.0, 7.0]),
        "relapsed": np.array([True, False, False, True, True]),
        "treated": np.array([0, 1, 0, 1, 1]),
    }
    scale = np.exp(2.2 + 0.7 * data["treated"])
    prior = NORMAL.logpdf(2.2, 0, 5) + NORMAL.logpdf(0.7, 0, 2) + stats.lognorm.logpdf(1.3, 1)
    likelihood = {"months": weibull(data["months"], data["relapsed"], scale, 1.3)}
    params = {"log_scale": 2.2, "effect": 0.7, "shape": 1.3}
    check_density(survival.model, params, data, likelihood, prior)


@pytest.mark.slow
def test_censored_times_agree_with_importance_sampling(found):
    fit, data = found("survival")["fit"], found("survival")["data"]

    def log_likelihood(v):
        scale = np.exp(v[:, [0]] + v[:, [1]] * data["treated"])
        return weibull(data["months"], data["relapsed"], scale, np.exp(v[:, [2]])).sum(1)

    log_density = lambda v: log_likelihood(v) + NORMAL.logpdf(v, 0, [5, 2, 1]).sum(1)
    values, weight = importance(log_density, [2.5, 0.5, 0.3])
    shape = np.exp(values[:, [2]])
    check_moments(fit, ["log_scale", "effect", "shape"], np.column_stack([values[:, :2], shape]), weight)
    medians = np.exp(values[:, [0]] + values[:, [1]] * [0, 1]) * np.log(2) ** (1 / shape)
    check_moments(fit, ["median"], medians, weight)
    most_likely = optimize.minimize(lambda v: -log_likelihood(v[None])[0], [2.5, 0.5, 0.3]).x[:2]
    assert np.all(off(np.stack([fit.params["log_scale"], fit.params["effect"]], -1), most_likely) < 0.3)


def test_kaplan_meier_by_hand():
    times, left = survival.kaplan_meier(np.array([3.0, 1.0, 2.0, 4.0]), np.array([True, True, False, True]))
    np.testing.assert_allclose(times, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(left, [1, 3 / 4, 3 / 4, 3 / 8, 0])


# Ordered categories.


def test_the_density_of_ordered_answers():
    data = {"answer": np.array([0, 1, 2, 3, 4, 2]), "waited": np.array([6.0, 5.0, 3.0, 1.0, 0.0, 5.5])}
    cuts = np.array([-4.5, -3.5, -1.5, 0.4])
    edges = np.concatenate([[-np.inf], cuts, [np.inf]])
    below = lambda answer: stats.logistic.cdf(edges[answer] + 0.7 * data["waited"])
    likelihood = {"answer": np.log(below(data["answer"] + 1) - below(data["answer"]))}
    prior = NORMAL.logpdf(-0.7, 0, 2) + NORMAL.logpdf(cuts, 0, 5).sum() + np.log(24)  # one order of the 24 there are
    params = {"slope": -0.7, "cutpoints": cuts}
    check_density(ordered.model, params, data, likelihood, prior)


@pytest.mark.slow
def test_ordered_answers_agree_with_statsmodels(found):
    """Within a third of a standard error: what wide priors and the skew of the posterior leave."""
    fit, data = found("ordered")["fit"], found("ordered")["data"]
    other = OrderedModel(data["answer"], data["waited"][:, None], distr="logit")
    result = other.fit(method="bfgs", disp=False)
    assert off(fit.params["slope"], result.params[0]) < 0.33
    assert abs(fit.params["slope"].std() / result.bse[0] - 1) < 0.1
    assert np.all(off(fit.params["cutpoints"], other.transform_threshold_params(result.params)[1:-1]) < 0.33)


# An autoregressive series.


def test_the_density_of_the_series():
    y = np.array([5.0, 6.0, 7.5, 7.0, 5.5])
    data = {"y": y[2:], "before": np.stack([y[1:-1], y[:-2]], 1)}
    likelihood = {"y": NORMAL.logpdf(y[2:], 1.9 + 1.4 * y[1:-1] - 0.7 * y[:-2], 1.1)}
    prior = NORMAL.logpdf(1.9, 0, 10) + NORMAL.logpdf([1.4, -0.7], 0, 2).sum() + half_normal(1.1, 5)
    params = {"intercept": 1.9, "lag": np.array([1.4, -0.7]), "sigma": 1.1}
    check_density(series.model, params, data, likelihood, prior)


def test_the_series_agrees_with_statsmodels(found):
    fit = found("series")["fit"]
    other = AutoReg(found("series")["y"], lags=2, trend="c").fit()
    draws = np.concatenate([fit.params["intercept"][..., None], fit.params["lag"]], -1)
    assert np.all(off(draws, other.params) < 0.2)
    np.testing.assert_allclose(draws.std((0, 1)), other.bse, rtol=0.12)
    np.testing.assert_allclose(fit.params["sigma"].mean(), np.sqrt(other.sigma2), rtol=0.03)


def test_the_forecast_is_what_theory_says(found):
    """Given its parameters a path is normal: its mean obeys the recursion, its variance sums the squares of the response to a shock."""
    row = found("series")
    p = {name: value.reshape(-1, *value.shape[2:]).astype(float) for name, value in row["fit"].params.items()}
    mean = [np.full(len(p["sigma"]), value) for value in row["y"][-2:]]
    response = [np.zeros(len(p["sigma"])), np.ones(len(p["sigma"]))]
    for _ in range(series.AHEAD):
        mean.append(p["intercept"] + p["lag"][:, 0] * mean[-1] + p["lag"][:, 1] * mean[-2])
        response.append(p["lag"][:, 0] * response[-1] + p["lag"][:, 1] * response[-2])
    means = np.stack(mean[2:], 1)
    variances = p["sigma"][:, None] ** 2 * np.cumsum(np.stack(response[1:-1], 1) ** 2, axis=1)
    sd = np.sqrt(variances.mean(0) + means.var(0))
    error = sd / np.sqrt(len(means))
    assert np.all(np.abs(row["paths"].mean(0) - means.mean(0)) < LIMIT * error)
    assert np.all(np.abs(row["paths"].std(0) - sd) < LIMIT * error)


# A differential equation.


def logistic_curve(log_start, log_capacity, rate, hours):
    return log_capacity - jnp.log1p((jnp.exp(log_capacity - log_start) - 1) * jnp.exp(-rate * hours[:, None]))


def test_the_solution_and_its_gradient_are_the_logistic_curve():
    hours, rate = jnp.array([0.5, 1.0, 2.5, 3.0, 5.0, 6.0, 9.0]), jnp.array([0.2, 0.5, 1.0])
    arguments = (jnp.log(0.2), jnp.log(8.0), rate)
    solution = ode.solved(*arguments, hours)
    np.testing.assert_allclose(solution, logistic_curve(*arguments, hours), rtol=1e-4, atol=1e-4)
    weights = jnp.asarray(NOISE.normal(size=solution.shape), solution.dtype)
    gradients = [
        jax.grad(lambda *a, solve=solve: jnp.sum(weights * solve(*a, hours)), (0, 1, 2))(*arguments)
        for solve in (ode.solved, logistic_curve)
    ]
    for solved, exact in zip(*gradients, strict=True):
        np.testing.assert_allclose(solved, exact, rtol=1e-3, atol=1e-3)


def growth(v, data):
    """The log likelihood ``(n, T, culture)`` of log_rate, by_warmth, capacity, start, sigma ``(n, 5)``, in closed form."""
    log_rate, by_warmth, capacity, start, sigma = v.T[..., None, None]
    rate = np.exp(log_rate + by_warmth * (data["warmth"] - 20) / 10)
    size = capacity / (1 + (capacity / start - 1) * np.exp(-rate * data["hours"][:, None]))
    return stats.lognorm.logpdf(data["size"], sigma, scale=size)


def ode_prior(v):
    means = NORMAL.logpdf(v[:, :2], [-0.5, 0], 0.5).sum(1)
    sizes = stats.lognorm.logpdf(v[:, 2:4], [0.5, 1.0], scale=np.exp([2.0, -1.0])).sum(1)
    return means + sizes + half_normal(v[:, 4], 1)


def test_the_density_of_growth():
    data = {"hours": np.array([1.0, 2.0, 4.0]), "warmth": np.array([15.0, 30.0])}
    data["size"] = np.array([[0.3, 0.4], [0.4, 0.9], [1.0, 3.0]])
    values = np.array([[-0.8, 0.5, 7.0, 0.2, 0.3]])
    names = ("log_rate", "by_warmth", "capacity", "start", "sigma")
    params = dict(zip(names, values[0], strict=True))
    check_density(ode.model(ode.solved), params, data, {"size": growth(values, data)[0]}, ode_prior(values)[0])


@pytest.mark.slow
def test_growth_agrees_with_importance_sampling(found):
    fit, data = found("ode")["fit"], found("ode")["data"]

    def log_density(v):
        natural = np.concatenate([v[:, :2], np.exp(v[:, 2:])], 1)
        return growth(natural, data).sum((1, 2)) + ode_prior(natural) + v[:, 2:].sum(1)

    values, weight = importance(log_density, [-0.7, 0.4, 2.0, -1.6, -1.9])
    natural = np.concatenate([values[:, :2], np.exp(values[:, 2:])], 1)
    check_moments(fit, ["log_rate", "by_warmth", "capacity", "start", "sigma"], natural, weight)
    rates = np.exp(values[:, [0]] + values[:, [1]] * (ode.WARMTH - 20) / 10)
    check_moments(fit, ["rate"], rates, weight)


def test_without_diffrax_the_row_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(InputError, match=r"jaxlatent\[gallery\]"):
        regression.run(["ode"], tmp_path, console=Console(file=io.StringIO()))


# A network.


def test_the_density_of_the_network():
    x, y = np.linspace(-2, 2, 5)[:, None], np.array([0.1, -1.0, 0.2, 0.9, 1.1])
    weights = {name: NOISE.normal(size=prior.shape()) for name, prior in network.layers.prior().items()}
    hidden = np.tanh(x @ weights["layers_0.kernel"] + weights["layers_0.bias"])
    mean = (hidden @ weights["layers_2.kernel"] + weights["layers_2.bias"])[:, 0]
    prior = sum(NORMAL.logpdf(value).sum() for value in weights.values()) + half_normal(0.2, 0.5)
    params, data = {**weights, "sigma": 0.2}, {"x": x, "y": y, "places": x}
    check_density(network.model, params, data, {"y": NORMAL.logpdf(y, mean, 0.2)}, prior)
    derived = network.model.deterministic(*jax.tree.map(jnp.asarray, (params, data)))
    np.testing.assert_allclose(derived["curve"], mean, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_network_knows_where_it_has_seen_nothing(found):
    row = found("network")
    in_gap, held, curves = row["in_gap"], row["held"], row["fit"].derived["curve"]
    sd = curves.std((0, 1))
    assert sd[in_gap].mean() > 3 * sd[~in_gap].mean()
    low, high = np.quantile(curves, [0.005, 0.995], axis=(0, 1))
    assert np.all((low < row["truth"]["curve"]) & (row["truth"]["curve"] < high))
    assert 0.9 < held["posterior"][~in_gap].mean() < 0.99
    assert held["posterior"][in_gap].mean() > 0.94 > held["trained"][in_gap].mean()
    points = row["truth"]["curve"] + network.SIGMA * np.random.default_rng(1).normal(size=(4000, len(sd)))
    drawn = curves + row["fit"].params["sigma"][..., None] * np.random.default_rng(2).normal(size=curves.shape)
    low, high = np.quantile(drawn, [0.03, 0.97], axis=(0, 1))
    np.testing.assert_allclose(held["posterior"], np.mean((points > low) & (points < high), axis=0), atol=0.04)
