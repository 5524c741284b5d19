"""Comparison: optimality of the weights, agreement with ArviZ, and the table."""

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

import jaxlatent as jl
from jaxlatent.diagnostics import InformationCriterion, compare, loo, waic
from jaxlatent.diagnostics.weights import stacking_weights
from jaxlatent.errors import InputError

LEGACY = az.__version__.startswith("0")


def criterion(pointwise, kind="loo", warning=None):
    pointwise = np.asarray(pointwise, float)
    return InformationCriterion(kind, pointwise, np.full_like(pointwise, 0.1), n_samples=100, warning=warning)


def log_likelihoods(seed=0):
    """Three models, each of which predicts a part of 60 observations best."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([rng.normal(-1, 1, 30), rng.normal(2, 1, 30)])
    draws = rng.normal(size=(4, 250, 1)) * 0.1
    return {"left": norm.logpdf(y, draws - 1), "right": norm.logpdf(y, draws + 2), "wide": norm.logpdf(y, draws, 4)}


def best_possible_gain(pointwise, weights):
    """Largest directional derivative of the mean log score towards a single model: at most zero at the optimum."""
    density = np.exp(pointwise)
    return (density / (density @ weights)[:, None]).mean(0).max() - 1


@pytest.mark.parametrize(("observations", "models"), [(10, 1), (20, 2), (200, 5), (5, 12)])
def test_stacking_weights_are_optimal(observations, models):
    pointwise = np.random.default_rng(models).normal(size=(observations, models)) * 2
    weights = stacking_weights(pointwise)
    assert weights.shape == (models,) and (weights >= 0).all() and np.isclose(weights.sum(), 1)
    assert best_possible_gain(pointwise, weights) < 1e-6


def test_stacking_survives_densities_beyond_floating_point():
    pointwise = np.array([[-5000.0, -1.0, -2000.0]] * 3 + [[-1.0, -5000.0, -2000.0]])
    np.testing.assert_allclose(stacking_weights(pointwise), [0.25, 0.75, 0], atol=1e-4)


def test_stacking_splits_evenly_between_equal_halves():
    even = np.arange(100) % 2 == 0
    pointwise = np.stack([np.where(even, -1, -3), np.where(even, -3, -1), np.full(100, -9)], 1)
    np.testing.assert_allclose(stacking_weights(pointwise), [0.5, 0.5, 0], atol=1e-4)


def test_agrees_with_arviz():
    with jax.enable_x64(True):
        ours = compare({name: loo(values) for name, values in log_likelihoods().items()}, seed=0)
    as_idata = lambda values: (
        az.from_dict(posterior={"mu": values[..., 0]}, log_likelihood={"y": values})
        if LEGACY
        else az.from_dict({"posterior": {"mu": values[..., 0]}, "log_likelihood": {"y": values}})
    )
    options = {"ic": "loo"} if LEGACY else {"round_to": "none"}
    theirs = az.compare({name: as_idata(v) for name, v in log_likelihoods().items()}, method="stacking", **options)
    assert list(theirs.index) == list(ours.names)
    # ArviZ estimates the relative efficiency of the draws: its tails differ in length by a few weights
    np.testing.assert_allclose(theirs["elpd_loo" if LEGACY else "elpd"], ours.elpd, atol=0.01)
    # ArviZ divides the variance of the 60 differences by their number, not by one less
    np.testing.assert_allclose(theirs["dse"] * np.sqrt(60 / 59), ours.se_diff, atol=0.01)
    np.testing.assert_allclose(theirs["weight"], ours.stacking, atol=2e-3)


def test_differences_are_paired():
    a, b = np.random.default_rng(0).normal(size=(2, 40))
    result = compare({"a": criterion(a), "b": criterion(b - 1)}, seed=0)
    assert result.names == ("a", "b") and result.elpd_diff[0] == result.se_diff[0] == 0
    np.testing.assert_allclose(result.elpd_diff[1], (b - 1 - a).sum())
    np.testing.assert_allclose(result.se_diff[1], np.sqrt(40) * (b - a).std(ddof=1))


def test_pseudo_bma_follows_its_definition_and_its_seed():
    pointwise = np.random.default_rng(0).normal(size=(40, 3)) * 0.3
    criteria = {name: criterion(column) for name, column in zip("abc", pointwise.T, strict=True)}
    result = compare(criteria, seed=1, samples=4000)
    order = ["abc".index(name) for name in result.names]
    shares = np.random.default_rng(0).dirichlet(np.ones(40), 4000)
    score = np.exp(40 * shares @ pointwise[:, order])
    # two Monte Carlo means of 4000 weights in [0, 1], each known to better than 0.008
    np.testing.assert_allclose(result.pseudo_bma, (score / score.sum(1, keepdims=True)).mean(0), atol=0.04)
    same, other = compare(criteria, jax.random.key(1), 4000), compare(criteria, 2, 4000)
    assert (same.pseudo_bma == result.pseudo_bma).all() and (other.pseudo_bma != result.pseudo_bma).any()
    assert np.isclose(result.pseudo_bma.sum(), 1)


def test_table_is_aligned_and_complete():
    criteria = {"good": criterion([-1.0, -1.2]), "much worse": criterion([-11.0, -10.0], warning="1 of 2 is bad.")}
    result = compare(criteria, seed=0)
    head, first, second, note = str(result).splitlines()
    assert head.split()[:3] == ["rank", "model", "elpd_loo"]
    assert first.split()[:3] == ["0", "good", "-2.20"] and second.split()[:4] == ["1", "much", "worse", "-21.00"]
    assert first[: head.index("elpd_loo") + 8].endswith("-2.20") and second[: head.index("elpd_loo") + 8].endswith(
        "-21.00"
    )
    assert second.endswith("yes") and note == "much worse: 1 of 2 is bad."
    deviance = result.table("deviance").splitlines()
    assert deviance[1].split()[2] == "4.40" and deviance[2].split()[6] == "37.60"


@pytest.mark.usefixtures("wrong_types")
def test_an_unknown_scale_is_told():
    result = compare({"a": criterion([-1.0, -2.0]), "b": criterion([-1.0, -1.0])}, seed=0)
    with pytest.raises(InputError, match="deviance"):
        result.table("negative_log")


def test_dataset_holds_the_table():
    result = compare({"a": criterion([-1.0, -2.0]), "b": criterion([-1.0, -1.0], warning="bad")}, seed=0)
    dataset = result.to_dataset()
    assert dataset["model"].values.tolist() == ["b", "a"] and dataset["rank"].values.tolist() == [0, 1]
    assert dataset["elpd_diff"].sel(model="a") == -1 and dataset["warning"].values.tolist() == ["bad", ""]
    assert dataset.attrs == {"kind": "loo", "scale": "log", "n_observations": 2}


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ({}, "no criteria"),
        ({"a": criterion([-1.0]), "b": criterion([-1.0, -2.0])}, "'a': 1, 'b': 2"),
        ({"a": criterion([-1.0]), "b": criterion([-1.0], "waic")}, "waic"),
        ({"a": criterion([-1.0]), "b": criterion([-np.inf])}, "finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(criteria, message):
    with pytest.raises(InputError, match=message):
        compare(criteria, seed=0)


def test_waic_can_be_compared():
    result = compare({name: waic(values) for name, values in log_likelihoods().items()}, seed=0)
    assert result.kind == "waic" and "elpd_waic" in str(result)


def test_results_are_compared_by_their_loo_on_the_same_data():
    """Of other data, in other units, or conditional on other steps, there is no comparison."""
    y = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    model = lambda scale, seen: jl.Model(
        {"mu": dist.Normal(0.0, 9.0)},
        lambda p, d: {"y": dist.Normal(p.mu, scale).expand([4, 5]).mask(seen)},
    )
    everything, later = jnp.ones((4, 5), bool), jnp.arange(5) > jnp.zeros((4, 1))
    fit = lambda y, scale=1.0, seen=everything: jl.fit(model(scale, seen), {"y": y}, jl.Laplace(draws=200), 0)
    one, two = fit(y), fit(y.astype(float), 2.0)
    found = jl.compare({"one": one, "two": two}, 0)
    np.testing.assert_allclose(found.elpd, [one.loo().elpd, two.loo().elpd])
    for other, message in (
        (fit(10 * y), "other values in 'other'"),
        (fit(y[::-1]), "other values in 'other'"),
        (fit(y, seen=later), r"numbers of values with a density .*20.*16"),
        (3.0, r"'other'[\s\S]*float"),
    ):
        with pytest.raises(InputError, match=message):
            jl.compare({"one": one, "other": other}, 0)


def test_a_dataset_of_a_batch_is_found_by_its_name():
    batch = jl.batch({"A": {"y": np.zeros(3)}, "B": {"y": np.ones(3)}})
    np.testing.assert_array_equal(batch["B"]["y"], batch[1]["y"])
    with pytest.raises(InputError, match=r"a name among .'A', 'B'."):
        batch["C"]
