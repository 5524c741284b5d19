"""What those who come from other packages do first: defaults, names, printed graphs and messages that they can paste."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.models import emissions, gaussian_mixture, hmm

RNG = np.random.default_rng(0)
Y = RNG.normal(size=40).astype(np.float32) + np.repeat([0.0, 9.0], 20).astype(np.float32)
MIXTURE = gaussian_mixture(2, None)
ENGINE = jl.EM(restarts=1, max_iter=3)


def test_what_is_held_out_follows_the_model():
    assert jl.cross_validate(MIXTURE, {"y": Y}, ENGINE, seed=0, folds=2).unit == "row"
    study = jl.select(lambda K: gaussian_mixture(K, None), [1, 2], {"y": Y}, ENGINE, seed=0, folds=2)
    assert "40 rows" in str(study)
    sequences = {"y": Y.reshape(4, 10)}
    assert jl.cross_validate(hmm(2, emissions.Gaussian()), sequences, ENGINE, seed=0, folds=2).unit == "sequence"
    with pytest.raises(jl.InputError, match="by='row'"):
        jl.cross_validate(MIXTURE, {"y": Y}, ENGINE, seed=0, by="sequence")
    with pytest.raises(jl.InputError, match="by='forward'"):
        jl.cross_validate(hmm(2, emissions.Gaussian()), {"y": Y}, ENGINE, seed=0)


def test_the_remedy_for_lengths_is_one_that_can_be_pasted():
    y, x, lengths = Y, np.ones((40, 1)), [15, 25]
    model = hmm(2, emissions.LinearRegression(1))
    with pytest.raises(jl.InputError) as caught:
        jl.fit(model, {"y": y, "x": x, "lengths": lengths}, ENGINE, seed=0)
    pasted = caught.value.remedy.partition("{")[2].partition("}")[0]
    data = eval(f"{{{pasted}}}", {"np": np, "y": y, "x": x, "lengths": lengths})
    assert [len(one) for one in data["y"]] == [len(one) for one in data["x"]] == lengths
    assert jl.condition(model, data).data["y"].shape == (2, 25)


def test_em_says_that_it_does_not_know_the_sites_of_a_numpyro_model():
    def model(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 9.0).expand([2]).to_event(1))
        states = jl.HiddenMarkov(jnp.ones(2) / 2, jnp.ones((2, 2)) / 2, dist.Normal(mu, 1.0), (40,))
        numpyro.sample("y", states, obs=y)

    with pytest.raises(jl.InputError, match=r"jl.Optimize") as caught:
        jl.fit(jl.from_numpyro(model, y=Y), None, ENGINE, seed=0)
    assert "without latent" not in str(caught.value)


def test_models_with_other_labels_are_not_equal():
    one, other = (replace(MIXTURE, coords={"component": labels}) for labels in (["a", "b"], ["c", "d"]))
    assert one != other and one == replace(MIXTURE, coords={"component": ("a", "b")})
    for model, labels in ((one, ["a", "b"]), (other, ["c", "d"])):
        fitted = jl.fit(jl.condition(model, {"y": Y}), None, ENGINE, seed=0)
        assert fitted.coords["component"] == labels == list(fitted.posterior.density.coords["component"])


@pytest.mark.usefixtures("wrong_types")
def test_integers_are_observations_of_a_normal():
    counts = np.arange(30) % 3
    model = hmm(2, emissions.Gaussian())
    whole, real = (jl.fit(model, {"y": y}, ENGINE, seed=0) for y in (counts, counts.astype(np.float32)))
    np.testing.assert_allclose(whole.objective, real.objective, rtol=1e-5)
    for steps in (-1, 2.5):
        with pytest.raises(jl.InputError, match="forecast"):
            whole.best().forecast(steps, seed=0)


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    "call, what",
    [
        (lambda: hmm(2.5, emissions.Gaussian()), "num_states"),
        (lambda: hmm("2", emissions.Gaussian()), "num_states"),
        (lambda: hmm(emissions.Gaussian(), 2), "num_states"),
        (lambda: hmm(2, emissions.Gaussian), "emissions"),
        (lambda: gaussian_mixture(0, 2), "num_components"),
        (lambda: jl.fit(MIXTURE, {"y": Y}, ENGINE, seed=2**70), "seed"),
        (lambda: jl.fit(MIXTURE, {"y": Y}, ENGINE, seed=0, init="kmeans"), "init"),
    ],
)
def test_settings_of_another_kind_are_refused(call, what):
    with pytest.raises(jl.InputError, match=what):
        call()


def test_a_graph_prints_as_text():
    lines = str(MIXTURE.graph({"y": Y})).splitlines()
    assert lines[0] == MIXTURE.name and len(lines) == 5
    assert lines[-1].split() == [
        "observed",
        "y",
        "Mixture",
        "of",
        "Normal,",
        "given",
        "mixture_weights,",
        "covs,",
        "means",
    ]


def test_datasets_are_there_and_an_example_may_be_imported():
    assert jl.datasets.census_income().data["income"].shape == (14,) and "datasets" in dir(jl)
    root = Path(__file__).parents[1]
    program = (
        "import sys, jaxlatent; assert 'jaxlatent.datasets' not in sys.modules; import census_income as c; c.pooling"
    )
    subprocess.run([sys.executable, "-c", program], cwd=root / "examples", check=True, timeout=120,
                   env={**os.environ, "PYTHONPATH": str(root)})  # fmt: skip
