"""Folds as datasets of a batch: each equals a fit to what is left, scored by hand."""

import math

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import jaxlatent as jl
from jaxlatent.selection import cross_validation

#: As many iterations from one start as it says, so that a fit to masked and one to shorter data take the same path.
EM = jl.EM(restarts=1, tol=0.0, max_iter=12)
GLM = jl.models.hmm(2, jl.models.emissions.BernoulliRegression(2))
MEANS = jl.Model({"mu": dist.Normal(0.0, 2.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0)})
START = {
    "initial_probs": [0.5, 0.5],
    "transition_matrix": [[0.9, 0.1], [0.2, 0.8]],
    "weights": [[1.0, 0.0], [-1.0, 0.5]],
    "biases": [0.0, 0.3],
}


def sessions(seed, count, missing=0.1):
    """Choices and inputs of sessions of unequal length, some choices missing."""
    rng = np.random.default_rng(seed)
    ys, xs = [], []
    for steps in rng.integers(6, 15, count):
        x = rng.normal(size=(steps, 2)).astype(np.float32)
        y = (rng.random(steps) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(int)
        ys.append(jl.Masked(y, np.append(True, rng.random(steps - 1) > missing)))
        xs.append(x)
    return {"y": ys, "x": xs}


def log_likelihood_of(params, y, x, seen):
    """Of one session under the GLM-HMM, by the forward recursion, in NumPy."""
    p = {name: np.asarray(value, float) for name, value in params.items()}
    logits = x @ p["weights"].T + p["biases"]
    like = np.where(y[:, None] == 1, 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits)))
    like = np.where(seen[:, None], like, 1.0)
    alpha, total = p["initial_probs"], 0.0
    for t, step in enumerate(like):
        alpha = (alpha @ p["transition_matrix"] if t else alpha) * step
        total += math.log(alpha.sum())
        alpha = alpha / alpha.sum()
    return total


def test_folds_of_sessions_equal_a_loop_of_fits_to_those_left():
    data = sessions(0, 7)
    found = jl.cross_validate(GLM, data, EM, 0, folds=3, init=START)
    assert sorted(np.bincount(found.fold)) == [2, 2, 3] and found.unit == "sequence"
    np.testing.assert_array_equal(found.observations, [one.mask.sum() for one in data["y"]])
    for fold in range(3):
        pick = lambda inside, fold=fold: {
            name: [one for one, own in zip(values, found.fold, strict=True) if (own == fold) == inside]
            for name, values in data.items()
        }
        alone = jl.fit(GLM, pick(False), EM, 1, init=START).best()
        row, count = found.table.loc[fold], sum(one.mask.sum() for one in pick(True)["y"])
        np.testing.assert_allclose(row["nats"], alone.score(pick(True)), rtol=1e-4)
        assert row["observations"] == count and row["training"] == found.observations.sum() - count
        best = found.result[f"fold {fold}"].best()
        for i in np.flatnonzero(found.fold == fold):
            y, x = data["y"][i], data["x"][i]
            np.testing.assert_allclose(
                found.scores[i], log_likelihood_of(best.params, y.values, x, y.mask), rtol=1e-4, atol=1e-4
            )
    np.testing.assert_allclose(found.nats, found.scores.sum() / found.observations.sum())
    np.testing.assert_allclose(found.bits, found.nats / math.log(2))


def test_it_is_one_call_whose_datasets_share_their_values(monkeypatch):
    calls = []

    def fit(model, data, *rest, **options):
        calls.append(data)
        return jl.fit(model, data, *rest, **options)

    monkeypatch.setattr(cross_validation, "fit", fit)
    data = sessions(0, 7)
    jl.cross_validate(GLM, data, EM, 0, folds=3, init=START)
    (batch,) = calls
    assert batch.names == ("fold 0", "fold 1", "fold 2")
    for values in (batch.data["x"].values, batch.data["y"].values):
        assert np.shares_memory(values[0], values[2])


def test_datasets_of_unequal_shapes_equal_each_alone():
    parts = {"a": sessions(2, 5), "b": sessions(3, 7)}
    folds = {"a": np.arange(5) % 2, "b": np.arange(7) % 2}
    both = jl.cross_validate(GLM, jl.batch(parts), EM, 0, folds=folds, init=START)
    assert both.scores.shape == (2, 7) and both.result.names == ("a, fold 0", "a, fold 1", "b, fold 0", "b, fold 1")
    for i, (name, data) in enumerate(parts.items()):
        alone = jl.cross_validate(GLM, data, EM, 0, folds=folds[name], init=START)
        own = both.fold[i] >= 0
        assert own.sum() == len(folds[name])
        np.testing.assert_allclose(both.scores[i][own], alone.scores, rtol=1e-4)
        np.testing.assert_allclose(both.table.loc[name].to_numpy(float), alone.table.to_numpy(float), rtol=1e-3)
        np.testing.assert_allclose(
            both.totals.loc[name].to_numpy(float), alone.totals.iloc[0].to_numpy(float), rtol=1e-3
        )
    assert both.total.units == 12 and both.total.log_likelihood == pytest.approx(np.nansum(both.scores))


