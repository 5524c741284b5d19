"""Figures of hidden states show the numbers that one computes by hand from the fit and the data."""

from dataclasses import replace
from itertools import combinations, groupby, pairwise

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import pytest
from matplotlib.colors import to_rgba
from scipy import stats

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.models import InputDriven, emissions, hmm
from jaxlatent.plots import _dwell
from jaxlatent.plots.state_parameters import wrapped
from jaxlatent.plots.style import COLOURS, colours_of

MODEL = hmm(2, emissions.BernoulliRegression(2))
SESSIONS = ["monday", "tuesday", "wednesday"]


def table(animals=("Ada", "Bo"), seed=0):
    """Two animals that follow the stimulus or prefer the right, in sessions of unequal length; choices are missing here and there."""
    rng = np.random.default_rng(seed)
    rows = {name: [] for name in ("animal", "session", "stimulus", "previous rewarded side", "choice")}
    for animal in animals:
        for session in SESSIONS:
            state = 0
            for _ in range(int(rng.integers(70, 90))):
                state = state if rng.random() < 0.95 else 1 - state
                stimulus, other = rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0]), rng.normal(0.3)
                right = rng.random() < 1 / (1 + np.exp(-(5 * stimulus if state == 0 else 2.5 + 0.5 * other)))
                values = (
                    animal,
                    session,
                    stimulus,
                    other,
                    None if rng.random() < 0.05 else ["left", "right"][int(right)],
                )
                for name, value in zip(rows, values, strict=True):
                    rows[name].append(value)
    return rows


CALL = {"sequence": "session", "y": "choice", "x": ["stimulus", "previous rewarded side"]}
ADA = jl.sequences(table(("Ada",)), **CALL)
BOTH = jl.sequences(table(), dataset="animal", **CALL)


@pytest.fixture(scope="module")
def one():
    return jl.fit(MODEL, ADA, jl.EM(restarts=3, max_iter=30), seed=0)


def with_params(one, lead, params, model=MODEL, data=ADA, coords=None, engine=None):
    """A result as if ``params``, which lead so, had been found; the figures ask of positions only whether they are there."""
    posterior, engine = jl.condition(model, data), engine or one.engine
    lanes = lead if engine.kind == "point" else lead[:-1]
    return replace(
        one,
        posterior=posterior,
        engine=engine,
        params={name: np.asarray(value, np.float32) for name, value in params.items()},
        unconstrained={"position": np.zeros((*lead, posterior.dim))},
        objective=np.zeros(lanes),
        status=np.zeros(lanes, int),
        statistics={},
        trace=None,
        names=posterior.names,
        coords=one.coords if coords is None else coords,
    )


def around(one, lead):
    """Values around the best ones."""
    rng, best = np.random.default_rng(0), one.best().params
    params = {name: value * np.exp(0.2 * rng.normal(size=(*lead, *value.shape))) for name, value in best.items()}
    for name in ("initial_probs", "transition_matrix"):
        params[name] /= params[name].sum(-1, keepdims=True)
    return params


@pytest.fixture(scope="module")
def draws(one):
    return with_params(one, (2, 30), around(one, (2, 30)), engine=jl.NUTS(chains=2, draws=30))


@pytest.fixture(scope="module")
def many(one):
    return with_params(one, (2, 3), around(one, (2, 3)), data=BOTH, coords=BOTH.coords)


@pytest.fixture(scope="module")
def driven(one):
    """Numbers, and transitions that follow an input; the last sequence ends with missing steps."""
    rng = np.random.default_rng(0)
    y = rng.normal(np.repeat(rng.integers(0, 2, (2, 10)), 6, 1) * 4.0, 1.0)
    data = {"y": jl.Masked(y, np.arange(60) < np.array([[60], [40]])), "u": rng.normal(size=(2, 60, 1))}
    params = {
        "initial_probs": [[0.5, 0.5]],
        "means": [[0.2, 4.1]],
        "covs": [[1.0, 1.2]],
        "transition_biases": [[[2.0, 0.0], [0.5, 2.0]]],
        "transition_weights": [[[[0.0], [1.0]], [[0.5], [-0.5]]]],
    }
    return with_params(one, (1,), params, hmm(2, emissions.Gaussian(), InputDriven(1)), data, {}), data


