"""Replicates as datasets of a batch: their spread against closed forms, SciPy and the observed information, and what is refused.

The standard error of a bootstrap of ``R`` replicates has a relative Monte Carlo error of about ``1 / sqrt(2 R)``; comparisons are within
`LIMIT` of these, see `monte_carlo`.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from monte_carlo import LIMIT
from numpyro.distributions import constraints
from scipy import optimize, stats

import jaxlatent as jl
from jaxlatent.selection import bootstrapping

FLAT = dist.ImproperUniform(constraints.real, (), ())
POSITIVE = dist.ImproperUniform(constraints.positive, (), ())
MLE = jl.Optimize(objective="mle")
REPLICATES = 400

LINE = jl.Model(
    {"a": FLAT, "b": FLAT, "sigma": POSITIVE},
    lambda p, d: {"y": dist.Normal(p.a + p.b * d.x, p.sigma)},
    derived=lambda p, d: {"at": p.a + p.b * d.x[:2]},
    name="line",
)
CONSTANT = jl.Model({"a": FLAT, "sigma": POSITIVE}, lambda p, d: {"y": dist.Normal(p.a, p.sigma)}, name="constant")


#: Under a prior in units of the data there is no density where all of these are the same.
COIN = jl.Model(
    {"logit": lambda p, d: dist.Normal(0.0, 4.0 * jnp.std(d.y * 1.0))},
    lambda p, d: {"y": dist.Bernoulli(logits=p.logit)},
)


def line(seed, rows=40, slope=0.5, missing=0.25):
    rng = np.random.default_rng(seed)
    x = rng.normal(1.0, 1.0, rows).astype(np.float32)
    y = (1.0 + slope * x + rng.normal(size=rows)).astype(np.float32)
    return {"x": x, "y": jl.Masked(np.where(np.arange(rows) < 3, np.nan, y), np.arange(rows) >= missing * rows)}


def least_squares(x, y):
    """Coefficients, standard deviation without correction, and the inverse of the normal matrix."""
    design = np.stack([np.ones_like(x), x], 1).astype(float)
    beta = np.linalg.lstsq(design, y.astype(float), rcond=None)[0]
    return *beta, np.sqrt(np.mean((y - design @ beta) ** 2)), np.linalg.inv(design.T @ design)


def seen_of(data):
    seen = data["y"].mask
    x = data["x"].values if isinstance(data["x"], jl.Masked) else data["x"]
    return x[seen], data["y"].values[seen]


@pytest.fixture(scope="module")
def parametric():
    return jl.bootstrap(LINE, line(0), MLE, 0, replicates=REPLICATES)


def test_a_parametric_bootstrap_of_a_regression_has_its_closed_form(parametric):
    """Given normal errors the replicates are normal, and the standard deviation is a chi variable: on the observed rows."""
    x, y = seen_of(line(0))
    a, b, sigma, inverse = least_squares(x, y)
    table, n = parametric.summary(prob=0.8), len(x)
    np.testing.assert_allclose(table["estimate"], [a, b, sigma, *(a + b * line(0)["x"][:2])], rtol=1e-3)
    directions = [(1.0, 0.0), (0.0, 1.0), *((1.0, at) for at in line(0)["x"][:2])]
    exact = sigma * np.sqrt([np.array(v) @ inverse @ np.array(v) for v in directions])
    lines = table.drop("sigma")
    np.testing.assert_allclose(lines["se"], exact, rtol=LIMIT / np.sqrt(2 * REPLICATES))
    assert (np.abs(lines["bias"]) < LIMIT * exact / np.sqrt(REPLICATES)).all()
    chi = stats.chi(n - 2, scale=sigma / np.sqrt(n))
    assert abs(table.loc["sigma", "bias"] - (chi.mean() - sigma)) < LIMIT * chi.std() / np.sqrt(REPLICATES)
    assert chi.mean() - sigma < -LIMIT * chi.std() / np.sqrt(REPLICATES) / 2
    # The error of a quantile of R values is sqrt(p (1 - p) / R) over the density there.
    error = LIMIT * exact * np.sqrt(0.1 * 0.9 / REPLICATES) / stats.norm.pdf(stats.norm.ppf(0.1))
    for kind in ("percentile", "basic"):
        for end, quantile in (("10%", -1), ("90%", 1)):
            wanted = lines["estimate"] + quantile * stats.norm.ppf(0.9) * exact
            assert (np.abs(lines[f"{kind}_{end}"] - wanted) < error).all()
    wanted = chi.ppf([0.1, 0.9])
    error = LIMIT * np.sqrt(0.1 * 0.9 / REPLICATES) / chi.pdf(wanted)
    row = table.loc["sigma"]
    assert (np.abs(row[["percentile_10%", "percentile_90%"]] - wanted) < error).all()
    assert (np.abs(row[["basic_90%", "basic_10%"]] - (2 * sigma - wanted)) < error).all()


def test_replicates_keep_covariates_and_masks_and_are_fitted_as_if_alone(parametric):
    data, given = line(0), parametric.result.posterior.data
    assert parametric.result.names[:2] == ("replicate 0", "replicate 1") and not parametric.failed
    np.testing.assert_array_equal(given["y"].mask, np.tile(data["y"].mask, (REPLICATES, 1)))
    np.testing.assert_array_equal(given["x"], np.tile(data["x"], (REPLICATES, 1)))
    for i in range(3):
        x, y = seen_of(jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), given))
        a, b, sigma, _ = least_squares(x, y)
        own = {name: value[i] for name, value in parametric.replicates.items()}
        np.testing.assert_allclose([own["a"], own["b"], own["sigma"]], [a, b, sigma], rtol=2e-3)
        np.testing.assert_allclose(own["at"], a + b * data["x"][:2], rtol=2e-3)


def test_rows_drawn_with_replacement_agree_with_scipy():
    found = jl.bootstrap(LINE, line(0), MLE, 1, kind="units", replicates=REPLICATES)
    assert found.kind == "row" and "rows drawn with replacement" in str(found)
    x, y = seen_of(line(0))
    given, seen = found.result.posterior.data, line(0)["y"].mask
    np.testing.assert_array_equal(given["y"].mask, np.tile(seen, (REPLICATES, 1)))
    pairs = set(zip(x.tolist(), y.tolist(), strict=True))
    drawn = zip(given["x"][:, seen].ravel().tolist(), given["y"].values[:, seen].ravel().tolist(), strict=True)
    assert set(drawn) == pairs

    def statistic(x, y, axis):
        x, y = np.moveaxis(np.stack([x, y]), axis, -1)
        off = x - x.mean(-1, keepdims=True)
        b = (off * y).sum(-1) / (off**2).sum(-1)
        a = y.mean(-1) - b * x.mean(-1)
        return np.stack([a, b, np.sqrt(np.mean((y - a[..., None] - b[..., None] * x) ** 2, -1))])

    peer = stats.bootstrap(
        (x, y),
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        confidence_level=0.8,
        method="percentile",
        rng=0,
    )
    table = found.summary(["a", "b", "sigma"], prob=0.8)
    np.testing.assert_allclose(table["se"], peer.standard_error, rtol=LIMIT / np.sqrt(2 * REPLICATES))
    # Near normal: the density at a quantile is about that of a normal.
    error = LIMIT * peer.standard_error * np.sqrt(0.1 * 0.9 / REPLICATES) / stats.norm.pdf(stats.norm.ppf(0.1))
    for end, wanted in zip(("10%", "90%"), peer.confidence_interval, strict=True):
        assert (np.abs(table[f"percentile_{end}"] - wanted) < error).all()


def test_a_batch_is_one_bootstrap_for_each_of_its_datasets():
    datasets = {"long": line(0), "short": line(1, rows=30)}
    found = jl.bootstrap(LINE, jl.batch(datasets), MLE, 0, replicates=200)
    assert found.result.names[199:201] == ("long, replicate 199", "short, replicate 0")
    assert found.replicates["b"].shape == (2, 200) and found.replicates["at"].shape == (2, 200, 2)
    table = found.summary(["b"], prob=0.5)
    assert table.index.names == ["dataset", "parameter"]
    for i, (name, data) in enumerate(datasets.items()):
        x, y = seen_of(data)
        _, b, sigma, inverse = least_squares(x, y)
        row = table.loc[name, "b"]
        np.testing.assert_allclose(row["estimate"], b, rtol=1e-3)
        np.testing.assert_allclose(row["se"], sigma * np.sqrt(inverse[1, 1]), rtol=LIMIT / np.sqrt(400))
        np.testing.assert_allclose(row["se"], found.replicates["b"][i].std(ddof=1), rtol=1e-5)
        given = found.result[f"{name}, replicate 7"].posterior.data
        b = least_squares(*seen_of(jax.tree.map(np.asarray, given)))[1]
        np.testing.assert_allclose(found.replicates["b"][i, 7], b, rtol=2e-3)
    assert "200 replicates of 2 datasets" in str(found)


@pytest.mark.filterwarnings("ignore:.*quarantined")
def test_failed_replicates_are_named_and_left_out():
    found = jl.bootstrap(COIN, {"y": np.array([0, 1, 1, 0, 1])}, jl.Optimize(), 0, replicates=60)
    drawn = np.asarray(found.result.posterior.data["y"])
    lost = (drawn == drawn[:, :1]).all(1)
    assert found.failed == tuple(f"replicate {i}" for i in np.flatnonzero(lost)) and 1 < lost.sum() < 30
    np.testing.assert_array_equal(np.isnan(found.replicates["logit"]), lost)
    cost = lambda logit, y: 5 * np.logaddexp(0, logit) - y.sum() * logit + (logit / (4 * y.std())) ** 2 / 2
    exact = [optimize.minimize_scalar(cost, args=(y,)).x for y in drawn[~lost]]
    np.testing.assert_allclose(found.replicates["logit"][~lost], exact, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.summary()["se"], np.std(exact, ddof=1), rtol=1e-3)
    assert f"{lost.sum()} of 60 fits failed, and are left out: replicate {np.argmax(lost)}" in str(found)


STATES = jl.models.hmm(2, jl.models.emissions.Gaussian())
EM = jl.EM(restarts=4)


def chains(seed=0, count=30, steps=60):
    rng = np.random.default_rng(seed)
    states = (rng.random((count, steps)) < 0.2).cumsum(1) % 2
    y = (rng.normal(size=(count, steps)) + 2.0 * states).astype(np.float32)
    return {"y": [jl.Masked(one[: steps - i % 3], rng.random(steps - i % 3) < 0.9) for i, one in enumerate(y)]}


@pytest.fixture(scope="module")
def states():
    return jl.bootstrap(STATES, chains(), EM, 0, replicates=100)


@pytest.mark.slow
def test_standard_errors_of_a_hidden_markov_model_are_those_of_the_observed_information(states):
    """By `jax.hessian` of the forward recursion in the natural parameters, at the estimates."""
    given = states.original.posterior.data["y"]
    y, seen, p = np.asarray(given.values), np.asarray(given.mask), states.estimates

    def log_likelihood(theta):
        means, covs, stay = theta[:2], theta[2:4], theta[4:]
        matrix = jnp.stack([jnp.stack([stay[0], 1 - stay[0]]), jnp.stack([1 - stay[1], stay[1]])])
        logs = -((y[..., None] - means) ** 2) / (2 * covs) - jnp.log(covs) / 2
        logs = jnp.where(seen[..., None], logs, 0.0)

        def step(alpha, now):
            total = alpha @ matrix * jnp.exp(now)
            return total / total.sum(-1, keepdims=True), jnp.log(total.sum(-1))

        first = p["initial_probs"] * jnp.exp(logs[:, 0])
        alpha = first / first.sum(-1, keepdims=True)
        terms = jax.lax.scan(step, alpha, jnp.moveaxis(logs[:, 1:], 1, 0))[1]
        return jnp.sum(jnp.log(first.sum(-1))) + jnp.sum(terms)

    theta = np.concatenate([p["means"], p["covs"], np.diag(p["transition_matrix"])])
    exact = np.sqrt(np.diag(np.linalg.inv(-np.asarray(jax.hessian(log_likelihood)(theta), float))))
    names = [f"{name}[{k}]" for name in ("means", "covs") for k in range(2)]
    found = states.summary().loc[[*names, *(f"transition_matrix[{k}, {k}]" for k in range(2))], "se"]
    np.testing.assert_allclose(found, exact, rtol=LIMIT / np.sqrt(200))


def test_labels_of_replicates_are_those_of_the_fit_to_the_data(states, monkeypatch):
    """Started with labels exchanged, the fits end so, and are put back."""
    ordered = bootstrapping.starts_at

    def exchanged(points, count):
        starts = ordered(points, count)
        return {
            name: x[:, :, ::-1, ::-1] if name == "transition_matrix" else x[:, :, ::-1] for name, x in starts.items()
        }

    monkeypatch.setattr(bootstrapping, "starts_at", exchanged)
    again = jl.bootstrap(STATES, chains(), EM, 0, replicates=100)
    assert np.mean((again.result.params["means"][:, 0, 0] - again.estimates["means"][1]) ** 2) < 0.05
    for name, value in states.replicates.items():
        np.testing.assert_allclose(again.replicates[name], value, atol=5e-3)


def test_sequences_are_drawn_whole_with_their_masks():
    """Of a table, whose labels of sequences no parameter has."""
    parts = [
        pd.DataFrame({"session": i, "y": np.where(one.mask, one.values, np.nan)}) for i, one in enumerate(chains()["y"])
    ]
    data = jl.sequences(pd.concat(parts), sequence="session", y="y")
    found = jl.bootstrap(STATES, data, EM, 0, kind="units", replicates=100)
    given, own = (jax.tree.map(np.asarray, fit.posterior.data["y"]) for fit in (found.result, found.original))
    known = {values.tobytes(): mask for values, mask in zip(own.values, own.mask, strict=True)}
    assert found.kind == "sequence" and given.values.shape == (100, *own.values.shape)
    for values, mask in zip(np.concatenate(given.values), np.concatenate(given.mask), strict=True):
        np.testing.assert_array_equal(known[values.tobytes()], mask)
    assert np.isnan(found.summary(prob=0.99)["basic_0.5%"]).all() and np.isfinite(found.summary()["se"]).all()


FACTOR = jl.Model({"mu": FLAT}, lambda p, d: {"extra": jl.Factor(-((d.y - p.mu) ** 2).sum())})
EACH = jl.Model({"mu": dist.Normal(0.0, 1.0).expand([4]).to_event(1)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0)})
PULLED = jl.Model({"mu": FLAT}, lambda p, d: {"y": dist.Normal(p.mu + 0.5 * d.y.mean(), 1.0)})
LAGGED = jl.models.hmm(2, jl.models.emissions.Autoregression(1))
Y = {"y": np.array([0.0, 1.0, 2.0, 4.0])}
TIMES = {"y": np.array([0.5, 1.0, 2.0, 3.0, 3.0]), "cut": np.array([0, 0, 0, 1, 1])}
CENSORED = jl.Model(
    {"rate": dist.LogNormal(0.0, 2.0)},
    lambda p, d: {"y": dist.RightCensoredDistribution(dist.Exponential(p.rate), d.cut)},
)


@pytest.mark.parametrize(
    ("model", "data", "engine", "options", "message"),
    [
        (CONSTANT, Y, jl.NUTS(), {}, "an engine of point fits"),
        (CONSTANT, Y, MLE, {"kind": "blocks"}, "one of .'parametric', 'units'."),
        (CONSTANT, Y, MLE, {"replicates": 1}, "at least 2"),
        (CONSTANT, Y, MLE, {"shard": (0, 2)}, "lacks some of the replicates"),
        (CONSTANT, Y, MLE, {"replicate": 10}, "did you mean 'replicates'"),
        (FACTOR, Y, jl.Optimize(), {}, "kind='units', which draws nothing"),
        (PULLED, Y, jl.Optimize(), {}, "depends on observed values"),
        (LAGGED, {"y": np.arange(40.0) % 5}, jl.EM(restarts=1), {}, "depends on observed values"),
        (CENSORED, TIMES, MLE, {}, "a censored distribution[\\s\\S]*kind='units'"),
        (PULLED, Y, jl.Optimize(), {"kind": "units"}, "depend on other rows"),
        (EACH, Y, jl.Optimize(), {"kind": "units"}, "or on their place"),
        (STATES, {"y": np.arange(40.0) % 5}, jl.EM(restarts=1), {"kind": "units"}, "one sequence"),
    ],
)
@pytest.mark.usefixtures("wrong_types")
def test_what_has_no_bootstrap_is_told(model, data, engine, options, message, monkeypatch):
    """Before any fit."""
    monkeypatch.setattr(bootstrapping, "fit", None)
    with pytest.raises(jl.InputError, match=message):
        jl.bootstrap(model, data, engine, 0, **options)


def test_unknown_names_and_probabilities_are_told(parametric):
    with pytest.raises(jl.InputError, match="did you mean 'sigma'"):
        parametric.summary(["sigmas"])
    with pytest.raises(jl.InputError, match="between 0 and 1"):
        parametric.summary(prob=95.0)


@pytest.mark.filterwarnings("ignore:.*quarantined", "ignore:.*all lanes of")
def test_a_dataset_without_a_fit_is_told_or_set_aside():
    data = jl.batch({"same": {"y": np.array([1, 1, 1, 1, 1])}, "both": {"y": np.array([0, 1, 1, 0, 1])}})
    with pytest.raises(jl.InputError, match=r"dataset 'same'[\s\S]*no fit to the data"):
        jl.bootstrap(COIN, data, jl.Optimize(), 0, replicates=30)
    found = jl.bootstrap(COIN, data, jl.Optimize(), 0, replicates=30, on_bad_data="quarantine")
    table = found.summary()
    assert table.loc["same"].isna().all(axis=None) and np.isfinite(table.loc["both", "se"]).all()
    assert set(found.failed) >= {f"same, replicate {i}" for i in range(30)}
    assert "QUARANTINED" in str(found)


# The likelihood-ratio test.


def test_statistics_under_the_smaller_model_have_the_exact_distribution():
    """Of a slope in a regression with n rows: n log(1 + F / (n - 2)) of an F variable."""
    found = jl.likelihood_ratio_test(CONSTANT, LINE, line(0), MLE, 0, replicates=REPLICATES)
    n = int(line(0)["y"].mask.sum())
    exact = lambda statistic: stats.f(1, n - 2).sf((n - 2) * np.expm1(statistic / n))
    assert stats.kstest(exact(found.null), "uniform").pvalue > 1e-3
    x, y = seen_of(line(0))
    statistic = n * np.log(y.var(dtype=float) / least_squares(x, y)[2] ** 2)
    np.testing.assert_allclose(found.statistic, statistic, rtol=1e-3)
    row = found.table.loc["data"]
    np.testing.assert_allclose(found.pvalue, (1 + np.sum(found.null >= found.statistic)) / (REPLICATES + 1))
    np.testing.assert_allclose(row["pvalue_se"], np.sqrt(found.pvalue * (1 - found.pvalue) / (REPLICATES + 1)))
    assert abs(found.pvalue - exact(statistic)) < LIMIT * row["pvalue_se"]
    assert f"{np.sum(found.null >= found.statistic)} of {REPLICATES} datasets" in str(found)
    assert not found.penalised and row["negative"] == 0 and not found.failed
    given = found.replicates[1].posterior.data
    np.testing.assert_array_equal(given["y"].mask, np.tile(line(0)["y"].mask, (REPLICATES, 1)))
    np.testing.assert_array_equal(given["y"].values, found.replicates[0].posterior.data["y"].values)


@pytest.mark.slow
def test_p_values_of_a_batch_are_those_of_each_dataset():
    """Uniform where the smaller model holds; small where it does not."""
    slopes = {f"{slope}, {i}": slope for slope in (0.0, 1.0) for i in range(8)}
    data = {name: line(i, slope=slope) for i, (name, slope) in enumerate(slopes.items())}
    found = jl.likelihood_ratio_test(CONSTANT, LINE, jl.batch(data), MLE, 1, replicates=49)
    for name, one in data.items():
        x, y = seen_of(one)
        n, row = len(x), found.table.loc[name]
        statistic = n * np.log(y.var(dtype=float) / least_squares(x, y)[2] ** 2)
        np.testing.assert_allclose(row["statistic"], statistic, rtol=1e-2, atol=1e-3)
        exact = stats.f(1, n - 2).sf((n - 2) * np.expm1(statistic / n))
        # The draws are binomial, and the p-value counts one more.
        assert abs(row["pvalue"] - (1 + 49 * exact) / 50) <= LIMIT * np.sqrt(exact * (1 - exact) / 49) + 0.5 / 49
    assert found.null.shape == (16, 49) and found.pvalue.shape == (16,)
    assert found.larger.names[0] == "0.0, 0, data"


MIXTURE = lambda K: jl.models.gaussian_mixture(K, None)


@pytest.mark.slow
def test_two_components_are_found_where_there_are_two():
    rng = np.random.default_rng(0)
    apart = {"y": np.concatenate([rng.normal(-2, 1, 40), rng.normal(2, 1, 40)]).astype(np.float32)}
    data = jl.batch({"one": {"y": rng.normal(size=80).astype(np.float32)}, "two": apart})
    found = jl.likelihood_ratio_test(MIXTURE(1), MIXTURE(2), data, jl.EM(restarts=5), 0, replicates=39)
    table = found.table
    assert found.penalised and table.loc["two", "pvalue"] == 1 / (1 + table.loc["two", "replicates"]) < 0.05
    assert table.loc["one", "pvalue"] > 1 / 39
    # Chi-squared with three degrees of freedom, of which 5 % lie above 7.8, is not the distribution here.
    for i, result in enumerate((found.smaller, found.larger)):
        terms = result.best().log_likelihood()["y"].sum(-1)
        np.testing.assert_allclose(table[("smaller", "larger")[i]], terms, rtol=1e-5)
    lost = len(found.failed)
    assert lost == table["failed"].sum() == 2 * 39 - table["replicates"].sum()
    assert ("failed, and are left out" in str(found)) == (lost > 0)
    assert ("more restarts" in str(found)) == (table["negative"].sum() > 0)


@pytest.mark.parametrize(
    ("smaller", "larger", "options", "message"),
    [
        (LINE, CONSTANT, {}, "swap them"),
        (CONSTANT, LINE, {"init": {"a": 0.0}}, "the models have other parameters"),
        (CONSTANT, LINE, {"replicates": 0}, "at least 1 replicate"),
        (CONSTANT, LINE, {"kind": "units"}, "an unknown option"),
        (
            CONSTANT,
            jl.Model({"a": FLAT, "b": FLAT, "c": FLAT}, lambda p, d: {"x": dist.Normal(p.a, 1.0)}),
            {},
            "the same observations",
        ),
        (FACTOR, LINE, {}, "the same observations"),
        (CONSTANT, replace(LINE, adjustment=lambda p, d, expected: 0.0), {}, "not given the effects of groups"),
    ],
)
@pytest.mark.usefixtures("wrong_types")
def test_what_has_no_likelihood_ratio_is_told(smaller, larger, options, message):
    with pytest.raises(jl.InputError, match=message):
        jl.likelihood_ratio_test(smaller, larger, line(0), MLE, 0, **options)


# Sensitivity to priors.

TREND = lambda scale: jl.Model(
    {"b": dist.Normal(0.0, scale).expand([2]).to_event(1)}, lambda p, d: {"y": dist.Normal(d.x @ p.b, 1.0)}
)


def trend(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(20, 2)).astype(np.float32)
    return {"x": x, "y": (x @ np.array([1.0, -0.5]) + rng.normal(size=20)).astype(np.float32)}


def conjugate(data, scale):
    x, y = data["x"].astype(float), data["y"].astype(float)
    precision = x.T @ x + np.eye(2) / scale**2
    return np.linalg.solve(precision, x.T @ y), np.sqrt(np.diag(np.linalg.inv(precision)))


def test_shifts_of_point_fits_are_those_of_conjugate_posteriors():
    data = {"one": trend(), "other": trend(1)}
    found = jl.prior_sensitivity(TREND, [1.0, 0.2, 5.0], jl.batch(data), jl.Optimize(), 0)
    for name, one in data.items():
        base, sd = conjugate(one, 1.0)
        for scale in (1.0, 0.2, 5.0):
            mean = conjugate(one, scale)[0]
            for i in range(2):
                row = found.table.loc[name, f"b[{i}]", scale]
                np.testing.assert_allclose(row["value"], mean[i], rtol=1e-3, atol=1e-4)
                np.testing.assert_allclose(row["shift"], (mean - base)[i] / sd[i], rtol=2e-3, atol=2e-3)
    assert found.estimates.shape == (4, 4) and found.reference == 1.0
    most = found.table["shift"].abs().idxmax()
    assert f"Largest shift: {most[0]}, {most[1]} by {found.table['shift'][most]:.2f} standard errors" in str(found)


def test_shifts_of_draws_are_within_their_monte_carlo_error():
    found = jl.prior_sensitivity(TREND, [1.0, 0.2], trend(), jl.Laplace(draws=2000), 0, prob=0.8)
    (base, sd), (mean, _) = conjugate(trend(), 1.0), conjugate(trend(), 0.2)
    rows = found.table.xs(0.2, level="setting")
    assert (np.abs(rows["shift"] - (mean - base) / sd) < LIMIT * rows["shift_se"] + 0.02 * np.abs(rows["shift"])).all()
    assert list(found.table.columns)[:4] == ["mean", "sd", "eti_10%", "eti_90%"]
    assert "posterior standard deviations" in str(found)


def test_labels_are_in_the_order_of_the_reference():
    rng = np.random.default_rng(0)
    data = {"y": np.concatenate([rng.normal(-2, 1, 40), rng.normal(2, 1, 20)]).astype(np.float32)}
    build = lambda c: jl.models.gaussian_mixture(2, None, concentration=c)
    start = {"mixture_weights": np.array([0.5, 0.5]), "covs": np.ones(2), "means": np.array([-2.0, 2.0])}
    init = lambda c: start if c < 2 else {name: value[::-1].copy() for name, value in start.items()}
    found = jl.prior_sensitivity(build, [1.1, 3.0], data, jl.EM(restarts=1), 0, init=init)
    rows = found.table["value"].unstack("setting")
    np.testing.assert_allclose(rows[1.1], rows[3.0], atol=0.2)
    assert rows.loc["means[0]", 1.1] < 0 < rows.loc["means[1]", 3.0]
    assert "units of the parameter" in str(found)


@pytest.mark.parametrize(
    ("build", "settings", "options", "message"),
    [
        (TREND, [1.0], {}, "at least two settings"),
        (TREND, [1.0, 1.0], {}, "each once"),
        (TREND, [1.0, 2.0], {"prob": 2.0}, "between 0 and 1"),
        (TREND, [1.0, 2.0], {"folds": 3}, "an unknown option"),
        (lambda s: None, [1.0, 2.0], {}, "a jaxlatent.Model"),
        (MIXTURE, [1, 2], {}, "change nothing but priors"),
    ],
)
@pytest.mark.usefixtures("wrong_types")
def test_settings_that_cannot_be_compared_are_told(build, settings, options, message):
    with pytest.raises(jl.InputError, match=message):
        jl.prior_sensitivity(build, settings, trend(), jl.Optimize(), 0, **options)


def test_censored_times_are_drawn_with_their_indicators_only():
    """Of an exponential distribution the estimate is events over time, and its standard error that over the root of events."""
    times = np.random.default_rng(0).exponential(2.0, 60)
    data = {"y": np.minimum(times, 3.0), "cut": (times >= 3.0).astype(int)}
    found = jl.bootstrap(CENSORED, data, MLE, 0, kind="units", replicates=REPLICATES).table.loc["rate"]
    events = (times < 3.0).sum()
    rate = events / data["y"].sum()
    assert (
        abs(found["estimate"] - rate) < 1e-3 * rate
        and abs(found["bias"]) < 0.2 * found["se"] < 0.3 * rate / events**0.5
    )
    trended = jl.Model(
        {**CENSORED.prior, "slope": FLAT},
        lambda p, d: {"y": dist.RightCensoredDistribution(dist.Exponential(p.rate + p.slope * d.cut), d.cut)},
    )
    with pytest.raises(jl.InputError, match=r"calibrate[\s\S]*a censored distribution[\s\S]*dist.Exponential"):
        jl.calibrate(CENSORED, data, jl.NUTS(), 0, simulations=10)
    with pytest.raises(
        jl.InputError, match=r"likelihood_ratio_test[\s\S]*a censored distribution[\s\S]*cross_validate"
    ):
        jl.likelihood_ratio_test(jl.fix(trended, slope=0.0), trended, data, MLE, 0)
    fit = jl.fit(CENSORED, data, MLE, 0)
    with pytest.warns(UserWarning, match="draws of 'y' are uncensored"):
        assert fit.predict(0)["y"].max() > 3.0
    with pytest.warns(UserWarning, match=r"model.sample\(\): draws of 'y' are uncensored"):
        assert CENSORED.sample({"cut": data["cut"]}, 0, fit.best().params)[0]["y"].max() > 3.0


@pytest.mark.parametrize("kind", ["Left", "Right"])
def test_a_censored_distribution_without_a_distribution_function_is_told(kind):
    censored = getattr(dist, f"{kind}CensoredDistribution")
    model = jl.Model(CENSORED.prior, lambda p, d: {"y": censored(dist.Exponential(p.rate).expand([5]), d.cut)})
    with pytest.raises(jl.InputError, match=r"without a cdf[\s\S]*leave `.expand` out"):
        jl.fit(model, TIMES, MLE, 0)
