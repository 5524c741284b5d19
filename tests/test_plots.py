"""Figures hold what they are asked to show."""

from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import pytest
from matplotlib.text import Text

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


def test_every_part_has_its_panel(results):
    figure = plots.geweke(results["draws"], "mu")
    assert [ax.get_title("left") for ax in figure.axes] == [f"mu[{label}]" for label in LABELS]
    figure.canvas.draw()


def test_forest_compares_results(results):
    figure = plots.forest({"this": results["draws"], "that": results["draws"]}, "mu")
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert all(any(label in text for text in texts) for label in (*LABELS, "this", "that"))


def test_elbo_draws_each_lane(results):
    ax = plt.subplots()[1]
    assert plots.elbo(results["advi"], ax=ax) is ax
    assert len(ax.lines) == 1


def test_restarts_are_drawn_below_the_best_in_order():
    model = jl.Model({"mu": dist.Normal(0.0, 10.0)}, lambda p, d: {"y": dist.Normal(jnp.abs(p.mu - d.shift), 1.0)})
    data = jl.batch([{"y": np.full(5, 2.0), "shift": np.array(shift)} for shift in (1.0, 4.0)])
    result = jl.fit(model, data, jl.Optimize(restarts=3), 0, init={"mu": np.array([-3.0, 8.0, -2.0])})
    ax = plots.restarts(result)
    assert len(ax.lines) == 2
    for line, objective in zip(ax.lines, result.objective, strict=True):
        np.testing.assert_allclose(line.get_ydata(), np.sort(objective.max() - objective), atol=1e-5)
    for other in (result.best(), result[0].best()):
        with pytest.raises(jl.InputError, match="best restart alone"):
            plots.restarts(other)


def test_chains_that_mix_worst_are_drawn_without_failed_ones(results):
    chains = results["draws"]
    worst = chains.summary()["r_hat"].idxmax()
    figure = plots.chains(chains, count=1)
    trace, ranks = figure.axes
    assert trace.get_title("left") == worst and len(ranks.patches) == 2
    draws = chains.params["mu"][..., LABELS.index(worst[3:-1])]
    np.testing.assert_allclose([line.get_ydata() for line in trace.lines if len(line.get_ydata()) == 50], draws)
    counts = [patch.get_data().values for patch in ranks.patches]
    assert np.sum(counts) == 100 and np.all(np.add(*counts) == 5)  # of all draws each rank occurs once
    params = {"mu": np.where(np.arange(2)[:, None, None] == 1, np.nan, chains.params["mu"])}
    assert len(plots.chains(replace(chains, params=params), count=1).axes[1].patches) == 1
    with pytest.raises(jl.InputError, match="0 of 2 lanes"):
        plots.chains(replace(chains, params={"mu": np.full_like(chains.params["mu"], np.nan)}))
    with pytest.raises(jl.InputError, match="chains of NUTS"):
        plots.restarts(chains)
    with pytest.raises(jl.InputError, match="Markov chains"):
        plots.chains(results["advi"])


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
        plots.geweke(results["point"], "mu")


def test_a_misspelt_name_is_named(results):
    with pytest.raises(jl.InputError, match="did you mean 'mu'"):
        plots.geweke(results["draws"], "mus")


@pytest.fixture(scope="module")
def predicted():
    """Two experts at 20 inputs."""
    x = np.linspace(-1.0, 1.0, 60)
    data = {"x": x[:, None], "y": np.where(np.arange(60) % 2, x, -x)}
    fit = jl.fit(jl.models.mixture_of_experts(2, 1), data, jl.EM(restarts=1, max_iter=20), seed=0)
    return fit.best().conditional({"x": x[:20, None]}), x[:20]


def test_components_are_drawn_as_they_are(predicted):
    conditional, x = predicted
    parts = conditional.components()
    shown = [[line.get_ydata() for line in ax.lines] for ax in plots.component_curves(conditional, x).axes]
    np.testing.assert_allclose(np.array(shown), np.stack([curve.T for curve in parts]))
    bands = plots.component_bands(conditional, x)
    np.testing.assert_allclose([line.get_ydata()[0] for line in bands.lines], parts.means[:-1].T.ravel())
    y = np.linspace(-1.5, 1.5, 30)
    (mesh,) = plots.density_map(conditional, x, y).collections
    np.testing.assert_allclose(np.ravel(mesh.get_array()), np.sqrt(conditional.density(y).T).ravel())


def test_draws_have_the_colour_of_their_component():
    ax = plots.labelled_draws([0.0, 1.0, 2.0], [5.0, 6.0, 7.0], [1, 0, 1])
    assert [list(line.get_ydata()) for line in ax.lines] == [[6.0], [5.0, 7.0]]
    assert ax.lines[0].get_color() != ax.lines[1].get_color()


def test_a_pit_histogram_counts_and_has_room():
    ax = plots.pit(np.r_[np.full(30, 0.01), np.full(10, 0.99)], bins=10)
    heights = [bar.get_height() for bar in ax.patches if bar.get_width() < 0.2]
    assert heights[0] == 30 and heights[-1] == 10 and sum(heights) == 40 and ax.get_ylim()[1] > 30


def test_the_checks_of_arviz_in_both_its_lines(results, tmp_path):
    figures = plots.checks(results["draws"], seed=1)
    chains, predictions = {"trace", "autocorrelation", "rank", "energy", "pairs", "forest"}, {"predictive", "intervals"}
    assert figures.keys() == chains | predictions | {"loo_pit", "pareto_k"}
    for name, figure in figures.items():
        assert figure.axes, name
        figure.savefig(tmp_path / "figure.png", dpi=50)
        assert (tmp_path / "figure.png").stat().st_size > 2000, name
    with pytest.raises(jl.InputError, match="did you mean 'mu'"):
        plots.checks(results["draws"], seed=1, names=["m"])
    with pytest.raises(jl.InputError, match="did you mean 'rank'"):
        plots.checks(results["draws"], seed=1, only=["ranks"])
    with pytest.raises(jl.InputError, match="point fit"):
        plots.checks(results["point"], seed=1)
    with pytest.raises(jl.InputError, match="chains of a Hamiltonian sampler"):
        plots.checks(results["advi"], seed=1)
