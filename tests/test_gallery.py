"""The first rows of the regression gallery against the truth that made its data, and against exact answers where there are some."""

import io

import numpy as np
import pytest
from monte_carlo import LIMIT, check_same, check_summary, off
from often import often
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner

from jaxlatent import cli
from jaxlatent.demos import regression

LATER = ("missing", "survival", "ordered", "series", "ode", "network")  # these run in test_gallery_extras.py
NAMES = [name for name in regression.ROWS if name not in LATER]
CONFOUNDS = ("pipe", "fork", "collider", "pipe_and_collider")


#: The others compile for minutes together: `make test-slow` runs them.
ALWAYS = ("coin",)


class Rows(dict):
    """What the rows hand out; each runs when it is first asked for. `text` is what they print, `out` where they draw."""

    def __init__(self, out):
        self.text, self.out = io.StringIO(), out

    def __missing__(self, name):
        self[name] = regression.run([name], self.out, console=Console(file=self.text, width=132))[name]
        return self[name]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return Rows(tmp_path_factory.mktemp("gallery"))


def exact_regression(x, y):
    """Means and sds of coefficients and noise: N(0, 10) and Exponential(1) priors, by quadrature over the noise alone."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    n, k = x.shape
    rough = np.sqrt(np.linalg.lstsq(x, y, rcond=None)[1][0] / n)
    sigma = np.linspace(0.5, 2.0, 3001) * rough
    precision = (x.T @ x)[None] / sigma[:, None, None] ** 2 + np.eye(k) / 100
    means = np.linalg.solve(precision, np.broadcast_to((x.T @ y)[:, None], (3001, k, 1)) / sigma[:, None, None] ** 2)
    means = means[..., 0]
    explained = np.einsum("sk,k->s", means, x.T @ y) / sigma**2
    log_weight = -n * np.log(sigma) - (y @ y / sigma**2 - explained + np.linalg.slogdet(precision)[1]) / 2 - sigma
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    variances = np.diagonal(np.linalg.inv(precision), axis1=1, axis2=2)
    values = np.concatenate([means, sigma[:, None]], 1)
    mean = weight @ values
    return mean, np.sqrt(weight @ (values - mean) ** 2 + np.append(weight @ variances, 0.0))


def check_predictions(drawn, mean, sd):
    """As `check_summary`, for predictive draws, which are nearly independent: their error is taken for twice that."""
    error = 2 * sd / np.sqrt(len(drawn))
    assert np.all(np.abs(drawn.mean(0) - mean) < LIMIT * error)
    assert np.all(np.abs(drawn.std(0) - sd) < LIMIT * error)


def check_regression(fit, names, x, y):
    """The named quantities, side by side, agree with quadrature."""
    check_summary(fit, names, *exact_regression(x, y))


def with_ones(x):
    return np.column_stack([np.ones(len(x)), x])


@pytest.mark.parametrize("name", often(NAMES, ALWAYS))
def test_the_row_prints_and_draws_and_finds_the_truth(rows, name):
    found = rows[name]
    text = rows.text.getvalue()
    assert f"{name}: {regression.ROWS[name].line}" in text
    assert (rows.out / f"{name}.svg").stat().st_size > 10_000
    assert (rows.out / f"{name}_graph.svg").stat().st_size > 3_000
    assert "nan" not in text
    if name in (*CONFOUNDS, "coin"):
        return
    fit = found["fits"]["noncentred"] if "fits" in found else found["fit"]
    for parameter, truth in found["truth"].items():
        assert np.all(off({**fit.params, **fit.derived}[parameter], truth) < 4), parameter


def test_forward_draws_have_the_moments_of_the_prior(rows):
    prior, before = rows["forward"]["prior"], rows["forward"]["before"]
    for name, mean, sd in (("a", 2, 0.5), ("b", 3, 0.2), ("c", 5, np.hypot(0.5, 0.2))):
        assert abs(prior[name].mean() - mean) < 4.5 * sd / np.sqrt(4000)
        assert abs(prior[name].std() / sd - 1) < 4.5 / np.sqrt(2 * 4000)
    sds = np.sqrt(0.29 * np.arange(1, 9) ** 2 + 0.09)
    assert np.all(np.abs(before.mean(0) - 5 * np.arange(1, 9)) < 4.5 * sds / np.sqrt(4000))


def test_forward_posterior_is_the_exact_normal(rows):
    fit, after = rows["forward"]["fit"], rows["forward"]["after"]
    jars, weight = (np.asarray(fit.posterior.data[name], float) for name in ("jars", "weight"))
    design, prior = np.outer(jars, [1.0, 1.0]), np.diag([0.5**-2, 0.2**-2])
    covariance = np.linalg.inv(prior + design.T @ design / 0.09)
    mean = covariance @ (prior @ [2.0, 3.0] + design.T @ weight / 0.09)
    check_summary(fit, ["a", "b"], mean, np.sqrt(np.diag(covariance)))
    check_summary(fit, ["c"], mean.sum(), np.sqrt(covariance.sum()))
    check_predictions(after, mean.sum() * np.arange(1, 9), np.sqrt(covariance.sum() * np.arange(1, 9) ** 2 + 0.09))


def test_forward_keeps_dims_and_coords(rows):
    idata = rows["forward"]["fit"].to_arviz(predictions=1)
    weight = idata["posterior_predictive"]["weight"]
    assert weight.dims == ("chain", "draw", "weighing")
    assert list(weight["weighing"].values) == ["first", "second", "third"]


def test_the_coin_is_beta(rows):
    check_summary(rows["coin"]["fit"], ["p"], 0.75, stats.beta(9, 3).std())
    heads = stats.betabinom(10, 9, 3)
    check_predictions(rows["coin"]["again"], heads.mean(), heads.std())


@pytest.mark.slow
def test_line_and_predictors_agree_with_quadrature(rows):
    for name in ("line", "predictors"):
        fit = rows[name]["fit"]
        check_regression(
            fit, ["intercept", "slope", "sigma"], with_ones(fit.posterior.data["x"]), fit.posterior.data["y"]
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFOUNDS)
def test_confounded_regressions_agree_with_quadrature(rows, name):
    for fit in rows[name]["fits"].values():
        check_regression(
            fit, ["intercept", "slope", "sigma"], with_ones(fit.posterior.data["x"]), fit.posterior.data["y"]
        )


#: The regression that finds the effect, and what the others find; None is something else.
REGRESSIONS = {
    "pipe": ("y ~ x", {"y ~ x + m": 0.0}),
    "fork": ("y ~ x + z", {"y ~ x": -0.25}),
    "collider": ("y ~ x", {"y ~ x + c": -1 / 1.49}),
    "pipe_and_collider": ("y ~ x", {"y ~ x + m": 0.0, "y ~ x + c": None, "y ~ x + m + c": -0.5}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFOUNDS)
def test_only_the_right_regression_finds_the_effect(rows, name):
    right, elsewhere = REGRESSIONS[name]
    fits, truth = rows[name]["fits"], rows[name]["truth"]
    slopes = {label: fit.params["slope"][..., 0] for label, fit in fits.items()}
    assert off(slopes[right], truth) < 4
    assert slopes.keys() == {right, *elsewhere}
    for label, biased in elsewhere.items():
        assert off(slopes[label], truth) > 8, "confounded as it is, the regression found the truth"
        assert biased is None or off(slopes[label], biased) < 4, "off, but not by the bias that theory gives"


@pytest.mark.slow
def test_the_path_is_two_regressions(rows):
    fit = rows["path"]["fit"]
    x, m, y = (np.asarray(fit.posterior.data[name]) for name in "xmy")
    first = exact_regression(with_ones(x), m)  # intercept, x_to_m, sigma
    second = exact_regression(with_ones(np.stack([x, m], 1)), y)  # intercept, x_to_y, m_to_y, sigma
    exact = [
        np.concatenate([a[[0]], b[[0]], a[[1]], b[[1, 2]], a[[2]], b[[3]]]) for a, b in zip(first, second, strict=True)
    ]
    check_summary(fit, ["intercept", "x_to_m", "x_to_y", "m_to_y", "sigma"], *exact)
    p = fit.params
    np.testing.assert_allclose(fit.derived["total"], p["x_to_y"] + p["x_to_m"] * p["m_to_y"], rtol=1e-5)
    assert off(rows["path"]["alone"], 0.7) < 4


@pytest.mark.slow
def test_categories_and_one_effect_for_all_agree_with_quadrature(rows):
    fit = rows["categories"]["fit"]
    check_regression(fit, ["mean", "sigma"], np.eye(4)[fit.posterior.data["soil"]], fit.posterior.data["tons"])
    fit = rows["heterogeneity"]["fit"]
    data = fit.posterior.data
    design = np.column_stack([np.eye(40)[data["segment"]], data["treated"]])
    check_regression(fit, ["baseline", "effect", "sigma"], design, data["y"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pooling", "varying_effects"])
def test_pooling_brings_estimates_nearer_to_the_truth(rows, name):
    errors = rows[name]["errors"]
    assert errors["pooled"] < 0.75 * errors["raw"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hard"), [("pooling", ["mu", "tau"]), ("varying_effects", ["mean", "sds", "rho"])])
def test_coordinates_matter(rows, name, hard):
    fits = rows[name]["fits"]
    assert fits["noncentred"].statistics["diverging"].sum() <= 2
    least = {word: fit.summary(hard).ess_bulk.min() for word, fit in fits.items()}
    assert least["noncentred"] > 2 * least["centred"]


@pytest.mark.slow
def test_correlation_matrices_are_recovered(rows):
    correlation = rows["varying_effects"]["fits"]["noncentred"].derived["correlation"]
    np.testing.assert_allclose(np.diagonal(correlation, axis1=-2, axis2=-1), 1.0, rtol=1e-5)
    low, high = np.quantile(correlation[..., 0, 1], [0.01, 0.99])
    assert low < -0.7 < high < 0.2
    effects = rows["varying_effects"]["fits"]["noncentred"].params["segment"]
    assert np.mean(off(effects, rows["varying_effects"]["true"]) < 2) > 0.9


@pytest.mark.slow
def test_events_are_beta(rows):
    fit, exact = rows["events"]["fit"], rows["events"]["exact"]
    check_summary(fit, ["rate"], exact.mean(), exact.std())
    check_summary(fit, ["difference"], np.diff(exact.mean())[:, 0], np.sqrt(exact.var().sum(1)))


def in_numpyro(name):
    """The hierarchical rows, written for NumPyro."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist
    from numpyro import sample

    def pooling(clinic, days):
        mu, tau = sample("mu", dist.Normal(20.0, 10.0)), sample("tau", dist.HalfNormal(5.0))
        with numpyro.plate("clinics", 16):
            z = sample("z", dist.Normal(0.0, 1.0))
        sigma = sample("sigma", dist.HalfNormal(10.0))
        mean = numpyro.deterministic("clinic", mu + tau * z)
        sample("days", dist.Normal(mean[clinic], sigma), obs=days)

    def varying_effects(segment, treated, y):
        mean = sample("mean", dist.Normal(0.0, 10.0).expand([2]).to_event(1))
        sds = sample("sds", dist.Exponential(1.0).expand([2]).to_event(1))
        corr_chol = sample("corr_chol", dist.LKJCholesky(2, concentration=2.0))
        with numpyro.plate("segments", 40):
            z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        sigma = sample("sigma", dist.Exponential(1.0))
        effects = numpyro.deterministic("segment", mean + z @ (sds[:, None] * corr_chol).T)
        numpyro.deterministic("rho", corr_chol[1, 0])
        sample(
            "y",
            dist.Normal(jnp.sum(effects[segment] * jnp.stack([jnp.ones_like(treated), treated], 1), 1), sigma),
            obs=y,
        )

    return {"pooling": pooling, "varying_effects": varying_effects}[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pooling", "varying_effects"])
def test_hierarchies_agree_with_numpyro(rows, name):
    import jax
    from numpyro.infer import MCMC, NUTS

    fit = rows[name]["fits"]["noncentred"]
    sampler = MCMC(NUTS(in_numpyro(name), target_accept_prob=0.95), num_warmup=1000, num_samples=1000,
                   num_chains=4, chain_method="vectorized", progress_bar=False)  # fmt: skip
    sampler.run(jax.random.key(3), **fit.posterior.data)
    other = sampler.get_samples(group_by_chain=True)
    values = {**fit.params, **fit.derived}
    shared = [parameter for parameter in values if parameter in other and parameter != "corr_chol"]
    assert len(shared) >= 4
    for parameter in shared:
        check_same(values[parameter], np.asarray(other[parameter]))


def test_the_command_runs_one_row(tmp_path):
    result = CliRunner().invoke(cli.app, ["demo", "regression/coin", "--out", str(tmp_path), "--seed", "1"])
    assert result.exit_code == 0, result.output
    assert "probability of heads" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coin.svg", "coin_graph.svg"]


def test_the_command_lists_the_rows_and_corrects_names():
    listed = CliRunner().invoke(cli.app, ["demo"]).output
    assert all(f"jaxlatent demo regression/{name}" in listed for name in regression.ROWS)
    wrong = CliRunner().invoke(cli.app, ["demo", "regression/colider"])
    assert wrong.exit_code == 2
    assert "did you mean 'regression/collider'?" in wrong.output