def test_rows_of_a_mixture_equal_a_loop_of_fits_to_those_left():
    rng = np.random.default_rng(4)
    y = np.append(rng.normal(-2, 1, 15), rng.normal(2, 0.5, 15)).astype(np.float32)
    gap = jl.Masked(y, np.arange(30) != 4)
    model = jl.models.gaussian_mixture(2, None)
    start = {"mixture_weights": [0.5, 0.5], "means": [-1.0, 1.0], "covs": [1.0, 1.0]}
    found = jl.cross_validate(model, {"y": gap}, EM, 0, by="row", folds=5, init=start)
    assert found.fold[4] == -1 if len(found.fold) == 30 else len(found.fold) == 29
    rows = np.flatnonzero(gap.mask)
    for fold in range(5):
        held = rows[found.fold == fold]
        p = jl.fit(model, {"y": np.delete(y, np.append(held, 4))}, EM, 1, init=start).best().params
        density = p["mixture_weights"] * stats.norm.pdf(y[held, None], p["means"], np.sqrt(p["covs"]))
        np.testing.assert_allclose(found.scores[found.fold == fold], np.log(density.sum(1)), rtol=1e-3)
    assert found.nats_se == pytest.approx(found.scores.std(ddof=1) / math.sqrt(29))
    np.testing.assert_array_equal(found.labels, rows)


def exact(train, test):
    """The log predictive density of each of ``test``, given ``train``, in the model of `MEANS`."""
    precision = 1 / 4 + len(train)
    return stats.norm.logpdf(test, np.sum(train) / precision, np.sqrt(1 + 1 / precision))


@pytest.mark.parametrize("by", ["row", "groups", "forward"])
def test_rows_under_nuts_are_scored_by_their_predictive_density(by):
    """About 1,500 independent draws: the relative error of a mean density that varies by a third is 0.01."""
    y = np.random.default_rng(5).normal(1.0, 1.0, 12).astype(np.float32)
    groups = np.repeat(["x", "y", "z"], [5, 3, 4])
    engine = jl.NUTS(chains=4, warmup=200, draws=1000)
    found = jl.cross_validate(MEANS, {"y": y}, engine, 0, by=groups if by == "groups" else by, folds=3)
    if by == "groups":
        assert list(found.labels) == ["x", "y", "z"] and found.unit == "group"
        expected = [exact(y[groups != one], y[groups == one]).sum() for one in "xyz"]
    elif by == "row":
        expected = [exact(y[found.fold != found.fold[i]], y[i]) for i in range(12)]
    else:
        np.testing.assert_array_equal(found.fold, np.repeat([-1, 0, 1, 2], 3))
        expected = [exact(y[: i - i % 3], y[i]) if i >= 3 else np.nan for i in range(12)]
    np.testing.assert_allclose(found.scores, expected, atol=0.05 * (5 if by == "groups" else 1))
    assert "agreed" not in found.table


