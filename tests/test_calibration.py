"""Simulation-based calibration: engines that are right pass, one that is wrong fails, and so do the tutorial's systems under NUTS."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import kstest

import jaxlatent as jl

#: Beyond this, one of all the entries that a test looks at is not calibrated.
RARE = 1e-3

NORMAL = jl.Model(
    prior={"mean": dist.Normal(1.0, 2.0), "trend": dist.Normal(0.0, 1.0).expand([2]).to_event(1)},
    likelihood=lambda p, d: {"y": dist.Normal(p.mean + d.x @ p.trend, 1.0)},
    derived=lambda p, d: {"total": p.mean + p.trend.sum()},
)
X = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)


def least(calibration):
    """The least p-value, corrected for how many there are."""
    p = np.concatenate([np.ravel(value) for value in calibration.pvalues().values()])
    return p.min() * p.size


def test_an_exact_engine_is_calibrated():
    gap = jl.Masked(np.zeros(8), np.arange(8) < 5)
    found = jl.calibrate(NORMAL, {"x": X, "y": gap}, jl.Laplace(draws=200), seed=0, simulations=400)
    np.testing.assert_array_equal(found.result.posterior.data["y"].mask, np.tile(gap.mask, (400, 1)))
    assert {name: rank.shape for name, rank in found.ranks.items()} == {
        "mean": (400,),
        "trend": (400, 2),
        "total": (400,),
    }
    assert found.ranks["mean"].min() >= 0 and found.ranks["mean"].max() <= found.draws == 99
    assert least(found) > RARE
    assert kstest((found.ranks["mean"] + 0.5) / 100, "uniform").pvalue > RARE


def test_a_wrong_posterior_is_found_out():
    skewed = jl.Model(
        prior={"rate": dist.Gamma(1.0, 1.0)}, likelihood=lambda p, d: {"y": dist.Poisson(p.rate).expand(d.y.shape)}
    )
    found = jl.calibrate(skewed, {"y": np.zeros(1, int)}, jl.Laplace(draws=200), seed=0, simulations=400)
    assert least(found) < RARE


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    ("options", "message"),
    [({"simulations": 0}, "at least 1 simulation"), ({"draws": 300}, "1 to 200"), ({"seed": 0.5}, "calibrate.seed")],
)
def test_bad_settings_are_told(options, message):
    with pytest.raises(jl.InputError, match=message):
        jl.calibrate(NORMAL, {"x": X, "y": np.zeros(8)}, jl.Laplace(draws=200), **{"seed": 0, **options})


def test_a_prior_that_reads_what_it_is_to_generate_is_told():
    model, data = jl.models.gaussian_mixture(2, None), {"y": np.arange(9.0)}
    with pytest.raises(jl.InputError, match=r"the prior of 'covs'[\s\S]*prior_scale"):
        jl.calibrate(model, data, jl.Laplace(draws=200), seed=0)
    # What is known beforehand may depend on the shape of the observations.
    sized = jl.Model(
        prior={"each": lambda p, d: dist.Normal(0.0, 1.0).expand(d.y.shape).to_event(1)},
        likelihood=lambda p, d: {"y": dist.Normal(p.each, 1.0)},
    )
    jl.calibrate(sized, {"y": np.zeros(3)}, jl.Laplace(draws=200), seed=0, simulations=2)


def test_an_engine_that_does_not_draw_is_told():
    with pytest.raises(jl.InputError, match="an engine that draws"):
        jl.calibrate(NORMAL, {"x": X, "y": np.zeros(8)}, jl.Optimize(), seed=0)


# The systems of the tutorial at small size; labels are put in order by their priors.

STANDARD = dist.Normal(0.0, 1.0)
#: No scale so small that a component may shrink onto a point, no component without points: chains would not mix, whatever the sampler.
SCALES = dist.LogNormal(0.0, 0.3)
SHARES = dist.Dirichlet(jnp.full(2, 3.0))


def two_normals(p, d):
    parts = dist.Normal(p.means, jnp.ones(2))
    return {"y": dist.MixtureSameFamily(dist.Categorical(p.weights), parts).expand(d.y.shape)}


def two_lines(p, d):
    lines = dist.Normal(p.slopes * d.x[:, None] + p.biases, p.scales)
    labels = dist.Categorical(jnp.broadcast_to(p.weights, (d.x.shape[0], 2)))
    return {"y": dist.MixtureSameFamily(labels, lines)}


def switching_lines(p, d):
    lines = dist.Normal(p.slopes * d.x[..., None] + p.biases, p.scales)
    return {"y": jl.HiddenMarkov(p.initial_probs, p.transition_matrix, lines)}


LINES = {
    "slopes": jl.ordered(STANDARD.expand([2])),
    "biases": STANDARD.expand([2]).to_event(1),
    "scales": SCALES.expand([2]).to_event(1),
}
SYSTEMS = {
    "B2": (
        jl.Model(prior={"weights": SHARES, "means": jl.ordered(STANDARD.expand([2]))}, likelihood=two_normals),
        {"y": np.zeros(60)},
    ),
    "B5": (
        jl.Model(prior={"weights": SHARES, **LINES}, likelihood=two_lines),
        {"y": np.zeros(60), "x": np.random.default_rng(1).normal(size=60)},
    ),
    "B7": (
        jl.Model(
            prior={
                "initial_probs": SHARES,
                "transition_matrix": dist.Dirichlet(jnp.full((2, 2), 3.0)).to_event(1),
                **LINES,
            },
            likelihood=switching_lines,
        ),
        {"y": np.zeros((3, 25)), "x": np.random.default_rng(2).normal(size=(3, 25))},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_with_hidden_labels_are_calibrated(name):
    model, data = SYSTEMS[name]
    found = jl.calibrate(model, data, jl.NUTS(chains=1, warmup=500, draws=1000, max_depth=6), seed=3, simulations=100)
    assert least(found) > RARE, found.pvalues()
