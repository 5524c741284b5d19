"""What a batch tells of each of its datasets in one table: WAIC, LOO, and what `check` finds."""

from dataclasses import replace

import arviz as az
import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

import jaxlatent as jl
from jaxlatent.results import accuracy

RNG = np.random.default_rng(0)
MODEL = jl.Model({"mu": dist.Normal(0.0, 10.0)}, lambda p, d: {"y": dist.Normal(p.mu + 0 * d.y, 1.0)}, key="mean")
#: Of three lengths, one with a missing value, and one outlier.
DATA = {
    "short": {"y": RNG.normal(size=5).astype(np.float32)},
    "long": {"y": RNG.normal(3, 1, 12).astype(np.float32)},
    "gap": {"y": np.ma.masked_invalid(np.array([1.0, np.nan, 2.0, 0.5, 1.5, 1.0, 0.0], np.float32))},
    "outlier": {"y": np.array([0.0, 0.1, -0.1, 9.0], np.float32)},
}
KINDS = ["waic", "loo"]
COUNTS = ["n_observations", "n_samples", "n_unreliable"]


def own_values(name):
    return np.ma.compressed(DATA[name]["y"]).astype(float)


def exact_elpd(y):
    """Leave-one-out predictive densities of a normal mean with prior N(0, 10)."""
    precision = len(y) - 1 + 0.01
    mean = (y.sum() - y) / precision
    return norm.logpdf(y, mean, np.sqrt(1 + 1 / precision)).sum()


def compilations(call):
    seen = []
    listen = lambda event, *_, **__: seen.append(event) if event.endswith("backend_compile_duration") else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        call()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return len(seen)


def assert_rows(table, result, kind, names):
    """Each row is the criterion of its dataset."""
    for name in names:
        one = getattr(result[name], kind)()
        np.testing.assert_allclose(table.loc[name], [getattr(one, column) for column in table], rtol=2e-4, atol=2e-4)


@pytest.fixture(scope="module")
def many():
    return jl.fit(MODEL, jl.batch(DATA), jl.NUTS(chains=4, warmup=200, draws=500), 0)


@pytest.fixture(scope="module")
def broken():
    """One dataset is quarantined, and a chain of another failed."""
    data = {**DATA, "nan": {"y": np.array([1.0, np.nan, 0.5], np.float32)}}
    with pytest.warns(UserWarning, match="1 of 5 datasets was quarantined"):
        fit = jl.fit(MODEL, jl.batch(data), jl.NUTS(chains=4, warmup=200, draws=500), 0, on_bad_data="quarantine")
    lost = np.zeros((5, 4), bool)
    lost[1, 2] = True
    nothing = lambda x: np.where(lost.reshape(5, 4, *(1,) * (x.ndim - 2)), np.nan, x)
    status = np.where(lost, jl.Status.NON_FINITE, fit.status)
    return replace(
        fit, unconstrained={"position": nothing(fit.positions)}, params={"mu": nothing(fit.params["mu"])}, status=status
    )


# --- criteria ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_is_the_criterion_of_its_dataset(many, kind):
    table = getattr(many, kind)()
    assert table.index.name == "dataset" and table.index.tolist() == list(DATA)
    assert table.columns.tolist() == ["elpd", "se", "p", *COUNTS] and set(table[COUNTS].dtypes) == {np.dtype(int)}
    assert_rows(table, many, kind, DATA)
    assert table["n_observations"].tolist() == [5, 12, 6, 4] and set(table["n_samples"]) == {2000}
    assert table["n_unreliable"].tolist()[:3] == [0, 0, 0] and table.loc["outlier", "n_unreliable"] >= 1
    # The estimate has an error of a few hundredths from 2000 draws, and that of WAIC a bias.
    for name in ("short", "long", "gap"):
        assert abs(table.loc[name, "elpd"] - exact_elpd(own_values(name))) < (0.25 if kind == "waic" else 0.15)