@pytest.fixture(autouse=True)
def close():
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before, "a figure changed the settings of the user"


def shown(ax, label):
    """The y values of the line with a label."""
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(line.get_ydata(), float)


def observed(data):
    """Choices and whether they are there, by session."""
    return [(np.asarray(y.values), np.asarray(y.mask)) for y in data["y"]]


# --- parameters -------------------------------------------------------------------------------------------------------


def test_labels_of_a_table_reach_the_result(one, many):
    assert one.coords["sequence"] == SESSIONS and one.coords["category"] == ["left", "right"]
    assert many.coords["input"] == CALL["x"] and "sequence" not in many.coords


def test_weights_are_drawn_by_input(one):
    ax, best = plots.state_weights(one), one.best()
    expected = np.c_[best.params["weights"], best.params["biases"]]
    for k in range(2):
        np.testing.assert_allclose(shown(ax, str(k)), expected[k], rtol=1e-6)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["stimulus", "previous rewarded \nside", "bias"] and ax.get_ylabel() == "weight (log odds)"


def test_draws_have_intervals(draws):
    ax = plots.state_weights(draws, prob=0.8)
    values = np.concatenate([draws.params["weights"], draws.params["biases"][..., None]], -1).reshape(-1, 2, 3)
    low, high = np.quantile(values, [0.1, 0.9], 0)
    for k, bars in enumerate(ax.collections):
        np.testing.assert_allclose(shown(ax, str(k)), values.mean(0)[k], rtol=1e-5)
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, np.c_[low[k], high[k]], rtol=1e-5)


def test_a_batch_has_a_point_for_each_dataset(many):
    ax, best = plots.state_weights(many), many.best()
    each = np.concatenate([best.params["weights"], best.params["biases"][..., None]], -1)
    points = [np.reshape(line.get_ydata(), (2, 3)) for line in ax.lines if line.get_marker() == "."]
    np.testing.assert_allclose(points, np.swapaxes(each, 0, 1), rtol=1e-6)
    for k in range(2):
        np.testing.assert_allclose(shown(ax, str(k)), each.mean(0)[k], rtol=1e-5)


def test_transitions_are_averaged_over_draws(draws, many):
    for result, mean in [
        (draws, draws.params["transition_matrix"].mean((0, 1))),
        (many, many.best().params["transition_matrix"].mean(0)),
    ]:
        ax = plots.transitions(result)
        np.testing.assert_allclose(ax.images[0].get_array(), mean, rtol=1e-5)
        assert [text.get_text() for text in ax.texts] == [f"{value:.2f}" for value in mean.ravel()]


def test_transitions_driven_by_inputs_are_averaged_over_the_steps_of_sequences(driven):
    result, data = driven
    p = result.best().params
    logits = p["transition_biases"] + np.einsum("ijn,stn->stij", p["transition_weights"], data["u"])
    matrices = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = np.concatenate([matrices[0, 1:], matrices[1, 1:40]]).mean(0)
    ax = plots.transitions(result)
    np.testing.assert_allclose(ax.images[0].get_array(), expected, rtol=1e-4)
    assert ax.get_title() == "mean over steps"
    assert "no law" in plots.dwell_times(result).get_title("left")


