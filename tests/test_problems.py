"""`Result.problems` answers "which failed?": a row for each dataset in whose lanes `check` finds something, with ArviZ's numbers."""

from dataclasses import replace

import arviz as az
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl

RNG = np.random.default_rng(0)
MODEL = jl.Model(
    {"mu": dist.Normal(0.0, 10.0).expand([2]).to_event(1)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0)}, key="means"
)
NAMES = ("sound", "apart", "diverging", "deep", "few", "nan")
DATA = {name: {"y": RNG.normal(size=(10, 2))} for name in NAMES}
DATA["nan"]["y"][3, 0] = np.nan
#: ArviZ 1.x has no default of the probabilities.
TAIL = {"method": "tail", "prob": (0.05, 0.95)}
NUTS = jl.NUTS(chains=4, warmup=300, draws=500, max_depth=6)


@pytest.fixture(scope="module")
def sick():
    """Fits of a sound model, but for what is planted in each dataset after its name."""
    with pytest.warns(UserWarning, match=r"see result\.quarantined"):
        fit = jl.fit(MODEL, jl.batch(DATA), NUTS, 0, on_bad_data="quarantine")
    params, statistics = {"mu": fit.params["mu"].copy()}, {k: v.copy() for k, v in fit.statistics.items()}
    row = {name: i for i, name in enumerate(NAMES)}
    params["mu"][row["apart"], 2, :, 1] += 5
    statistics["diverging"][row["diverging"], :, :7] = True
    statistics["tree_depth"][row["deep"], 1:] = 6
    params["mu"][row["few"]] = np.repeat(params["mu"][row["few"], :, ::50], 50, 1)
    status = fit.status.copy()
    status[row["deep"], 1:] = jl.Status.TREE_DEPTH
    return replace(fit, params=params, statistics=statistics, status=status)


def test_the_table_has_what_was_planted_and_the_numbers_of_arviz(sick):
    table = sick.problems
    assert table.index.tolist() == list(NAMES[1:]) and table.index.name == "dataset"
    assert table.columns.tolist() == ["status", "r_hat", "ess", "divergences", "at_max_depth", "findings"]
    for name in NAMES[1:-1]:
        mu = np.moveaxis(sick[name].params["mu"], -1, 0)
        expected = [
            max(az.rhat(one) for one in mu),
            min(az.ess(one, **kind) for one in mu for kind in ({"method": "bulk"}, TAIL)),
        ]
        np.testing.assert_allclose(table.loc[name, ["r_hat", "ess"]].astype(float), expected, rtol=1e-4)
    assert table.loc["diverging", "divergences"] == 28 and table.loc["apart", "divergences"] == 0
    assert table.loc["deep", "at_max_depth"] == 1500 and table.loc["deep", "status"] == "1 OK, 3 TREE_DEPTH"
    assert table.loc["apart", "findings"] == "stuck chain"
    assert table.loc["nan"].isna().tolist() == [False, True, True, True, True, False]
    assert "values not finite" in sick.quarantined["nan"]


def test_its_rows_are_the_datasets_in_whose_lanes_check_finds_something(sick):
    """Of these none has a finding of another kind."""
    reports = sick.check()
    assert {name: ", ".join(reports[name].illnesses) for name in NAMES if reports[name]} == dict(
        sick.problems["findings"]
    )


def test_one_dataset_has_the_row_that_it_has_in_the_batch(sick):
    assert sick["sound"].problems.empty and "r_hat" in sick["sound"].problems
    for name in NAMES[1:]:
        one, row = sick[name].problems.iloc[0], sick.problems.loc[name].dropna()
        assert one.tolist() == row.tolist() and one.index.tolist() == row.index.tolist()


def test_a_store_has_the_same_table_without_the_model(sick, tmp_path):
    sick.save(tmp_path / "batch")
    opened = jl.open(tmp_path / "batch")
    assert opened.problems.equals(sick.problems) and opened.quarantined == sick.quarantined
    sick["nan"].save(tmp_path / "one")
    opened = jl.open(tmp_path / "one")
    assert opened.problems.equals(sick["nan"].problems)
    assert list(opened.quarantined.values()) == list(sick.quarantined.values())


def test_points_have_a_status_and_the_number_of_restarts_that_agree():
    sound = {"y": np.r_[RNG.normal(-3, 1, 40), RNG.normal(3, 1, 40)].astype(np.float32)}
    model = jl.models.gaussian_mixture(2, None)
    fit = jl.fit(model, jl.batch({"a": sound, "b": sound}), jl.EM(restarts=3), 0)
    assert fit.problems.empty and fit.problems.columns.tolist() == ["status", "agreeing", "findings"]
    short = replace(fit, status=np.array([[1, 1, 1], [1, jl.Status.MAX_ITERATIONS, 1]]))
    assert short.problems.loc["b"].tolist() == ["2 CONVERGED, 1 MAX_ITERATIONS", 3, "max iterations"]
    assert short.problems.index.tolist() == ["b"]
    best = short.best().problems
    assert best.empty and best.columns.tolist() == ["status", "findings"]


def test_approximations_have_a_k_hat():
    funnel = jl.Model(
        {"scale": dist.Normal(0.0, 3.0), "x": lambda p: dist.Normal(0.0, np.e**p.scale).expand([9]).to_event(1)},
        lambda p, d: {"y": dist.Normal(p.x, 1.0)},
    )
    with pytest.warns(UserWarning, match="k-hat"):
        fit = jl.fit(funnel, {"y": np.zeros(9)}, jl.ADVI(draws=400, max_iter=400), 0)
    (row,) = fit.problems.to_dict("records")
    assert row["khat"] == np.max(fit.statistics["khat"]) > 0.7 and "bad k-hat" in row["findings"]
