"""The choice of the number of states: each figure of the table as by hand, and the rule."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from scipy import stats

import jaxlatent as jl
from jaxlatent.selection.choice import _chosen

NORMALS = lambda K: jl.models.hmm(K, jl.models.emissions.Gaussian())
EM = jl.EM(restarts=3, max_iter=60)


def chains(seed, count=8, steps=25):
    """Sequences that switch between two means, some shorter."""
    rng = np.random.default_rng(seed)
    states = (rng.random((count, steps)) < 0.15).cumsum(1) % 2
    y = (rng.normal(size=(count, steps)) + 4.0 * states).astype(np.float32)
    return {"y": [one[: steps - i % 3] for i, one in enumerate(y)]}


@pytest.fixture(scope="module")
def chosen():
    return jl.select(NORMALS, (1, 2), chains(0), EM, 0, folds=4)


def test_each_row_equals_what_is_done_by_hand(chosen):
    data = chains(0)
    for K in (1, 2):
        row, alone = chosen.table.loc[K], jl.cross_validate(NORMALS(K), data, EM, 0, folds=4)
        np.testing.assert_allclose(chosen.validations[K].scores, alone.scores, rtol=1e-3)
        np.testing.assert_allclose(row["bits"], alone.bits, rtol=1e-4)
        fit = jl.fit(NORMALS(K), data, jl.EM(restarts=6, max_iter=60), 5)
        criteria = fit.best().criteria()
        assert row["parameters"] == criteria["free_parameters"]
        for name in ("aic", "bic", "icl"):
            np.testing.assert_allclose(row[name], criteria[name], rtol=2e-3)
        np.testing.assert_allclose(row["log_likelihood"], fit.best().statistics["log_likelihood"], rtol=1e-3)
        mask, probs = fit.posterior.data["y"].mask, fit.best().smooth()["y"]
        np.testing.assert_allclose(row["occupancy"], probs[mask].mean(0).min(), atol=0.02)
        assert row["agreed"] == chosen.whole(K).agreeing() <= 3


def test_differences_are_paired_by_sequence(chosen):
    one, two = (chosen.validations[K] for K in (1, 2))
    assert chosen.table["bits"].idxmax() == 2
    difference, number = (one.scores - two.scores) / np.log(2), two.observations
    mean = difference.sum() / number.sum()
    error = np.sqrt(len(number) / (len(number) - 1) * np.sum((difference - mean * number) ** 2)) / number.sum()
    np.testing.assert_allclose(chosen.table.loc[1, ["difference", "difference_se"]].to_numpy(float), [mean, error])
    assert chosen.chosen == 2 and "2 has the highest held-out log likelihood" in chosen.reason


def test_the_best_is_the_fit_to_all_data(chosen):
    best = chosen.best
    assert best.names is None and best.params["means"].shape == (2,)
    np.testing.assert_allclose(np.sort(best.params["means"]), [0.0, 4.0], atol=0.3)
    assert best.posterior.data["y"].mask.sum() == sum(map(len, chains(0)["y"]))
    np.testing.assert_allclose(best.smooth()["y"].shape, (8, 25, 2))
    assert str(chosen).endswith(chosen.reason)
    with pytest.raises(jl.InputError, match="no such candidate"):
        chosen.whole(9)


def normals(seed, count):
    rng = np.random.default_rng(seed)
    return {"y": np.append(rng.normal(-3, 1, count), rng.normal(3, 1, count)).astype(np.float32)}


MIXTURE = lambda K: jl.models.gaussian_mixture(K, None)
SPREAD = lambda K: {"mixture_weights": np.full(K, 1 / K), "means": np.linspace(-4, 4, K), "covs": np.ones(K)}


def test_mixtures_of_a_batch_are_summed_over_its_datasets():
    """From a start of each candidate."""
    parts = {"a": normals(1, 40), "b": normals(2, 25)}
    both = jl.select(MIXTURE, (1, 2), jl.batch(parts), EM, 0, by="row", folds=2, init=SPREAD)
    assert both.best.names == ("a", "b") and both.chosen == 2 and both.validations[1].total.units == 130
    fits = {name: jl.fit(MIXTURE(2), data, EM, 5, init=SPREAD(2)) for name, data in parts.items()}
    criteria = [fit.best().criteria() for fit in fits.values()]
    for name in ("aic", "bic", "icl"):
        np.testing.assert_allclose(both.table.loc[2, name], sum(one[name] for one in criteria), rtol=1e-4)
    assert both.table.loc[2, "parameters"] == sum(one["free_parameters"] for one in criteria) == 10
    occupied = [fit.best().smooth()["y"].mean(0).min() for fit in fits.values()]
    np.testing.assert_allclose(both.table.loc[2, "occupancy"], min(occupied), rtol=1e-3)
    assert both.table.loc[2, "agreed"] == both.table.loc[2, "agreed_folds"] == 3
    np.testing.assert_allclose(both.best["b"].params["means"], fits["b"].best().params["means"], rtol=1e-3)
    best = both.whole(2)
    assert best.names == ("a", "b") and best.params["means"].shape == (2, 3, 2)


AT_TWO = {"y": np.random.default_rng(4).normal(2.0, 1.0, 20).astype(np.float32)}
SCALES = {"narrow": 0.1, "wide": 3.0}
BY_SCALE = lambda name: jl.Model({"mu": dist.Normal(0.0, SCALES[name])}, lambda p, d: {"y": dist.Normal(p.mu, 1.0)})


def test_draws_have_no_criteria():
    found = jl.select(BY_SCALE, SCALES, AT_TWO, jl.NUTS(chains=2, warmup=100, draws=200), 0, by="row", folds=2)
    assert found.chosen == "wide" and "aic" not in found.table and found.best.params["mu"].shape == (2, 200)
    assert len(found.plot()) == 1
    plt.close("all")


def test_a_store_has_a_folder_for_each_candidate(tmp_path):
    found = jl.select(BY_SCALE, SCALES, AT_TWO, jl.Optimize(), 0, by="row", folds=2, store=tmp_path / "runs")
    stored = jl.open(tmp_path / "runs" / "wide")
    assert stored.names == ("fold 0", "fold 1", "all")
    np.testing.assert_array_equal(stored.objective, found.validations["wide"].result.objective)
    np.testing.assert_array_equal(found.whole("wide").positions, stored.positions[2])


def table(**columns):
    return pd.DataFrame(columns, pd.Index([2, 3, 4], name="candidate"))


def test_the_rule_takes_the_smallest_within_a_standard_error():
    found = table(
        parameters=[5, 9, 14],
        bits=[-0.54, -0.502, -0.5],
        difference=[-0.04, -0.002, 0.0],
        difference_se=[0.005, 0.003, 0.0],
    )
    chosen, reason = _chosen(found, "40 sequences")
    assert chosen == 3 and "0.0020 bits lower" in reason and "0.0030 over 40 sequences" in reason
    found["difference_se"] = [0.005, 0.001, 0.0]
    chosen, reason = _chosen(found, "40 sequences")
    assert chosen == 4 and "try larger ones" in reason
    found.loc[3, "bits"] = found.loc[3, "difference"] = np.nan
    assert "left out: 3" in _chosen(found, "40 sequences")[1]
    found["bits"] = np.nan
    assert _chosen(found, "40 sequences")[0] is None


def test_doubts_are_told():
    found = table(
        parameters=[5, 9, 14],
        bits=[-0.6, -0.5, -0.6],
        difference=[-0.1, 0.0, -0.1],
        difference_se=[0.01, 0.0, 0.01],
        agreed=[5, 5, 5],
        agreed_folds=[5, 1, 5],
        occupancy=[0.5, 0.003, 0.1],
    )
    reason = _chosen(found, "40 sequences")[1]
    assert "more restarts" in reason and "0.30%" in reason


def test_the_figure_marks_the_chosen(chosen):
    held, criteria = chosen.plot()
    assert [line.get_label() for line in criteria.lines] == ["AIC", "BIC", "ICL"]
    marked = [line for line in held.lines if str(line.get_label()).startswith("chosen")]
    np.testing.assert_allclose(np.ravel(marked[0].get_data()), [2, chosen.table.loc[2, "bits"]])
    held.figure.canvas.draw()
    with pytest.raises(jl.InputError, match="2"):
        chosen.plot(axes=[held])
    plt.close("all")


@pytest.mark.parametrize("candidates", [[], [2, 2]])
def test_candidates_are_checked(candidates):
    with pytest.raises(jl.InputError, match="each once"):
        jl.select(NORMALS, candidates, chains(0), EM, 0)


FLAT = {"prior_scale": None, "variance_shape": None}
LAGGED = lambda lags, given=None: jl.models.hmm(1, jl.models.emissions.Autoregression(lags, given=given, **FLAT))


def autoregressive(seed, count=6, steps=9):
    """Sequences of an autoregression of one lag, one of them shorter."""
    noise = np.random.default_rng(seed).normal(size=(count, steps)).astype(np.float32)
    for t in range(1, steps):
        noise[:, t] += 0.7 * noise[:, t - 1]
    return [one[: steps - 2 * (i == 0)] for i, one in enumerate(noise)]


def by_hand(training, lags, given, held):
    """Log likelihoods of sequences under least squares of the steps that have all ``given`` steps before them."""
    rows = lambda y: np.array([[1.0, *y[t - lags : t], y[t]] for t in range(given, len(y))])
    table = np.concatenate([rows(y) for y in training])
    beta = np.linalg.lstsq(table[:, :-1], table[:, -1], rcond=None)[0]
    scale = np.std(table[:, -1] - table[:, :-1] @ beta)
    return np.array([stats.norm(rows(y)[:, :-1] @ beta, scale).logpdf(rows(y)[:, -1]).sum() for y in held])


def test_lags_are_compared_on_the_steps_that_all_of_them_have():
    ys, engine, folds = autoregressive(1), jl.EM(restarts=1), np.arange(6) % 2
    with pytest.raises(jl.InputError, match=r"different numbers of values: \{1: 46, 2: 40\}[\s\S]*given=4"):
        jl.select(LAGGED, (1, 2), {"y": ys}, engine, 0, folds=folds)
    found = jl.select(lambda lags: LAGGED(lags, 2), (1, 2), {"y": ys}, engine, 0, folds=folds)
    for lags in (1, 2):
        validation, whole = found.validations[lags], found.whole(lags).best()
        halves = [by_hand(ys[1 - fold :: 2], lags, 2, ys[fold::2]) for fold in (0, 1)]
        hand = np.stack(halves, 1).ravel()
        np.testing.assert_allclose(validation.scores, hand, rtol=2e-3)
        np.testing.assert_allclose(validation.nats, hand.sum() / 40, rtol=1e-3)
        total = by_hand(ys, lags, 2, ys).sum()
        np.testing.assert_allclose(whole.score(), total / 40, rtol=1e-3)
        np.testing.assert_allclose(found.table.loc[lags, "bic"], -2 * total + (lags + 2) * np.log(40), rtol=1e-3)


def test_a_likelihood_masked_by_itself_counts_what_it_models():
    y, mask = np.arange(6.0, dtype=np.float32), np.array([True, True, False, True, True, True])
    model = jl.Model(
        prior={"mu": dist.Normal(0, 9)},
        likelihood=lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand([6]).mask(d.use > 0)},
    )
    fit = jl.fit(model, {"y": jl.Masked(y, mask), "use": np.array([0, 0, 1, 1, 1, 1])}, jl.Optimize(), 0)
    np.testing.assert_allclose(
        fit.best().score(), stats.norm(fit.best().params["mu"], 1).logpdf(y[3:]).mean(), rtol=1e-5
    )
