"""Simulated mice against logistic regressions by scikit-learn, and the study of them at a tiny size."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.linear_model import LogisticRegression

import jaxlatent as jl
from jaxlatent.datasets import mice
from jaxlatent.demos.mice import read
from jaxlatent.demos.mice_run import run


def test_sizes_are_those_of_the_study():
    found = mice()
    trials = pd.DataFrame(found.table)
    lengths = trials.groupby("session", sort=False).size()
    assert trials["animal"].nunique() == 37
    # Sums of independent uniform numbers: within four standard deviations.
    assert abs(len(lengths) - 37 * 44) < 4 * np.sqrt(37 * (18**2 - 1) / 12)
    assert abs(lengths.mean() - 105) < 4 * np.sqrt((91**2 - 1) / 12 / len(lengths))
    assert lengths.min() >= 60 and lengths.max() <= 150
    assert (trials.groupby("session")["animal"].nunique() == 1).all()
    np.testing.assert_array_equal(trials["trial"], np.concatenate([np.arange(length) for length in lengths]))
    assert found.states.shape == (len(trials),) and found.weights.shape == (37, 3, 4)
    absent = trials["choice"].isna()
    assert abs(absent.mean() - 0.02) < 4 * np.sqrt(0.02 * 0.98 / len(trials))
    assert not trials.loc[absent, "rewarded"].any()
    strong = trials[(trials["contrast"] != 0) & ~absent]
    np.testing.assert_array_equal(strong["rewarded"], (strong["choice"] == "right") == (strong["contrast"] > 0))


def test_the_seed_decides_everything():
    first, same, other = (mice(2, 3, seed=seed) for seed in (1, 1, 2))
    for name, values in first.table.items():
        np.testing.assert_array_equal(values, same.table[name])
    np.testing.assert_array_equal(first.states, same.states)
    assert not np.array_equal(first.weights, other.weights)


def test_choices_and_states_follow_the_model():
    found = mice(20, 20, spread=0.0, seed=3)
    data = read(found.table)
    x = np.concatenate(data["x"])
    y = np.array([choice == "right" for choice in found.table["choice"]])
    seen = np.array([choice is not None for choice in found.table["choice"]])
    for state, weights in enumerate(found.params["weights"]):
        own = seen & (found.states == state)
        fit = LogisticRegression(C=np.inf, fit_intercept=False).fit(x[own], y[own])
        probs = fit.predict_proba(x[own])[:, 1]
        errors = np.sqrt(np.diag(np.linalg.inv((x[own] * (probs * (1 - probs))[:, None]).T @ x[own])))
        # Of twelve weights one is 4 errors off in one of 1,300 tests that are right.
        assert (np.abs(fit.coef_[0] - weights) < 4 * errors).all()
    steps = found.table["trial"][1:] > 0
    counts = np.zeros((3, 3))
    np.add.at(counts, (found.states[:-1][steps], found.states[1:][steps]), 1)
    shares, truth = counts / counts.sum(1, keepdims=True), found.params["transition_matrix"]
    assert (np.abs(shares - truth) < 4 * np.sqrt(truth * (1 - truth) / counts.sum(1, keepdims=True))).all()


@pytest.mark.parametrize("wrong", [{"animals": 0}, {"sessions": 0}, {"missing": 1.0}, {"spread": -0.1}])
def test_wrong_sizes_are_named(wrong):
    with pytest.raises(jl.InputError, match=next(iter(wrong))):
        mice(**{"animals": 2, "sessions": 2, **wrong})


@pytest.mark.slow
def test_the_study_recovers_the_truth(tmp_path):
    console = Console(record=True, width=80)
    # Enough trials that each state of each animal has hundreds; one candidate, since each compiles.
    study, recovered = run(tmp_path, animals=2, sessions=10, candidates=(3,), restarts=3, seed=1, console=console)
    assert study.pooled.chosen == 3 and study.own.names == ("mouse 1", "mouse 2")
    true, fitted = recovered.population
    # The engaged state by its weight of the stimulus, the others by their biases, several of the errors of some 500 trials.
    assert fitted[0, 0] > 3.5 and fitted[1, 1] < -1.2 and fitted[2, 1] > 1.2
    assert recovered.decoded > 0.75
    assert recovered.animals.shape == (2, 2, *true.shape)
    text = console.export_text()
    assert "…" not in text  # no number is cut
    words = " ".join(text.split())
    for part in ("so many were chosen", "engaged", "decoded to their true state", "win-stay-lose-switch"):
        assert part in text or part in words
    weights = pd.read_csv(tmp_path / "weights.csv", index_col=["animal", "state", "input"])["weight"]
    np.testing.assert_allclose(weights.to_numpy(), recovered.animals[1].ravel(), rtol=1e-5)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "choice.svg",
        "states.svg",
        "animals.svg",
        "recovery.svg",
    }
