"""Laws of `NUTS(metric="auto")`: as cheap as a dense metric on a plain regression, as safe as a diagonal one on a bent posterior."""

from functools import cache

import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import jaxlatent as jl

COPIES = 6


def regression():
    """A regression on uncentred columns and their product: correlations of 0.99, condition number about 10,000."""
    rng = np.random.default_rng(0)
    group, score = rng.random(300) < 0.7, rng.normal(100.0, 15.0, 300)
    x = np.column_stack([np.ones(300), group, score, group * score])
    model = jl.Model(
        prior={"beta": jl.flat(constraints.real_vector, (4,)), "sigma": dist.HalfCauchy(2.5)},
        likelihood=lambda p, d: {"y": dist.Normal(d.x @ p.beta, p.sigma)},
    )
    return model, {"x": x, "y": x @ [-10.0, 50.0, 1.0, -0.5] + 18 * rng.normal(size=300)}


def banana():
    """Rosenbrock's function: the direction in which it is narrow turns along the valley."""
    model = jl.Model(
        prior={"a": dist.Normal(1.0, 1.0), "b": lambda p: dist.Normal(p.a**2, 0.2)},
        likelihood=lambda p, d: {"nothing": jl.Factor(d.zero)},
    )
    return model, {"zero": np.zeros(())}


@cache
def fit(make, metric):
    model, data = make()
    copies = jl.batch([data] * COPIES)
    return jl.fit(model, copies, jl.NUTS(chains=4, warmup=400, draws=250, metric=metric), seed=0)


@pytest.fixture(scope="module", autouse=True)
def forget():
    yield
    fit.cache_clear()


def test_a_plain_regression_costs_what_it_costs_with_a_dense_metric():
    auto, dense = (fit(regression, metric).statistics["n_steps"].mean((1, 2)) for metric in ("auto", "dense"))
    # All copies keep their correlations; a diagonal metric would take ten times the gradients.
    assert np.all(auto < 1.2 * dense.mean()) and np.all(auto < 10), (auto, dense)


@pytest.mark.slow
def test_a_bent_posterior_diverges_no_more_than_with_a_diagonal_metric():
    auto, diag = (fit(banana, metric).statistics["diverging"].sum() for metric in ("auto", "diag"))
    # Divergences come in runs of a few, where a chain stays a while: about 5 times the variance of Poisson counts.
    assert auto <= diag + 3 * np.sqrt(5 * (auto + diag)), (auto, diag)


def test_steps_are_short_where_the_curvature_varies_whatever_the_target():
    model, data = banana()
    copies = jl.batch([data] * COPIES)
    result = jl.fit(model, copies, jl.NUTS(chains=4, warmup=400, draws=250, target_accept=0.3), seed=0)
    # The least of four step sizes that each aim at 0.9; it was 0.16 when they aimed at the target.
    assert np.median(result.statistics["acceptance_rate"].mean((1, 2))) > 0.8


@pytest.mark.parametrize("make, diagonal", [(regression, False), (banana, True)])
def test_a_result_says_what_was_chosen_and_why(make, diagonal):
    result = fit(make, "auto")
    chosen, ratio = result.statistics["diagonal_metric"], result.statistics["curvature_ratio"]
    assert chosen.shape == ratio.shape == (COPIES, 4)
    assert np.all(chosen == diagonal) and np.all((ratio > 2) == diagonal)
    text = result.provenance.choices["metric"]
    assert text.startswith("diagonal" if diagonal else "with correlations") and f"{ratio.min():.3g}" in text
    one = result[0].to_arviz()
    assert one.sample_stats["diagonal_metric"].dims == ("chain",) and one.posterior.attrs["choice_of_metric"] == text


@pytest.mark.parametrize("make, metric", [(regression, "dense"), (banana, "diag")])
def test_a_metric_that_was_asked_for_is_no_choice(make, metric):
    result = fit(make, metric)
    assert "metric" not in result.provenance.choices and np.all(
        result.statistics["diagonal_metric"] == (metric == "diag")
    )
