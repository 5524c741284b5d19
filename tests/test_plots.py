"""Figures hold what they are asked to show."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent import plots

LABELS = ["one", "two", "three"]


@pytest.fixture(scope="module")
def results():
    model = jl.Model(
        prior={"mu": dist.Normal(0.0, 1.0).expand([3]).to_event(1)},
        likelihood=lambda p, d: {"y": dist.Normal(p.mu, 1.0)},
        dims={"mu": ("group",)},
    )
    data, coords = {"y": np.array([-1.0, 0.0, 1.0])}, {"group": LABELS}
    engines = {"draws": jl.NUTS(chains=2, warmup=50, draws=50), "point": jl.Optimize(), "advi": jl.ADVI(max_iter=200)}
    return {name: jl.fit(model, data, engine, seed=0, coords=coords) for name, engine in engines.items()}


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.mark.parametrize("plot", [plots.trace, plots.autocorrelation, plots.geweke, plots.pair])
def test_every_part_has_its_panel(results, plot):
    figure = plot(results["draws"], "mu")
    shown = [text for ax in figure.axes for text in (ax.get_title("left"), ax.get_xlabel())]
    assert all(any(label in text for text in shown) for label in LABELS)
    figure.canvas.draw()


def test_forest_compares_results(results):
    ax = plots.forest({"a": results["draws"], "b": results["draws"]}, "mu")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [f"mu[{label}]" for label in LABELS]


def test_elbo_draws_each_lane(results):
    ax = plt.subplots()[1]
    assert plots.elbo(results["advi"], ax=ax) is ax
    assert len(ax.lines) == 1


def test_validation_marks_the_observed():
    observed = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    predicted = observed + np.random.default_rng(0).normal(0, 0.01, (4, 50, 3, 2))
    ax = plots.validation(observed, predicted, LABELS, ["women", "men"])
    marked = np.column_stack([line.get_ydata() for line in ax.lines if line.get_label() == "observed"])
    np.testing.assert_allclose(marked, observed)


def test_validation_names_a_wrong_shape():
    with pytest.raises(jl.InputError, match="labels"):
        plots.validation(np.zeros((2, 3)), np.zeros((10, 3, 2)), LABELS, ["women", "men"])


def test_shrinkage_shows_the_difference():
    draws = np.random.default_rng(0).normal([0.0, 1.0, 2.0], 0.1, (4, 50, 3))
    above, below = plots.shrinkage([-1.0, 1.0, 3.0], draws, LABELS, population=1.0)
    assert above.get_legend() is not None
    assert [tick.get_text() for tick in below.get_xticklabels()] == LABELS


def test_a_point_fit_has_no_chains(results):
    with pytest.raises(jl.InputError, match="point fit"):
        plots.trace(results["point"], "mu")


def test_a_misspelt_name_is_named(results):
    with pytest.raises(jl.InputError, match="did you mean 'mu'"):
        plots.pair(results["draws"], "mus")