@pytest.mark.slow
def test_blocks_of_the_only_sequence_are_scored_given_all_before():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(30, 2)).astype(np.float32)
    y, seen = (rng.random(30) < 0.5).astype(int), rng.random(30) > 0.15
    steps = np.flatnonzero(seen)
    ends = [0, *(steps[np.arange(len(steps)) * 4 // len(steps) == b][-1] + 1 for b in range(4))]
    data = {"y": jl.Masked(y, seen), "x": x}
    found = jl.cross_validate(GLM, data, EM, 0, by="forward", folds=3, init=START)
    for fold in range(3):
        before, end = ends[fold + 1], ends[fold + 2]
        first = {"y": jl.Masked(y, seen & (np.arange(30) < before)), "x": x}
        p = jl.fit(GLM, first, EM, 1, init=START).best().params
        upto = [log_likelihood_of(p, y[:t], x[:t], seen[:t]) for t in (before, end)]
        np.testing.assert_allclose(found.scores[fold], upto[1] - upto[0], rtol=1e-3, atol=1e-3)
        assert found.observations[fold] == seen[before:end].sum()
    assert found.unit == "block" and found.total.units == 3
    one = {"y": jl.Masked(y[None], seen[None]), "x": x[None]}  # (1, T)
    again = jl.cross_validate(GLM, one, EM, 0, by="forward", folds=3, init=START)
    np.testing.assert_allclose(again.scores, found.scores, rtol=1e-3, atol=1e-3)


def test_ordered_sequences_are_held_out_from_those_before():
    found = jl.cross_validate(GLM, sessions(7, 8), EM, 0, by="forward", folds=3, init=START)
    np.testing.assert_array_equal(found.fold, np.repeat([-1, 0, 1, 2], 2))
    assert list(found.table["training"]) == [found.result.posterior.data["y"].mask[f].sum() for f in range(3)]
    assert np.isnan(found.scores[:2]).all() and (found.observations[:2] == 0).all()


def test_folds_as_numbers_may_leave_out_some_units():
    numbers = np.array([-1, 3, 3, 7, 7, -1, -1, -1])
    found = jl.cross_validate(MEANS, {"y": np.arange(8.0)}, jl.Optimize(), 0, by="row", folds=numbers)
    np.testing.assert_array_equal(found.fold, [-1, 0, 0, 1, 1, -1, -1, -1])
    assert list(found.table["training"]) == [6, 6] and found.total.units == 4
    # The mode of each fold, by hand.
    mode = [np.delete(np.arange(8.0), own).sum() / (1 / 4 + 6) for own in ([1, 2], [3, 4])]
    expected = stats.norm.logpdf([1, 2, 3, 4], np.repeat(mode, 2))
    np.testing.assert_allclose(found.scores[1:5], expected, rtol=1e-4)


def test_the_standard_error_is_that_of_a_ratio():
    """The jackknife of many sessions of unequal length agrees; that of the plain mean of sessions does not."""
    found = jl.cross_validate(GLM, sessions(8, 60), jl.EM(restarts=1, max_iter=3), 0, folds=2)
    s, n = found.scores, found.observations
    left = (s.sum() - s) / (n.sum() - n)
    jackknife = math.sqrt((len(s) - 1) / len(s) * np.sum((left - left.mean()) ** 2))
    assert found.nats_se == pytest.approx(jackknife, rel=0.03)
    assert abs(math.sqrt(len(s)) * s.std(ddof=1) / n.sum() / jackknife - 1) > 0.1


def test_several_values_in_a_row_and_several_observations_count():
    model = jl.Model(
        {"mu": dist.Normal(0.0, 1.0)},
        lambda p, d: {"y": dist.Normal(p.mu, 1.0), "z": dist.Normal(p.mu, 2.0)},
    )
    y = jl.Masked(np.arange(8.0).reshape(4, 2), np.array([[1, 1], [1, 0], [0, 0], [1, 1]], bool))
    data = {"y": y, "z": np.arange(4.0)}
    found = jl.cross_validate(model, data, jl.Optimize(), 0, by="row", folds=np.arange(4) // 2)
    np.testing.assert_array_equal(found.observations, [3, 2, 1, 3])
    mode = 4 * 0 + np.array([6, 6, 6, 7, 2, 3]) @ [0, 1, 0, 1, 0.25, 0.25] / (1 + 2 + 0.5)
    first = stats.norm.logpdf([0, 1, 2], mode).sum() + stats.norm.logpdf([0, 1], mode, 2).sum()
    np.testing.assert_allclose(found.table.loc[0, "log_likelihood"], first, rtol=1e-4)


def test_a_fold_that_fails_leaves_no_score():
    flat = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0)})
    good, bad = {"y": np.arange(4.0)}, {"y": np.array([0.0, 1.0, np.nan, 3.0])}
    batch = jl.batch({"good": good, "bad": bad})
    with pytest.raises(jl.InputError, match="'bad'"):
        jl.cross_validate(flat, batch, jl.Optimize(), 0, by="row", folds=2)
    with pytest.warns(UserWarning, match="failed"), pytest.warns(UserWarning, match="quarantined"):
        found = jl.cross_validate(flat, batch, jl.Optimize(), 0, by="row", folds=2, on_bad_data="quarantine")
    assert np.isfinite(found.totals.loc["good", "nats"]) and np.isnan(found.totals.loc["bad", "nats"])
    assert np.isnan(found.nats) and "result.problems" in str(found)


ROWS, CHAIN = {"y": np.arange(6.0)}, {"y": np.arange(6.0)}
NORMALS = jl.models.hmm(2, jl.models.emissions.Gaussian())
LAGGED = jl.Model(
    {"a": dist.Normal(0.0, 1.0)},
    lambda p, d: {"y": dist.Normal(p.a * jax.numpy.append(0.0, d.y[:-1]), 1.0)},
)
JOINT = jl.Model(
    {"mu": dist.Normal(0.0, 1.0)},
    lambda p, d: {"y": dist.MultivariateNormal(p.mu * np.ones(6), np.eye(6))},
)
FIXED = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0)}, row_wise=False)
SEQUENCES = {"y": np.arange(12.0).reshape(3, 4)}


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        (MEANS, ROWS, {"by": "row", "folds": 7}, "7 folds of 6 rows"),
        (MEANS, ROWS, {"by": "row", "folds": 1}, "2 to 6 folds"),
        (MEANS, ROWS, {"by": "forward", "folds": 6}, "training only"),
        (MEANS, ROWS, {"by": "row", "folds": 2.5}, "one entry for each row"),
        (MEANS, ROWS, {"by": "row", "folds": np.zeros(6, int)}, "fold 0 without any training"),
        (MEANS, ROWS, {"by": "row", "folds": np.full(6, -1)}, "no fold"),
        (MEANS, ROWS, {"by": "row", "folds": np.arange(5)}, r"\(6,\)"),
        (MEANS, ROWS, {"by": "row", "folds": np.arange(6) / 2}, "whole numbers"),
        (MEANS, ROWS, {"by": np.arange(6) // 3, "folds": 3}, "3 folds of 2 groups"),
        (MEANS, ROWS, {"by": np.arange(6) // 3, "folds": np.arange(6) % 2}, "a group in several folds"),
        (MEANS, ROWS, {"by": ["a", "a", None, "b", "b", "c"]}, "1 missing labels"),
        (MEANS, ROWS, {"by": "sequence"}, "by='row'"),
        (MEANS, ROWS, {"by": "animal"}, "Labels of groups are given as an array"),
        (MEANS, ROWS, {"by": "row", "fold": 3}, "did you mean 'folds'"),
        (MEANS, ROWS, {"by": "row", "shard": (0, 2)}, "lacks some of the folds"),
        (NORMALS, SEQUENCES, {"by": "row"}, "by='sequence'"),
        (NORMALS, SEQUENCES, {"folds": 4}, "4 folds of 3 sequences"),
        (NORMALS, CHAIN, {"folds": 2}, "by='forward'"),
        (NORMALS, CHAIN, {"by": np.arange(6)}, "by='forward'"),
        (NORMALS, CHAIN, {"by": "forward", "folds": [1, 0, 0, 1, 1, 1]}, "decrease along the sequence"),
        (LAGGED, ROWS, {"by": "row", "folds": 2}, "by='forward'"),
        (JOINT, ROWS, {"by": "row"}, "share their first axis"),
        (FIXED, ROWS, {"by": "row"}, "row_wise=False"),
        (jl.condition(MEANS, ROWS), None, {"by": "row"}, "a jaxlatent.Model"),
    ],
)
def test_what_cannot_be_held_out_is_told(model, data, options, message, monkeypatch):
    monkeypatch.setattr(cross_validation, "fit", None)
    with pytest.raises(jl.InputError, match=message):
        jl.cross_validate(model, data, jl.EM(), 0, **options)


def test_a_dataset_of_a_batch_with_too_few_units_is_named():
    batch = jl.batch({"a": {"y": np.arange(6.0)}, "b": {"y": np.arange(2.0)}})
    with pytest.raises(jl.InputError, match=r"dataset 'b'[\s\S]*3 folds of 2 rows"):
        jl.cross_validate(MEANS, batch, jl.Optimize(), 0, by="row", folds=3)


def test_values_that_depend_on_earlier_ones_are_scored_forward():
    y = np.random.default_rng(9).normal(size=20).cumsum().astype(np.float32)
    found = jl.cross_validate(LAGGED, {"y": y}, jl.Optimize(), 0, by="forward", folds=3)
    before = np.append(0, y[:-1])
    for fold in range(3):
        train, held = np.arange(20) < 5 * (fold + 1), found.fold == fold
        slope = (before[train] @ y[train]) / (1 + before[train] @ before[train])
        np.testing.assert_allclose(found.scores[held], stats.norm.logpdf(y[held], slope * before[held]), rtol=1e-3)


def test_the_same_seed_gives_the_same_folds_and_another_gives_others():
    data = {"y": np.arange(40.0)}
    folds = [jl.cross_validate(MEANS, data, jl.Optimize(), seed, by="row").fold for seed in (0, 0, 1)]
    np.testing.assert_array_equal(folds[0], folds[1])
    assert (folds[0] != folds[2]).any() and (np.bincount(folds[0]) == 8).all()
