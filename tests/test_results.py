"""What a `Result` hands out: shapes, tables, predictions, criteria, both lines of ArviZ; and agreement with NumPyro."""

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr
from monte_carlo import LIMIT, check_moments, check_same
from scipy import stats

import jaxlatent as jl
from jaxlatent.diagnostics import ess_bulk, rhat

#: Incomes above 50,000 by education (7) and sex (2) in the census data of 1994, a tenth of it.
TOTAL = np.array([132, 293, 339, 711, 323, 513, 59, 137, 162, 374, 54, 119, 9, 33])
ABOVE = np.array([2, 22, 23, 145, 25, 140, 11, 68, 34, 188, 18, 78, 5, 26])
EDUCATION, SEX = np.repeat(np.arange(7), 2), np.tile([0, 1], 7)
DATA = {"income": ABOVE, "total": TOTAL, "education": EDUCATION, "sex": SEX}
LABELS = ["none", "school", "college", "vocational", "bachelor", "master", "doctor"]
CENSUS = jl.Model(
    {
        "a": dist.Normal(0.0, 10.0),
        "sigma": dist.HalfCauchy(2.0),
        "alpha": lambda p: jl.noncentred(dist.Normal(p.a, p.sigma).expand([7]).to_event(1)),
        "male": dist.Normal(0.0, 1.0),
    },
    lambda p, d: {"income": dist.Binomial(d.total, logits=p.alpha[d.education] + p.male * d.sex)},
    derived=lambda p, d: {"p_male": jax.nn.sigmoid(p.alpha + p.male)},
    dims={"alpha": ("education",), "p_male": ("education",), "income": ("cell",)},
    name="census",
)
ENGINE = jl.NUTS(chains=4, warmup=400, draws=500)


def census_in_numpyro(income, total, education, sex):
    a = numpyro.sample("a", dist.Normal(0.0, 10.0))
    sigma = numpyro.sample("sigma", dist.HalfCauchy(2.0))
    with numpyro.handlers.reparam(config={"alpha": numpyro.infer.reparam.LocScaleReparam(0.0)}):
        alpha = numpyro.sample("alpha", dist.Normal(a, sigma).expand([7]).to_event(1))
    male = numpyro.sample("male", dist.Normal(0.0, 1.0))
    numpyro.sample("income", dist.Binomial(total, logits=alpha[education] + male * sex), obs=income)


@pytest.fixture(scope="module")
def single():
    return jl.fit(CENSUS, DATA, ENGINE, seed=4, coords={"education": LABELS})


@pytest.fixture(scope="module")
def many():
    other = {**DATA, "income": np.minimum(ABOVE + 5, TOTAL)}
    data = jl.batch({"1994": DATA, "later": other})
    return jl.fit(CENSUS, data, jl.NUTS(chains=2, warmup=200, draws=100), seed=4, coords={"education": LABELS})


def groups(idata):
    """Names of the groups of either container."""
    names = idata.groups() if callable(idata.groups) else idata.groups
    return {name.strip("/") for name in names} - {""}


# --- shapes -----------------------------------------------------------------------------------------------------------


def test_arrays_lead_with_dataset_chain_and_draw(single, many):
    for result, lead in ((single, (4, 500)), (many, (2, 2, 100))):
        shapes = {name: value.shape for name, value in {**result.params, **result.derived}.items()}
        assert shapes == {"a": lead, "sigma": lead, "alpha": (*lead, 7), "male": lead, "p_male": (*lead, 7)}
        assert result.positions.shape == (*lead, 10)
        assert result.status.shape == result.objective.shape == lead[:-1]
        names = {"lp", "energy", "acceptance_rate", "n_steps", "tree_depth", "diverging", "step_size"}
        by_lane = {"diagonal_metric", "curvature_ratio", "warmup_moves"}
        assert result.statistics.keys() == names | by_lane
        assert all(x.shape == (lead[:-1] if name in by_lane else lead) for name, x in result.statistics.items())
        assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves((result.params, result.statistics)))
    assert single.leading == ("chain", "draw") and many.leading == ("dataset", "chain", "draw")
    assert single.names is None and many.names == ("1994", "later")


def test_named_values_are_those_of_the_positions(single, many):
    posterior = jl.condition(CENSUS, DATA)
    params = jax.vmap(posterior.constrain)(single.positions[1])
    for name, value in params.items():
        np.testing.assert_allclose(value, single.params[name][1], rtol=1e-5, atol=1e-6)
    lp = jax.vmap(posterior.log_density)(single.positions[1])
    np.testing.assert_allclose(single.statistics["lp"][1], lp, rtol=1e-4, atol=1e-3)
    p_male = 1 / (1 + np.exp(-(many.params["alpha"] + many.params["male"][..., None])))
    np.testing.assert_allclose(many.derived["p_male"], p_male, rtol=1e-5)


