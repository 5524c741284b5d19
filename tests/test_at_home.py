"""What those who come from other packages do first: defaults, names, printed graphs and messages that they can paste."""

import os
import re
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


X, LABELS = RNG.normal(size=(40, 2)), RNG.integers(0, 3, 40)
CATEGORICAL = hmm(2, emissions.Categorical(3))
COIN = jl.Model({"p": dist.Dirichlet(jnp.ones(3))}, lambda p, d: {"y": dist.Categorical(p.p)})
LINE = jl.Model({"w": dist.Normal(0.0, 1.0).expand([2]).to_event(1)}, lambda p, d: {"y": dist.Normal(d.x @ p.w, 1.0)})


def observing(distribution):
    return jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: distribution(p))


#: What newcomers write, by what it is: the model, the data, and what the message says.
MISTAKES = {
    "truth values as labels": (COIN, {"y": LABELS > 1}, ["type bool", r"y\.astype\(int\)"]),
    "floats as labels": (COIN, {"y": LABELS + 0.0}, ["type float", r"y\.astype\(int\)"]),
    "truth values as labels of a chain": (CATEGORICAL, {"y": LABELS > 1}, ["type bool", r"y\.astype\(int\)"]),
    "one-hot rows": (CATEGORICAL, {"y": np.eye(3, dtype=int)[LABELS]}, ["one-hot", r"y\.argmax\(-1\)"]),
    "one-hot rows for a model by hand": (COIN, {"y": np.eye(3, dtype=int)[LABELS]}, ["one-hot", "from 0 to 2"]),
    "one-hot floats": (CATEGORICAL, {"y": np.eye(3)[LABELS]}, ["type float", r"y\.argmax\(-1\)"]),
    "a column as a sequence": (
        hmm(2, emissions.Gaussian()),
        {"y": Y[:, None]},
        ["40 sequences of one step", r"\[\.\.\., 0\]"],
    ),
    "no rows": (gaussian_mixture(2, None), {"y": []}, ["rows of the data", "none"]),
    "observations the other way round": (gaussian_mixture(2, 2), {"y": X.T}, ["transposed", r"y\.T"]),
    "inputs the other way round": (hmm(2, emissions.LinearRegression(2)), {"y": Y, "x": X.T}, ["transposed", r"x\.T"]),
    "other inputs": (hmm(2, emissions.LinearRegression(3)), {"y": Y, "x": X}, ["num_inputs=2"]),
    "no inputs": (hmm(2, emissions.LinearRegression(2)), {"y": Y}, ["data 'x'", r"\{\*\*data, 'x': x\}"]),
    "inputs not in sequences": (
        hmm(2, emissions.LinearRegression(2)),
        {"y": [Y[:10], Y[10:]], "x": X},
        ["cut the covariates into the same sequences as y"],
    ),
    "capital letters": (hmm(2, emissions.LinearRegression(2)), {"y": Y, "X": X}, ["data 'x'", "did you mean 'X'"]),
    "no dict": (observing(lambda p: dist.Normal(p.mu, 1.0)), {"y": Y}, ["returns Normal", '"y": dist.Normal']),
    "NumPy": (observing(lambda p: {"y": dist.Normal(np.exp(p.mu), 1.0)}), {"y": Y}, [r"jnp\.exp"]),
    "if": (observing(lambda p: {"y": dist.Normal(0.0, 1.0 if p.mu > 0 else 2.0)}), {"y": Y}, [r"jnp\.where"]),
    "the data first": ({"y": Y}, gaussian_mixture(2, None), ["model comes first"]),
}


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_newcomers_write_is_refused_with_what_to_write_instead(mistake):
    model, data, said = MISTAKES[mistake]
    with pytest.raises(jl.InputError) as caught:
        jl.fit(model, data, jl.Optimize(max_iter=1), seed=0)
    for words in said:
        assert re.search(words, str(caught.value)), str(caught.value)
    assert "tracing" not in str(caught.value)


