"""Figures hold what they are asked to show."""

from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.plots.checks import _of_seen
from jaxlatent.plots.style import COLOURS

LABELS = ["one", "two", "three"]


@pytest.fixture(scope="module")
def results():
    model = jl.Model(
        prior={"mu": dist.Normal(0.0, 1.0).expand([3]).to_event(1)},
        likelihood=lambda p, d: {"y": dist.Normal(p.mu, 1.0)},
        dims={"mu": ("group",)},
    )
    data, coords = {"y": np.array([-1.0, 0.0, 1.0])}, {"group": LABELS}
    engines = {
        "draws": jl.NUTS(chains=2, warmup=50, draws=50),
        "point": jl.Optimize(),
        "advi": jl.ADVI(restarts=2, max_iter=200),
    }
    return {name: jl.fit(model, data, engine, seed=0, coords=coords) for name, engine in engines.items()}


@pytest.fixture(autouse=True)
def close():
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before, "a figure changed the settings of the user"


def test_every_part_has_its_panel(results):
    figure = plots.geweke(results["draws"], "mu")
    assert [ax.get_title("left") for ax in figure.axes] == [f"mu[{label}]" for label in LABELS]
    figure.canvas.draw()


def test_forest_compares_results(results):
    (ax,) = plots.forest({"this": results["draws"], "that": results["draws"]}, "mu").axes
    assert [text.get_text() for text in ax.get_yticklabels()] == [f"mu[{label}]" for label in LABELS]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["this", "that"]
    this, that = ax.lines
    for line in (this, that):
        np.testing.assert_allclose(line.get_xdata(), np.median(results["draws"].params["mu"], (0, 1)))
    # From top to bottom in the order of the legend.
    assert ax.yaxis_inverted() and (this.get_ydata() < that.get_ydata()).all()
    assert this.get_color() != that.get_color()


def test_elbo_draws_each_lane(results):
    ax = plt.subplots()[1]
    assert plots.elbo(results["advi"], ax=ax) is ax
    assert len(ax.lines) == 2


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


def test_calibration_is_that_of_the_observed_values():
    y = np.random.default_rng(0).normal(size=12)
    y[::4] = 100.0
    model = jl.Model({"m": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.m, 1.0)})
    gaps = jl.fit(model, {"y": jl.Masked(y, y < 100)}, jl.NUTS(chains=2, warmup=50, draws=50), 0)
    assert plots.checks(gaps, seed=1, only=["loo_pit"]).keys() == {"loo_pit"}
    seen = _of_seen(gaps.to_arviz(predictions=1), "y")
    np.testing.assert_allclose(seen["observed_data"]["y"].values, y[y < 100], rtol=1e-6)
    assert dict(seen["posterior_predictive"]["y"].sizes) == {"chain": 2, "draw": 50, "y_seen": 9}


def drawn_boxes(figure):
    """Legends of axes and of the figure, and the insides of all axes, in pixels."""
    figure.canvas.draw()
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    return [one.get_window_extent() for one in legends], [ax.get_window_extent() for ax in figure.axes]


def test_legends_stand_beside_what_is_drawn(results, predicted):
    chains, several = results["draws"], {"this": results["draws"], "that": results["draws"]}
    values = np.random.default_rng(0).normal(size=(4, 50, 3))
    figures = [
        plots.chains(chains),
        plots.geweke(chains, "mu"),
        plots.forest(several, "mu"),
        plots.elbo(results["advi"]).figure,
        plots.restarts(results["advi"]).figure,
        plots.shrinkage([-1.0, 1.0, 3.0], values, LABELS, population=1.0)[0].figure,
        plots.component_bands(*predicted).figure,
        plots.component_curves(*predicted),
        plots.labelled_draws([0.0, 1.0], [5.0, 6.0], [1, 0]).figure,
    ]
    for i, figure in enumerate(figures):
        legends, insides = drawn_boxes(figure)
        assert len(legends) == 1, i
        (box,) = legends
        for inside in insides:
            # Two boxes overlap where both their widths and their heights do.
            wide, high = (
                min(box.x1, inside.x1) - max(box.x0, inside.x0),
                min(box.y1, inside.y1) - max(box.y0, inside.y0),
            )
            assert min(wide, high) < 1, i
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1, i


def test_a_chain_has_one_colour_in_all_figures(results):
    figures = plots.chains(results["draws"]), plots.geweke(results["draws"], "mu")
    for chain, colour in enumerate(COLOURS[:2]):
        lines = [line for figure in figures for ax in figure.axes for line in ax.lines]
        assert {line.get_color() for line in lines if line.get_label() == f"chain {chain}"} == {colour}


def test_settings_are_those_of_the_user_after_an_error(results, monkeypatch):
    before, ax = dict(matplotlib.rcParams), plt.subplots()[1]
    monkeypatch.setattr(ax, "plot", None)
    with pytest.raises(TypeError, match="not callable"):
        plots.elbo(results["advi"], ax)
    with pytest.raises(ValueError, match="no_such_format"):
        plots.save(plt.figure(), "figure.no_such_format")
    assert dict(matplotlib.rcParams) == before


def test_files_are_sharp_and_vectors_hold_text(tmp_path):
    with plots.style():
        figure, ax = plt.subplots(figsize=(3, 2))
        ax.plot([0, 1], label="few points")
        ax.set_xlabel("a name to search for")
    path = plots.save(figure, tmp_path / "new folder" / "figure.png")
    assert plt.imread(path).shape[:2] == (600, 900)
    assert plt.imread(plots.save(figure, tmp_path / "figure.png", dpi=100)).shape[:2] == (200, 300)

    svg = plots.save(figure, tmp_path / "figure.svg").read_text()
    assert "a name to search for</text>" in svg and "<image" not in svg
    assert plots.save(figure, tmp_path / "again.svg").read_text() == svg
    ax.plot(np.zeros(5000), label="many points")
    assert plots.save(figure, tmp_path / "figure.svg").read_text().count("<image") == 1
    assert plots.save(figure, tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