def test_one_dataset_of_a_batch(many):
    one = many["later"]
    assert one.names is None and one.leading == ("chain", "draw") and one.params["alpha"].shape == (2, 100, 7)
    np.testing.assert_array_equal(one.params["alpha"], many.params["alpha"][1])
    np.testing.assert_array_equal(one.posterior.data["income"], np.minimum(ABOVE + 5, TOTAL))
    np.testing.assert_allclose(one.log_likelihood()["income"], many.log_likelihood()["income"][1], rtol=1e-5)
    for result, name, remedy in (
        (many, "1995", "use result.names to see them"),
        (one, "later", "use the result itself"),
        (one, "alpha", r"use result\.params\['alpha'\]"),
        (many, "p_male", r"use result\.derived\['p_male'\]"),
    ):
        with pytest.raises(jl.InputError, match=remedy):
            result[name]


def test_means_and_best_lanes(single, many):
    np.testing.assert_allclose(single.mean()["alpha"], single.params["alpha"].mean((0, 1)))
    np.testing.assert_allclose(many.mean()["alpha"], many.params["alpha"].mean((1, 2)))
    lane = int(np.argmax(single.objective))
    best = single.best()
    assert best.params["alpha"].shape == (1, 500, 7)
    np.testing.assert_array_equal(best.params["alpha"][0], single.params["alpha"][lane])
    np.testing.assert_array_equal(best.objective, single.objective[[lane]])
    rows = np.argmax(many.objective, 1)
    np.testing.assert_array_equal(many.best().params["a"][:, 0], many.params["a"][[0, 1], rows])


def test_parameters_stand_in_the_order_of_the_model(single):
    assert list(single.params) == ["a", "sigma", "alpha", "male"]


def test_the_printed_form_says_what_there_is(single):
    text = repr(single)
    assert text.startswith("Result(NUTS; ") and text.endswith("; lanes: 4 OK)")
    assert "alpha (4, 500, 7)" in text and "sigma (4, 500)" in text


def test_provenance_tells_how_it_came_about(single):
    p = single.provenance
    assert p.engine == "NUTS" and p.seed == 4 and p.x64 is jax.config.jax_enable_x64
    assert p.settings["draws"] == 500 and p.settings["target_accept"] == 0.8
    assert p.versions["jax"] == jax.__version__ and {"python", "jaxlatent", "numpyro"} <= p.versions.keys()
    assert p.device.startswith("1 x ") and p.created.endswith("+00:00")
    parts = [p.timings[name] for name in ("compile", "warmup", "sampling")]
    assert min(parts) > 0 and sum(parts) <= p.timings["total"]


# --- what follows from the draws --------------------------------------------------------------------------------------


