"""Starts near a fit: they lead out of local optima, are in every support, and are refused where labels cannot be changed."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from often import often
from sklearn.mixture import GaussianMixture

import jaxlatent as jl
from jaxlatent.models import (
    Gate,
    InputDriven,
    Stationary,
    emissions,
    gaussian_mixture,
    hierarchical,
    hmm,
    mixture,
    mixture_of_experts,
    regression_mixture,
)

RNG = np.random.default_rng(0)
CENTRES = np.array([-12.0, 0.0, 3.0])
CLUSTERS = (CENTRES[np.arange(150) % 3] + RNG.normal(size=150) * 0.6)[:, None]
#: Two labels on the lone cluster, one on the two near ones: EM ends there.
STUCK = np.array([[-12.5], [-11.5], [1.5]])


def stuck(model, data, **more):
    covs = np.array([0.3, 0.3, 3.0])[:, None, None]
    labels = {"means": STUCK, "covs": covs, **more}
    return jl.fit(model, data, jl.EM(restarts=1), 0, init=labels)


def test_a_mixture_leaves_a_local_optimum():
    model, data = gaussian_mixture(3, 1), {"y": CLUSTERS}
    fit = stuck(model, data, mixture_weights=np.array([0.2, 0.2, 0.6]))
    peer = GaussianMixture(3, means_init=CENTRES[:, None], tol=1e-8).fit(CLUSTERS)
    assert fit.status == jl.Status.CONVERGED and np.abs(np.sort(fit.best().params["means"][:, 0]) - CENTRES).max() > 1
    again = jl.fit(model, data, jl.EM(restarts=10), 1, init=fit.split_and_merge(10, seed=1))
    assert float(again.best().objective) > float(fit.best().objective) + 10
    means = np.sort(again.best().params["means"][:, 0])
    np.testing.assert_allclose(means, np.sort(peer.means_[:, 0]), atol=0.05)


def test_a_hidden_markov_model_leaves_a_local_optimum():
    rng = np.random.default_rng(1)
    y = CENTRES[np.repeat(rng.integers(0, 3, 40), 10)][:, None] + rng.normal(size=(400, 1)) * 0.6
    stay = {"initial_probs": np.full(3, 1 / 3), "transition_matrix": np.full((3, 3), 0.1) + 0.7 * np.eye(3)}
    model = hmm(3, emissions.Gaussian(1))
    fit = stuck(model, {"y": y}, **stay)
    again = jl.fit(model, {"y": y}, jl.EM(restarts=10), 1, init=fit.split_and_merge(10, seed=1))
    assert float(again.best().objective) > float(fit.best().objective) + 50
    np.testing.assert_allclose(np.sort(again.best().params["means"][:, 0]), CENTRES, atol=0.2)


X = RNG.normal(size=(60, 2))
ROWS = {"x": X, "y": RNG.normal(size=60)}
STEPS = {"y": RNG.normal(size=(4, 20, 1)), "u": RNG.normal(size=(4, 20, 1))}
CHOICES = {"x": RNG.normal(size=(6, 20, 1)), "y": RNG.integers(0, 2, (6, 20)), "animal": np.arange(6) % 2}
FAMILIES = {
    "transitions by inputs": (hmm(3, emissions.Gaussian(1), InputDriven(1)), STEPS),
    "masks": (hmm(3, emissions.Gaussian(1)), {"y": jl.Masked(STEPS["y"], RNG.random((4, 20)) > 0.3)}),
    "counts": (hmm(4, emissions.Poisson(rate=1.0)), {"y": RNG.integers(0, 5, 50)}),
    "categories": (hmm(3, emissions.Categorical(3), Stationary(2.0)), {"y": RNG.integers(0, 3, (2, 40))}),
    "experts": (mixture_of_experts(3, 2), ROWS),
    "regressions": (regression_mixture(3, 2), ROWS),
    "a gate": (mixture(3, emissions.LinearRegression(2), Gate(2)), ROWS),
    "groups": (hierarchical(hmm(3, emissions.BernoulliRegression(1)), "animal", 2), CHOICES),
}


#: Labels on one axis and on two, inputs, and a gate.
OFTEN = ("transitions by inputs", "a gate")


@pytest.mark.parametrize("family", often(FAMILIES, OFTEN))
def test_starts_of_every_family_can_be_fitted(family):
    """No start is outside a support, or where nothing is finite: each lane takes a step."""
    model, data = FAMILIES[family]
    fit = jl.fit(model, data, jl.EM(restarts=4, max_iter=3), 0)
    starts = fit.split_and_merge(4, seed=0)
    assert {name: value.shape for name, value in starts.items()} == {
        name: (4, *value.shape[1:]) for name, value in fit.params.items()
    }
    assert len(np.unique(starts[next(iter(starts))].reshape(4, -1), axis=0)) > 1
    again = jl.fit(model, data, jl.EM(restarts=4, max_iter=3), 0, init=starts)
    assert np.isfinite(again.objective).all()
    for name, value in starts.items():
        if name.endswith(("probs", "matrix")):
            np.testing.assert_allclose(value.sum(-1), 1.0, rtol=1e-5)


def test_merged_labels_add_up_and_split_ones_share():
    fit = jl.fit(hmm(3, emissions.Gaussian(1)), {"y": CLUSTERS}, jl.EM(restarts=3, max_iter=20), 0).best()
    first, *moved = fit.split_and_merge(12, seed=3)["initial_probs"]
    np.testing.assert_array_equal(first, fit.params["initial_probs"])
    for start in moved:
        own, (a, b, c) = np.sort(start), first
        pairs = [np.sort([a + b, c / 2, c / 2]), np.sort([a + c, b / 2, b / 2]), np.sort([b + c, a / 2, a / 2])]
        assert min(np.abs(own - pair).max() for pair in pairs) < 1e-6


def test_every_dataset_of_a_batch_has_starts_of_its_own():
    """In the units of its data."""
    model = gaussian_mixture(3, 1)
    batch = jl.batch({"small": {"y": CLUSTERS}, "large": {"y": 1000 * CLUSTERS}})
    fit = jl.fit(model, batch, jl.EM(restarts=5), 0)
    starts = fit.split_and_merge(5, seed=0)
    assert starts["means"].shape == (2, 5, 3, 1)
    assert np.abs(starts["means"][0]).max() < 20 < 1000 < np.abs(starts["means"][1]).max()
    again = jl.fit(model, batch, jl.EM(restarts=5), 0, init=starts)
    # Up to the rounding of a log joint of some hundred nats.
    assert (again.best().objective >= fit.best().objective - 1e-2).all()


def test_equal_seeds_give_equal_starts():
    fit = jl.fit(gaussian_mixture(3, 1), {"y": CLUSTERS}, jl.EM(restarts=1), 0)
    one, same, other = (fit.split_and_merge(4, seed)["means"] for seed in (1, jax.random.key(1), 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


ORDERED = jl.Model(
    {
        "means": jl.ordered(dist.Normal(0.0, 10.0).expand([3]).to_event(1)),
        "weights": dist.Dirichlet(jnp.ones(3)),
    },
    lambda p, d: {
        "y": dist.MixtureSameFamily(dist.Categorical(probs=p.weights), dist.Normal(p.means, 1.0), validate_args=False)
    },
    dims={"means": ("component",), "weights": ("component",)},
)
LINE = jl.Model({"mean": dist.Normal(0.0, 10.0)}, lambda p, d: {"y": dist.Normal(p.mean, 1.0)})
WRONG = {
    "two labels": (gaussian_mixture(2, 1), {"y": CLUSTERS}, jl.EM(restarts=1), "at least 3"),
    "an order": (ORDERED, {"y": CLUSTERS[:, 0]}, jl.Optimize(restarts=1, max_iter=50), "exchangeable"),
    "no labels": (LINE, {"y": CLUSTERS[:, 0]}, jl.Optimize(restarts=1, max_iter=50), "latent labels"),
    "draws": (gaussian_mixture(3, 1), {"y": CLUSTERS}, jl.NUTS(chains=1, warmup=20, draws=10), "a point fit"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.filterwarnings("ignore")
def test_what_has_no_labels_to_change_is_refused(wrong):
    model, data, engine, words = WRONG[wrong]
    fit = jl.fit(model, data, engine, 0)
    with pytest.raises(jl.InputError, match=words) as error:
        fit.split_and_merge(4, seed=0)
    assert "split_and_merge" in str(error.value) and "align" not in str(error.value)


def test_wrong_settings_are_refused():
    fit = jl.fit(gaussian_mixture(3, 1), {"y": CLUSTERS}, jl.EM(restarts=1, max_iter=3), 0)
    with pytest.raises(jl.InputError, match="restarts"):
        fit.split_and_merge(1, seed=0)
    with pytest.raises(jl.InputError, match="seed"):
        fit.split_and_merge(2, seed=jax.random.PRNGKey(0))