def test_loo_is_that_of_arviz_for_the_values_without_padding(many):
    table = many.loo()
    y = own_values("short")
    terms = norm.logpdf(y, many["short"].params["mu"][..., None].astype(float))
    draws, groups = many["short"].params["mu"], {"log_likelihood": {"y": terms}}
    former = az.__version__.startswith("0")
    idata = (
        az.from_dict(posterior={"mu": draws}, **groups)
        if former
        else az.from_dict({"posterior": {"mu": draws}} | groups)
    )
    theirs = az.loo(idata, reff=1)
    elpd, p = (theirs["elpd_loo"], theirs["p_loo"]) if former else (theirs.elpd, theirs.p)
    np.testing.assert_allclose(table.loc["short", ["elpd", "p"]], [elpd, p], rtol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dataset_without_draws_is_a_row_of_nan(broken, kind):
    table = getattr(broken, kind)()
    assert table.loc[["long", "nan"]].isna().all(axis=None)
    assert_rows(table, broken, kind, ["short", "gap", "outlier"])


@pytest.mark.parametrize("kind", KINDS)
def test_datasets_that_stopped_early_count_their_own_draws(many, kind):
    made = np.array([500, 200, 500, 300])
    gone = np.broadcast_to(np.arange(500) >= made[:, None, None], (4, 4, 500))
    nothing = lambda x: np.where(gone.reshape(gone.shape + (1,) * (x.ndim - 3)), np.nan, x)
    params = {"mu": nothing(many.params["mu"])}
    stopped = replace(many, unconstrained={"position": nothing(many.positions)}, params=params)
    table = getattr(stopped, kind)()
    assert table["n_samples"].tolist() == (4 * made).tolist()
    assert_rows(table, stopped, kind, DATA)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_datasets_change_nothing(many, kind, monkeypatch):
    whole = getattr(many, kind)()
    monkeypatch.setattr(accuracy, "_BLOCK", 3 * 12 * 2000)
    np.testing.assert_allclose(getattr(many, kind)(), whole, rtol=1e-4, atol=1e-4)


def test_datasets_of_all_lengths_share_a_program():
    """The few others are of the conversions around it."""

    def fit(seed):
        rng = np.random.default_rng(seed)
        data = jl.batch([{"y": rng.normal(size=n).astype(np.float32)} for n in (*range(2, 32), 33)])
        return jl.fit(MODEL, data, jl.NUTS(chains=2, warmup=50, draws=50), seed)

    first, second = fit(0), fit(1)
    for kind in KINDS:
        assert compilations(lambda kind=kind: getattr(first, kind)()) <= 4
        assert compilations(lambda kind=kind: getattr(second, kind)()) == 0


def test_sequences_are_one_observation_each():
    """Of a hidden Markov model, whose likelihood has one term a sequence; two sequences, and one."""
    family = jl.models.hmm(2, jl.models.emissions.Gaussian(1))
    draw = lambda length: RNG.normal(size=(length, 1)).astype(np.float32)
    data = jl.batch([{"y": [draw(6), draw(4)]}, {"y": [draw(5)]}])
    fit = jl.fit(family, data, jl.NUTS(chains=2, warmup=20, draws=20), 0)
    table = fit.waic()
    assert table["n_observations"].tolist() == [2, 1] and table["se"].isna().tolist() == [False, True]
    assert_rows(table, fit, "waic", fit.names)


@pytest.mark.parametrize("kind", KINDS)
def test_points_and_bare_densities_have_no_criterion(kind):
    points = jl.fit(MODEL, jl.batch(DATA), jl.Optimize(), 0)
    with pytest.raises(jl.InputError, match="an engine that draws"):
        getattr(points, kind)()
    bare = jl.from_log_density(
        lambda p, d: -0.5 * (p["x"] - d["y"]) ** 2, {"x": 0.0}, args=jl.batch([{"y": 1.0}, {"y": 2.0}])
    )
    with pytest.raises(jl.InputError, match="does not know its observations"):
        getattr(jl.fit(bare, None, jl.NUTS(chains=2, warmup=20, draws=20), 0), kind)()


# --- ArviZ ------------------------------------------------------------------------------------------------------------

LINE = jl.Model(
    {"slope": dist.Normal(0.0, 10.0)},
    lambda p, d: {"y": dist.Normal(p.slope * d.x, 1.0)},
    dims={"y": ("row",)},
    key="line through zero",
)


def line(n, missing=()):
    y = np.ma.array(RNG.normal(size=n).astype(np.float32), mask=np.isin(np.arange(n), missing))
    return {"x": RNG.normal(size=n).astype(np.float32), "y": y if len(missing) else y.data}


def test_each_dataset_of_a_ragged_batch_has_its_own_rows_in_arviz():
    data = {"short": line(6), "long": line(11), "gaps": line(8, missing=(2, 7))}
    fit = jl.fit(LINE, jl.batch(data), jl.NUTS(chains=4, warmup=200, draws=250), 0)
    each = {name: fit[name].to_arviz(predictions=1) for name in fit.names}
    for name, one in data.items():
        n, idata = len(one["x"]), each[name]
        np.testing.assert_array_equal(idata["observed_data"]["y"].values, np.ma.filled(one["y"], np.nan))
        np.testing.assert_array_equal(idata["constant_data"]["x"].values, one["x"])
        terms = norm.logpdf(np.ma.getdata(one["y"]), fit.params["slope"][fit.names.index(name)][..., None] * one["x"])
        seen = ~np.ma.getmaskarray(one["y"])
        np.testing.assert_allclose(idata["log_likelihood"]["y"].values, terms[..., seen], rtol=1e-3, atol=1e-4)
        assert dict(idata["posterior_predictive"]["y"].sizes) == {"chain": 4, "draw": 250, "row": n}
    for name, n in (("short", 6), ("gaps", 6)):
        theirs, own = az.loo(each[name], reff=1), fit[name].loo()
        assert theirs.n_data_points == own.n_observations == n
        # ArviZ 0.2x divides the variance over observations by their number.
        factor = np.sqrt(n / (n - 1)) if az.__version__.startswith("0") else 1.0
        np.testing.assert_allclose(theirs.se * factor, own.se, rtol=1e-2)
        np.testing.assert_allclose(theirs.elpd_loo if factor > 1 else theirs.elpd, own.elpd, rtol=1e-3)
    assert dict(each["gaps"]["log_likelihood"]["y"].sizes) == {"chain": 4, "draw": 250, "y_seen": 6}
    assert each["gaps"]["log_likelihood"]["y_seen"].values.tolist() == [0, 1, 3, 4, 5, 6]
    assert np.isnan(fit.to_arviz()["log_likelihood"]["y"].sel(dataset="gaps").values).any((0, 1)).sum() == 2 + 3
    assert fit.to_arviz()["observed_data"]["y"].sizes["row"] == 11


def test_each_dataset_of_a_ragged_batch_has_results_for_its_own_rows():
    data = {"short": line(3), "long": line(9), "gaps": line(8, missing=(2, 7))}
    fit = jl.fit(LINE, jl.batch(data), jl.Laplace(draws=30), 0)
    for name, one in data.items():
        n, own = len(one["x"]), fit[name]
        means = own.params["slope"][0][:, None] * one["x"]
        seen = ~np.ma.getmaskarray(one["y"])
        assert own.predict(0)["y"].shape == own.log_likelihood()["y"].shape == (1, 30, n)
        terms = np.where(seen, norm.logpdf(np.ma.getdata(one["y"]), means), 0.0)
        np.testing.assert_allclose(own.log_likelihood()["y"][0], terms, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(own.conditional().mean(), means.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(np.isnan(own.conditional().log_score()), ~seen)
        assert own.predict(0, {"x": np.zeros(5)})["y"].shape == (1, 30, 5)
    assert fit.predict(0)["y"].shape == (3, 1, 30, 9)


def test_sequences_of_a_ragged_batch_have_their_own_number_and_steps_in_arviz():
    model = jl.Model(
        {"slope": dist.Normal(0.0, 10.0)}, lambda p, d: {"y": dist.Normal(p.slope * d.x, 1.0)}, key="lines"
    )
    draw = lambda *lengths: {name: [RNG.normal(size=n).astype(np.float32) for n in lengths] for name in "xy"}
    data = [draw(4, 2), draw(3, 3, 5)]
    fit = jl.fit(model, jl.batch(data), jl.NUTS(chains=2, warmup=20, draws=20), 0)
    for i, one in enumerate(data):
        shape = (len(one["y"]), max(map(len, one["y"])))
        observed = fit[i].to_arviz()["observed_data"]["y"].values
        assert observed.shape == shape
        assert fit[i].to_arviz()["log_likelihood"]["y"].shape[2:] == ((sum(map(len, one["y"])),))
        np.testing.assert_array_equal(observed[~np.isnan(observed)], np.concatenate(one["y"]))


def test_missing_values_stay_in_arviz():
    """Of one dataset, where they come last; and where no covariate tells them from padding."""
    one = jl.fit(LINE, line(5, missing=(3, 4)), jl.NUTS(chains=2, warmup=20, draws=20), 0)
    assert np.isnan(one.to_arviz()["observed_data"]["y"].values).tolist() == [False] * 3 + [True] * 2
    alone = jl.fit(MODEL, jl.batch([{"y": np.ones(2)}, {"y": np.ones(3)}]), jl.NUTS(chains=2, warmup=20, draws=20), 0)
    assert np.isnan(alone[0].to_arviz()["observed_data"]["y"].values).tolist() == [False, False, True]


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_of_a_batch_names_the_datasets_and_keeps_their_reports():
    """The prior of one is where its data are not."""
    model = jl.Model({"mu": dist.Normal(0.0, 0.5)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand([20])})
    data = {"far": {"y": RNG.normal(5.0, 1.0, 20)}, "near": {"y": RNG.normal(0.0, 1.0, 20)}}
    fit = jl.fit(model, jl.batch(data), jl.NUTS(chains=4, warmup=500, draws=2000), 1)
    reports = fit.check()
    assert reports and len(reports) == 2
    for name in data:
        assert reports[name] == fit[name].check()
    assert reports.illnesses == {"prior against data": ("far",)}
    table = reports.to_frame()
    assert table.index.name == "dataset" and table.columns.tolist() == ["status", "findings", "fatal", "first"]
    assert table.loc["far"].tolist() == ["4 OK", 1, 0, "prior against data"]
    assert table.loc["near"].tolist() == ["4 OK", 0, 0, ""]
    printed = str(reports)
    assert "1 of 2 datasets have findings: prior against data (1)." in printed and "near" not in printed
    sound = jl.fit(model, jl.batch([data["near"]] * 2), jl.NUTS(chains=4, warmup=500, draws=2000), 1).check()
    assert not sound and str(sound) == "" and repr(sound) == "nothing found"


def test_check_goes_on_after_a_dataset_that_failed(broken):
    table = broken.check().to_frame()
    assert table["fatal"].tolist() == [0, 0, 0, 0, 1]
    assert table.loc["nan", ["status", "first"]].tolist() == ["4 QUARANTINED", "quarantined"]
    assert table.loc["long", ["status", "first"]].tolist() == ["3 OK, 1 NON_FINITE", "non finite"]


@pytest.mark.parametrize("best", [False, True])
def test_check_of_points_goes_on_after_a_dataset_that_failed(best):
    y = np.r_[RNG.normal(-3, 1, 40), RNG.normal(3, 1, 40)].astype(np.float32)
    bad = np.where(np.arange(80) == 3, np.nan, y)
    family = jl.models.mixture(2, jl.models.emissions.Gaussian(1))
    with pytest.warns(UserWarning, match="quarantined"):
        fit = jl.fit(
            family,
            jl.batch({"good": {"y": y[:, None]}, "bad": {"y": bad[:, None]}}),
            jl.EM(restarts=3),
            0,
            on_bad_data="quarantine",
        )
    if best:
        with pytest.warns(UserWarning, match="all lanes of bad"):
            fit = fit.best()
    table = fit.check().to_frame()
    assert table["findings"].tolist() == [0, 1] and table.loc["bad", "first"] == "quarantined"
    assert "CONVERGED" in table.loc["good", "status"]


def test_many_datasets_with_findings_are_cut_short():
    fit = jl.fit(MODEL, jl.batch([{"y": RNG.normal(size=3)}] * 50), jl.Optimize(max_iter=1), 0)
    printed = str(fit.check()).splitlines()
    assert len(printed) < 50 and "... and 10 more" in printed[-2]
    assert len(fit.check().to_frame()) == 50