def test_the_summary_is_that_of_the_draws(single):
    table = single.summary(["alpha", "male"])
    assert list(table.index) == [f"alpha[{label}]" for label in LABELS] + ["male"]
    draws = np.concatenate([single.params["alpha"], single.params["male"][..., None]], -1)
    np.testing.assert_allclose(table["mean"], draws.mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(table["sd"], draws.std((0, 1), ddof=1), rtol=1e-4)
    np.testing.assert_allclose(table["eti_3%"], np.quantile(draws, 0.03, (0, 1)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["r_hat"], rhat(draws), rtol=1e-4)
    np.testing.assert_allclose(table["ess_bulk"], ess_bulk(draws), rtol=1e-2)
    np.testing.assert_allclose(table["mcse_mean"], table["sd"] / np.sqrt(table["ess_bulk"]), rtol=0.2)
    with pytest.raises(jl.InputError, match="did you mean 'alpha'"):
        single.summary(["alhpa"])


def test_the_summary_of_a_batch_has_a_row_for_each_dataset(many):
    table = many.summary()
    assert table.index.names == ["dataset", "parameter"] and len(table) == 2 * (3 + 7 + 7)
    np.testing.assert_allclose(table.loc[("later", "a"), "mean"], many.params["a"][1].mean(), rtol=1e-4)


def test_the_log_likelihood_is_that_written_out(single):
    terms = single.log_likelihood()["income"]
    logits = single.params["alpha"][..., EDUCATION] + single.params["male"][..., None] * SEX
    exact = stats.binom.logpmf(ABOVE, TOTAL, 1 / (1 + np.exp(-logits.astype(float))))
    assert terms.shape == (4, 500, 14)
    np.testing.assert_allclose(terms, exact, rtol=1e-3, atol=2e-3)


def test_waic_and_loo_by_their_definitions(single, many):
    terms = single.log_likelihood()["income"].astype(float).reshape(2000, 14)
    lppd = np.log(np.exp(terms).mean(0))
    elpd = lppd.sum() - terms.var(0, ddof=1).sum()
    assert abs(single.waic().elpd - elpd) < 0.05
    loo, weights = single.loo(), np.exp(terms.mean(0) - terms)
    # Plain importance sampling has a variance only where tails are light.
    light = loo.pareto_k < 0.4
    importance = (terms.mean(0) - np.log(weights.mean(0)))[light]
    error = (weights.std(0) / weights.mean(0) / np.sqrt(len(terms)))[light]
    assert light.any() and np.all(np.abs(loo.pointwise[light] - importance) < 4 * error)
    assert np.isfinite(many["later"].loo().elpd)
    for of_batch, of_one in ((many.waic, many["later"].waic), (many.loo, many["later"].loo)):
        assert abs(of_batch().loc["later", "elpd"] - of_one().elpd) < 1e-3


LINE = jl.Model(
    {"level": dist.Normal(0.0, 2.0), "slope": dist.Normal(0.0, 2.0)},
    lambda p, d: {"y": dist.Normal(p.level + p.slope * d.x, 1.5), "n": dist.Bernoulli(logits=p.slope * d.x)},
)


def line(shift):
    x = np.linspace(0.0, 2.0, 4, dtype=np.float32)
    return {"x": x, "y": 1.0 + 2.0 * x + shift, "n": np.array([1, 0, 0, 1])}


@pytest.fixture(scope="module")
def lines():
    """No Binomial here: under `vmap`, NumPyro 0.22 on jax 0.12 may never return from a Binomial draw."""
    return jl.fit(
        LINE, jl.batch({"low": line(-3.0), "high": line(3.0)}), jl.NUTS(chains=2, warmup=100, draws=500), seed=2
    )


def check_predictions(drawn, params, x):
    """Given the parameters draws are independent: their scores are standard normal."""
    mean = params["level"][..., None] + params["slope"][..., None] * x
    assert drawn["y"].shape == drawn["n"].shape == mean.shape
    for column in ((drawn["y"] - mean) / 1.5).reshape(-1, len(x)).T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    p = 1 / (1 + np.exp(-params["slope"][..., None].astype(float) * x))
    score = (drawn["n"] - p).sum() / np.sqrt((p * (1 - p)).sum())
    assert abs(score) < LIMIT


def test_predictions_follow_the_likelihood(lines):
    drawn = lines.predict(seed=1)
    check_predictions(drawn, lines.params, line(0.0)["x"])
    np.testing.assert_array_equal(drawn["y"], lines.predict(seed=1)["y"])
    assert (drawn["y"] != lines.predict(seed=2)["y"]).mean() > 0.99


def test_predictions_at_other_covariates(lines):
    other = {"x": np.array([-1.0, 5.0], np.float32)}
    check_predictions(lines.predict(seed=1, data=other), lines.params, other["x"])
    two = jl.batch([other, {"x": other["x"] + 1}])
    drawn = lines.predict(seed=1, data=two)
    for i, result in enumerate((lines["low"], lines["high"])):
        check_predictions({name: value[i] for name, value in drawn.items()}, result.params, other["x"] + i)
    one = lines["high"]
    check_predictions(one.predict(seed=1, data=other), one.params, other["x"])


# --- ArviZ ------------------------------------------------------------------------------------------------------------


def test_arviz_gets_its_own_container(single):
    idata = single.to_arviz()
    expected = az.InferenceData if az.__version__.startswith("0.") else xr.DataTree
    assert isinstance(idata, expected)
    assert groups(idata) == {"posterior", "sample_stats", "log_likelihood", "observed_data", "constant_data"}
    alpha = idata["posterior"]["alpha"]
    assert alpha.dims == ("chain", "draw", "education") and list(alpha.education.values) == LABELS
    np.testing.assert_array_equal(alpha.values, single.params["alpha"])
    assert idata["posterior"]["p_male"].dims == ("chain", "draw", "education")
    assert idata["log_likelihood"]["income"].dims == ("chain", "draw", "cell")
    assert idata["observed_data"]["income"].dims == ("cell",)
    assert set(idata["constant_data"].data_vars) == {"total", "education", "sex"}
    attributes = idata["posterior"].attrs
    assert (
        attributes["inference_library"] == "jaxlatent"
        and attributes["seed"] == "4"
        and "draws=500" in attributes["settings"]
    )


def test_arviz_gets_predictions_if_asked(lines):
    idata = lines.to_arviz(predictions=1)
    predicted = idata["posterior_predictive"]["y"]
    assert predicted.dims[:3] == ("chain", "draw", "dataset") and predicted.shape == (2, 500, 2, 4)
    np.testing.assert_array_equal(np.moveaxis(predicted.values, 2, 0), lines.predict(seed=1)["y"])


def test_arviz_computes_with_it(single):
    idata = single.to_arviz()
    table = az.summary(idata, var_names=["alpha"])
    mine = single.summary(["alpha"])
    np.testing.assert_allclose(table["mean"].astype(float), mine["mean"], rtol=0.02, atol=0.01)
    np.testing.assert_allclose(table["ess_bulk"].astype(float), mine["ess_bulk"], rtol=0.01, atol=1.0)
    loo = az.loo(idata)
    elpd = getattr(loo, "elpd_loo", None) if hasattr(loo, "elpd_loo") else loo.elpd
    np.testing.assert_allclose(elpd, single.loo().elpd, atol=0.2)


def test_a_batch_keeps_chain_and_draw_first(many):
    idata = many.to_arviz()
    alpha = idata["posterior"]["alpha"]
    assert alpha.dims == ("chain", "draw", "dataset", "education") and list(alpha.dataset.values) == ["1994", "later"]
    np.testing.assert_array_equal(alpha.sel(dataset="later").values, many.params["alpha"][1])
    assert idata["observed_data"]["income"].dims == ("dataset", "cell")


def plain(group):
    """A group of either container as an `xarray.Dataset`."""
    return group.to_dataset() if hasattr(group, "to_dataset") else group


def test_to_disk_and_back(single, many, tmp_path):
    for name, result in (("single", single), ("many", many)):
        path, idata = tmp_path / name, result.to_arviz()
        if az.__version__.startswith("0."):
            idata.to_netcdf(str(path), engine="h5netcdf")
            back = az.from_netcdf(str(path), engine="h5netcdf")
        else:
            idata.to_zarr(path)
            back = xr.open_datatree(path, engine="zarr")
        assert groups(back) == groups(idata)
        for group in groups(idata):
            xr.testing.assert_equal(plain(idata[group]), plain(back[group]))
        assert back["posterior"].attrs["engine"] == "NUTS"


def test_a_bare_log_density_has_draws_and_says_what_it_has_not():
    posterior = jl.from_log_density(lambda p: -0.5 * jnp.sum(p["x"] ** 2), {"x": jnp.zeros(2)})
    result = jl.fit(posterior, None, jl.NUTS(chains=2, warmup=20, draws=20), seed=0)
    assert groups(result.to_arviz()) == {"posterior", "sample_stats"}
    for call in (result.log_likelihood, lambda: result.predict(1), result.waic, result.loo):
        with pytest.raises(jl.InputError, match=r"jl\.Model"):
            call()


# --- another library --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_numpyro_gives_the_same_posterior(single):
    mcmc = numpyro.infer.MCMC(
        numpyro.infer.NUTS(census_in_numpyro), num_warmup=500, num_samples=1000, num_chains=2,
        chain_method="vectorized", progress_bar=False,
    )  # fmt: skip
    mcmc.run(jax.random.key(0), ABOVE, TOTAL, EDUCATION, SEX)
    theirs = mcmc.get_samples(group_by_chain=True)
    for name in ("a", "alpha", "male"):
        check_same(single.params[name], theirs[name])
    # half-Cauchy tails: compare logarithms, whose moments exist
    check_same(np.log(single.params["sigma"]), np.log(theirs["sigma"]))


def normal_in_numpyro(x, y):
    mean = numpyro.sample("mean", dist.Normal(0.0, 2.0))
    centre = numpyro.deterministic("centre", mean + x)
    numpyro.sample("y", dist.Normal(centre, 1.5), obs=y)


def test_a_numpyro_model_through_the_adapter_gives_the_exact_posterior():
    x, y = np.arange(4, dtype=np.float32), np.array([1.0, 0.5, 4.0, 3.0], np.float32)
    result = jl.fit(jl.from_numpyro(normal_in_numpyro, x, y=y), None, jl.NUTS(chains=2, warmup=100, draws=500), seed=9)
    precision = 1 / 4 + 4 / 2.25
    check_moments(result.params["mean"], (y - x).sum() / 2.25 / precision, precision**-0.5)
    np.testing.assert_allclose(result.derived["centre"], result.params["mean"][..., None] + x, rtol=1e-5)
    terms = stats.norm.logpdf(y, result.derived["centre"].astype(float), 1.5)
    np.testing.assert_allclose(result.log_likelihood()["y"], terms, rtol=1e-3, atol=1e-4)
    residual = (result.predict(1)["y"] - result.derived["centre"]) / 1.5
    assert stats.kstest(residual.ravel(), "norm").pvalue > 1e-4