@pytest.mark.parametrize("others", ["mean", "zero", "observed"])
def test_psychometric_curves_are_those_of_the_regression(one, others):
    ax, p = plots.psychometric(one, "stimulus", others=others), one.best().params
    seen = np.concatenate([mask for _, mask in observed(ADA)])
    x, y = np.concatenate(ADA["x"])[seen], np.concatenate([values for values, _ in observed(ADA)])[seen]
    probs = np.concatenate([q[:n] for q, n in zip(one.best().smooth()["y"], map(len, ADA["x"]), strict=True)])[seen]
    at = {"mean": [x[:, 1].mean()], "zero": [0.0], "observed": x[:: -(-len(x) // 50), 1]}[others]
    for k, container in enumerate(ax.containers):
        line = next(line for line in ax.lines if line.get_label() == str(k))
        eta = p["weights"][k, 0] * line.get_xdata() + p["weights"][k, 1] * np.array(at)[:, None] + p["biases"][k]
        np.testing.assert_allclose(line.get_ydata(), (1 / (1 + np.exp(-eta))).mean(0), atol=1e-5)
        own = probs.argmax(-1) == k
        groups = [y[own & (x[:, 0] == value)] for value in (-1.0, -0.5, 0.0, 0.5, 1.0)]
        groups = [group for group in groups if len(group) >= 5]
        points, _, (bars,) = container
        np.testing.assert_allclose(points.get_ydata(), [group.mean() for group in groups])
        lengths = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
        np.testing.assert_allclose(lengths, [group.std() / np.sqrt(len(group)) for group in groups], atol=1e-12)
    assert ax.get_ylabel() == "P(right)" and ax.get_xlabel() == "stimulus"


def test_psychometric_curves_of_draws_and_batches_and_of_the_other_choice(one, draws, many):
    curve = lambda ax, k: shown(ax, str(k))
    np.testing.assert_allclose(
        curve(plots.psychometric(one, choice="left"), 1), 1 - curve(plots.psychometric(one), 1), atol=1e-6
    )
    ax, p = plots.psychometric(draws, others="zero"), draws.params
    eta = p["weights"][..., :1] * np.linspace(-1, 1, 101) + p["biases"][..., None]
    mean = (1 / (1 + np.exp(-eta))).mean((0, 1))
    np.testing.assert_allclose([curve(ax, k) for k in range(2)], mean, atol=1e-5)
    assert len(ax.collections) >= 2
    ax, p = plots.psychometric(many, others="zero"), many.best().params
    eta = p["weights"][..., :1] * np.linspace(-1, 1, 101) + p["biases"][..., None]
    np.testing.assert_allclose([curve(ax, k) for k in range(2)], (1 / (1 + np.exp(-eta))).mean(0), atol=1e-5)


# --- paths ------------------------------------------------------------------------------------------------------------


def test_a_session_is_drawn_to_its_end_with_its_choices(one):
    ax, probs = plots.session(one, "tuesday"), one.best().smooth()["y"][1]
    values, seen = observed(ADA)[1]
    length = int(np.flatnonzero(seen)[-1]) + 1
    for k in range(2):
        np.testing.assert_allclose(shown(ax, str(k)), probs[:length, k])
    ticks = [np.asarray(line.get_xdata()) for line in ax.lines if line.get_marker() == "|"]
    for category, at in enumerate(ticks):
        np.testing.assert_array_equal(at, np.flatnonzero(seen & (values == category)) + 1)
    assert [text.get_text() for text in ax.texts] == ["left", "right"]
    gaps = np.concatenate([np.arange(patch.get_x(), patch.get_x() + patch.get_width()) + 0.5 for patch in ax.patches])
    np.testing.assert_array_equal(gaps, np.flatnonzero(~seen[:length]) + 1)
    assert ax.get_xlim() == (0.5, length + 0.5) and ax.get_title("left") == "tuesday"


def test_sessions_are_found_by_number_label_and_dataset(one, many):
    assert plots.session(one, 2).get_title("left") == "wednesday"
    assert plots.session(many, ("Bo", 1)).get_title("left") == "Bo, sequence 1"
    ax = plots.session(many, ("Bo", "monday"), coords={"sequence": BOTH.sequences})
    assert ax.get_title("left") == "Bo, monday"
    np.testing.assert_allclose(shown(ax, "1"), many.best().smooth()["y"][1, 0, : len(shown(ax, "1")), 1])
    for call, words in [
        (lambda: plots.session(one, "thursday"), "did you mean 'tuesday'"),
        (lambda: plots.session(many, ("Cleo", 0)), "'Ada', 'Bo'"),
        (lambda: plots.session(one, 3), "a number below 3"),
    ]:
        with pytest.raises(jl.InputError, match=words):
            call()


def test_occupancy_is_the_mean_probability_of_observed_steps(one, draws, many):
    seen = np.zeros((3, max(map(len, ADA["x"]))), bool)
    for row, (_, mask) in zip(seen, observed(ADA), strict=True):
        row[: len(mask)] = mask
    heights = lambda ax: [patch.get_height() for patch in ax.patches]
    np.testing.assert_allclose(heights(plots.occupancy(one)), one.best().smooth()["y"][seen].mean(0), rtol=1e-5)
    each = draws.smooth()["y"][:, :, seen].mean(2).reshape(-1, 2)
    ax = plots.occupancy(draws, prob=0.5)
    np.testing.assert_allclose(heights(ax), each.mean(0), rtol=1e-4)
    ends = [segment[:, 1] for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(ends, np.quantile(each, [0.25, 0.75], 0).T, rtol=1e-4)
    masks = np.asarray(BOTH.data["y"].mask)
    each = [probs[mask].mean(0) for probs, mask in zip(many.best().smooth()["y"], masks, strict=True)]
    ax = plots.occupancy(many)
    np.testing.assert_allclose(heights(ax), np.mean(each, 0), rtol=1e-5)
    np.testing.assert_allclose([line.get_ydata() for line in ax.lines], np.transpose(each), rtol=1e-5)


def brute_visits(paths):
    """One step after the other: state, length, and whether the sequence ended with it."""
    found = []
    for path in paths:
        path = [state for state in path if state >= 0]
        own = [(state, len(list(group))) for state, group in groupby(path)]
        found += [(state, length, i == len(own) - 1) for i, (state, length) in enumerate(own)]
    return found


def test_visits_do_not_cross_sequences_and_know_whether_they_were_cut():
    paths = np.array([[0, 0, 1, 1, 1, -1], [1, 0, 0, 0, 0, 0], [-1] * 6, [2, 2, -1, -1, -1, -1]])
    assert list(zip(*_dwell.visits(paths), strict=True)) == brute_visits(paths)
    rng = np.random.default_rng(0)
    paths = np.where(np.arange(50) < rng.integers(0, 51, (30, 1)), np.repeat(rng.integers(0, 3, (30, 25)), 2, 1), -1)
    assert list(zip(*_dwell.visits(paths), strict=True)) == brute_visits(paths)
    two = _dwell.visits(paths.reshape(2, 15, 50))
    assert list(zip(*two, strict=True)) == brute_visits(paths)


@pytest.mark.parametrize("seed", range(3))
def test_survival_is_that_of_scipy(seed):
    """A cut visit of length n is known to last longer than n - 1 steps."""
    rng = np.random.default_rng(seed)
    length, cut = rng.geometric(0.1, 60), rng.random(60) < 0.3
    expected = stats.ecdf(stats.CensoredData(uncensored=length[~cut], right=length[cut] - 1)).sf
    found = _dwell.survival(length, cut, 80)
    np.testing.assert_allclose(found, expected.evaluate(np.arange(81)), atol=1e-12)
    np.testing.assert_allclose(_dwell.survival(length, np.zeros(60, bool), 80)[7], np.mean(length > 7))


def test_cut_visits_do_not_bend_the_law():
    """Sessions of 50 steps, visits of 20 on average: with cut visits dropped the share of those beyond 32 would be far too small."""
    rng = np.random.default_rng(0)
    stay, share = 0.95, 0.95**32
    flips = rng.random((4000, 50)) > stay
    found = _dwell.visits(np.cumsum(flips, 1) % 2)
    alive = _dwell.survival(found.length, found.cut, 32)[32]
    # Greenwood's error is below that of as many whole visits as were seen to reach 32 steps.
    error = np.sqrt(share * (1 - share) / np.sum(found.length > 32))
    assert abs(alive - share) < 4 * error
    ended = found.length[~found.cut]
    assert np.mean(ended > 32) < share - 4 * error


def test_dwell_times_are_those_of_the_most_likely_paths(one, draws):
    for result in (one.best(), draws):
        ax = plots.dwell_times(result)
        found = brute_visits(result.most_likely_states()["y"].reshape(-1, max(map(len, ADA["x"]))))
        edges = ax.patches[0].get_data().edges
        np.testing.assert_array_equal(edges, 2 ** np.arange(len(edges)))
        assert edges[-2] <= max(length for _, length, _ in found) < edges[-1]
        matrices = result.params["transition_matrix"].reshape(-1, 2, 2)
        for k, (bars, law) in enumerate(zip(ax.patches[1::2], ax.lines, strict=True)):
            own = [(length, cut) for state, length, cut in found if state == k]
            times = stats.CensoredData(
                uncensored=[length for length, cut in own if not cut], right=[length - 1 for length, cut in own if cut]
            )
            expected = -np.diff(stats.ecdf(times).sf.evaluate(edges - 1))
            np.testing.assert_allclose(bars.get_data().values, expected, atol=1e-9)
            each = [np.diff(stats.geom(1 - matrix[k, k]).cdf(edges - 1)) for matrix in matrices]
            np.testing.assert_allclose(law.get_ydata(), np.mean(each, 0), atol=1e-5)


def test_the_law_of_a_batch_is_averaged_over_visits(many):
    best, ax = many.best(), plots.dwell_times(many)
    edges = ax.patches[0].get_data().edges
    each = [brute_visits(paths) for paths in best.most_likely_states()["y"]]
    for k, law in enumerate(ax.lines):
        laws = [np.diff(stats.geom(1 - matrix[k, k]).cdf(edges - 1)) for matrix in best.params["transition_matrix"]]
        counts = [sum(state == k for state, _, _ in found) for found in each]
        np.testing.assert_allclose(law.get_ydata(), np.average(laws, 0, counts), atol=1e-5)


# --- the whole figure -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [7.2, 3.4])
def test_no_panel_of_the_figure_covers_another(one, many, width):
    for result, keys in ((one, {}), (many, {"session": ("Bo", 0)})):
        axes = plots.states(result, "stimulus", width=width, **keys)
        assert set(axes) == {"weights", "psychometric", "transitions", "session", "occupancy", "dwell"}
        figure = axes["weights"].figure
        assert figure.get_figwidth() == width
        figure.canvas.draw()
        boxes = [*(ax.get_tightbbox() for ax in axes.values()), figure.legends[0].get_window_extent()]
        for a, b in combinations(boxes, 2):
            overlap = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert min(overlap) < 1
        for name in ("psychometric", "session", "occupancy", "dwell"):
            labels = [label.get_window_extent() for label in axes[name].get_xticklabels() if label.get_text()]
            assert all(a.x1 < b.x0 for a, b in pairwise(labels)), name
        for box in boxes:
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1


def test_a_state_has_one_colour_in_all_panels(one):
    axes = plots.states(one, coords={"state": ["engaged", "biased"]})
    for k, colour in enumerate(COLOURS[:2]):
        name = ["engaged", "biased"][k]
        for panel in ("weights", "psychometric", "session"):
            assert {to_rgba(line.get_color()) for line in axes[panel].lines if line.get_label() == name} == {
                to_rgba(colour)
            }
        assert axes["occupancy"].patches[k].get_facecolor() == to_rgba(colour)
        assert axes["dwell"].patches[2 * k + 1].get_edgecolor() == to_rgba(colour)
        assert axes["transitions"].get_xticklabels()[k].get_color() == colour
    legend = axes["weights"].figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["state engaged", "state biased"]
    assert len({to_rgba(colour) for colour in colours_of(12)}) == 12


def test_other_emissions_have_means_and_no_psychometric_curve(driven):
    result, data = driven
    axes = plots.states(result)
    assert set(axes) == {"weights", "transitions", "session", "occupancy", "dwell"}
    np.testing.assert_allclose([shown(axes["weights"], str(k))[0] for k in range(2)], result.best().params["means"])
    assert axes["weights"].get_ylabel() == "mean"
    (values,) = [ax for ax in axes["session"].figure.axes if ax not in axes.values()]
    np.testing.assert_allclose(values.lines[0].get_ydata(), data["y"].values[0], rtol=1e-6)
    with pytest.raises(jl.InputError, match="no regression on inputs"):
        plots.psychometric(result)


def test_categories_are_log_odds_and_counts_are_means(one):
    rng = np.random.default_rng(0)
    x, counts, known = rng.normal(size=(2, 40, 2)), rng.poisson(2.0, (2, 40)), around(one, (1,))
    coords = {"category": ["left", "right", "none"], "input": ["s", "t"]}
    model, data = hmm(2, emissions.CategoricalRegression(2, 3)), {"x": x, "y": rng.integers(0, 3, (2, 40))}
    own = {"weights": rng.normal(size=(1, 2, 3, 2)), "biases": rng.normal(size=(1, 2, 3))}
    fit = with_params(one, (1,), {**known, **own}, model, data, coords).best()
    ax, p = plots.state_weights(fit), fit.params
    whole = np.concatenate([p["weights"], p["biases"][..., None]], -1)
    np.testing.assert_allclose(shown(ax, "1"), (whole[1, 1:] - whole[1, :1]).ravel(), rtol=1e-5)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == [f"{c}, {i}" for c in ("right", "none") for i in ("s", "t", "bias")]
    assert ax.get_ylabel() == "log odds against left"
    ax = plots.psychometric(fit, "t", choice="right", others="zero")
    line = next(line for line in ax.lines if line.get_label() == "0")
    logits = p["weights"][0, :, 1] * np.asarray(line.get_xdata())[:, None] + p["biases"][0]
    np.testing.assert_allclose(line.get_ydata(), np.exp(logits[:, 1]) / np.exp(logits).sum(1), rtol=1e-4)
    assert len([line for line in plots.session(fit).lines if line.get_marker() == "|"]) == 3
    data = {"x": x, "y": counts}
    fit = with_params(one, (1,), known, hmm(2, emissions.PoissonRegression(2)), data, {}).best()
    ax = plots.psychometric(fit, 1, others="zero")
    line = next(line for line in ax.lines if line.get_label() == "1")
    rates = np.exp(fit.params["weights"][1, 1] * np.asarray(line.get_xdata()) + fit.params["biases"][1])
    np.testing.assert_allclose(line.get_ydata(), rates, rtol=1e-4)
    assert ax.get_ylabel() == "mean of y" and ax.get_xlabel() == "input 1"
    shared = {"x": x[0], "y": counts}
    fit = with_params(one, (1,), known, hmm(2, emissions.PoissonRegression(2)), shared, {}).best()
    places = plots.psychometric(fit, 1).lines[0].get_xdata()
    np.testing.assert_allclose([places[0], places[-1]], [x[0, :, 1].min(), x[0, :, 1].max()], rtol=1e-6)


def test_chains_and_datasets_that_failed_are_left_out(draws, many):
    gone = replace(draws, objective=np.array([0.0, np.nan]))
    ax = plots.state_weights(gone)
    np.testing.assert_allclose(shown(ax, "0")[:2], draws.params["weights"][0, :, 0].mean(0), rtol=1e-5)
    left = replace(many, objective=np.where([[True], [False]], many.objective, np.nan))
    np.testing.assert_allclose(
        [patch.get_height() for patch in plots.occupancy(left).patches],
        [patch.get_height() for patch in plots.occupancy(many["Ada"]).patches],
        rtol=1e-5,
    )
    with pytest.raises(jl.InputError, match="all failed"):
        plots.occupancy(replace(many, objective=np.full((2, 3), np.nan)))


@pytest.mark.usefixtures("wrong_types")
def test_what_has_no_states_is_refused(one):
    values = {"mixture_weights": [[0.5, 0.5]], "means": [[0.0, 1.0]], "covs": [[1.0, 1.0]]}
    plain = jl.Model(
        {name: dist.Normal(0.0, 1.0).expand([2]).to_event(1) for name in values},
        lambda p, d: {"y": dist.Normal(p.means[0], 1.0)},
    )
    y, models = {"y": np.arange(20.0)}, (plain, jl.models.gaussian_mixture(2, None))
    unknown, mixture = (with_params(one, (1,), values, model, y, {}) for model in models)
    for call, words in [
        (lambda: plots.states(mixture), "without hidden states"),
        (lambda: plots.states(unknown), "without hidden states"),
        (lambda: plots.psychometric(one, "stimulos"), "did you mean 'stimulus'"),
        (lambda: plots.psychometric(one, 2), "a number below 2"),
        (lambda: plots.psychometric(one, choice="rihgt"), "did you mean 'right'"),
        (lambda: plots.psychometric(one, others="median"), "'mean', 'zero'"),
    ]:
        with pytest.raises(jl.InputError, match=words):
            call()


def test_long_labels_are_wrapped_at_words():
    assert wrapped("stimulus") == "stimulus"
    assert wrapped("win_stay_lose_switch(choice, rewarded)") == "win_stay_lose_switch\n(choice, rewarded)"
    assert all(len(line) <= 20 for line in wrapped("an_input_with_a_name_that_is_too_long_for_two_lines").split("\n"))