@pytest.mark.parametrize("seen", [True, False])
def test_labels_that_only_look_one_hot_in_few_rows_or_where_masked_are_labels(seen):
    """Sequences of two steps with a 1 in each: 8 of them, or 20 of which one, missing, has two."""
    y = np.eye(2, dtype=int)[np.arange(8 if seen else 20) % 2]
    if not seen:
        y = jl.Masked(y, np.ones(y.shape, bool))
    assert jl.condition(hmm(2, emissions.Categorical(2)), {"y": y}).dim > 0


def test_results_refuse_them_too():
    fitted = jl.fit(CATEGORICAL, {"y": LABELS}, ENGINE, seed=0).best()
    for y in (np.eye(3, dtype=int)[LABELS], LABELS + 0.0):
        with pytest.raises(jl.InputError, match="argmax"):
            fitted.score({"y": y})
    line = jl.fit(LINE, {"y": Y, "x": X}, jl.Optimize(), seed=0)
    for use in (lambda: line.predict(0, {}), lambda: line.best().score({"y": Y})):
        with pytest.raises(jl.InputError, match="data 'x', which the likelihood reads"):
            use()


def test_a_numpyro_model_that_counts_values_several_times_is_a_warning():
    def line(x, y=None):
        w = numpyro.sample("w", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        numpyro.sample("y", dist.Normal(x @ w, 1.0), obs=y)

    def coin(y=None):
        p = numpyro.sample("p", dist.Dirichlet(jnp.ones(3)))
        with numpyro.plate("row", 40):
            numpyro.sample("y", dist.Categorical(p), obs=y)

    with pytest.warns(UserWarning, match=r"'y'.*count several times.*y\[:, 0\]"):
        jl.from_numpyro(line, X, y=Y[:, None])
    with pytest.raises(jl.InputError, match="type float"):
        jl.from_numpyro(coin, y=LABELS + 0.0)
    jl.from_numpyro(line, X, y=Y), jl.from_numpyro(coin, y=LABELS)


def test_what_is_seldom_meant_is_a_warning():
    with pytest.warns(UserWarning, match="40 sequences of 2 steps.*Gaussian\\(2\\)"):
        jl.condition(hmm(2, emissions.Gaussian()), {"y": X})
    with pytest.warns(UserWarning, match="no observed value.*True marks what is observed"):
        jl.condition(MIXTURE, {"y": jl.Masked(Y, np.isnan(Y))})


@pytest.mark.usefixtures("wrong_types")
def test_messages_hold_no_dumps_and_a_remedy_that_fits():
    fitted = jl.fit(LINE, {"y": Y, "x": X}, jl.Optimize(), seed=0)
    for call, words in (
        (lambda: fitted.predict(X), r"ndarray of shape \(40, 2\)"),
        (lambda: jl.run(LINE, ENGINE, 0), r"jl\.condition\(model, data\)"),
        (lambda: jl.select(MIXTURE, [1, 2], {"y": Y}, ENGINE, seed=0), "lambda K"),
        (lambda: jl.select(lambda K: MIXTURE, 3, {"y": Y}, ENGINE, seed=0), "range"),
        (lambda: jl.cross_validate(MIXTURE, {"y": Y}, ENGINE, seed=0, by="rows"), "did you mean 'row'"),
        (lambda: jl.fit(MIXTURE, ENGINE, {"y": Y}, seed=0), "model, data, engine, seed"),
        (lambda: jl.fit(MIXTURE, {"y": Y}, jl.NUTS(), seed=0, until=400), r"jl\.until\(ess=400"),
        (lambda: jl.NUTS(chains=0), "remedy:   give at least 1 chain"),
    ):
        with pytest.raises(jl.InputError, match=words) as caught:
            call()
        assert len(str(caught.value)) < 800
    assert fitted.summary("w").index.tolist() == fitted.summary(["w"]).index.tolist()


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
