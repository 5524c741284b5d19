"""Whole studies in a file: what they say is what Python calls would do, mistakes name file and key, and a killed run goes on."""

import copy
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pandas as pd
import pytest
from typer.testing import CliRunner

import jaxlatent as jl
from jaxlatent import cli
from jaxlatent.cli.study.data import load
from jaxlatent.cli.study.engines import read_engine
from jaxlatent.cli.study.models import FAMILIES, PARTS, read_family
from jaxlatent.cli.study.place import Place
from jaxlatent.cli.study.schema import Data
from jaxlatent.cli.study.study import read_study, read_tables
from jaxlatent.cli.study.toml import document

EMISSIONS = jl.models.emissions
ROOT = Path(__file__).parents[1]


def trials(seed=0, sessions=4, length=30):
    """Two animals that follow the stimulus or repeat their choice, in stretches."""
    rng = np.random.default_rng(seed)
    rows = []
    for animal in ("ann", "bob"):
        for session in range(sessions):
            before = 0.0
            for trial in range(length):
                stimulus = rng.choice([-1.0, -0.5, 0.5, 1.0])
                logit = 4 * stimulus if trial // 10 % 2 else 2 * before
                right = rng.random() < 1 / (1 + np.exp(-logit))
                before = 1.0 if right else -1.0
                rows.append(
                    (animal, session, trial, stimulus, "right" if right else "left", int(right == (stimulus > 0)))
                )
    frame = pd.DataFrame(rows, columns=["animal", "session", "trial", "stimulus", "choice", "rewarded"])
    frame["latency"], frame["week"] = rng.exponential(size=len(frame)).round(3), frame["session"] // 2
    return frame


DATA = {
    "file": "trials.csv",
    "dataset": "animal",
    "sequence": "session",
    "order": "trial",
    "y": "choice",
    "x": ["stimulus", "lag(choice)"],
}
STUDY = {
    "data": DATA,
    "model": {"family": "hmm", "num_states": [1, 2], "emissions": {"kind": "BernoulliRegression"}},
    "engine": {"kind": "EM", "restarts": 2, "max_iter": 30, "tol": 0.0},
    "select": {"folds": 2},
    "fit": {"seed": 0, "segment": 10},
}
#: All animals in one hierarchical model.
GROUPS = {"data__dataset": None, "data__group": "animal", "model__hierarchical": {"scale": 0.5}}
ROLES = {"dataset": "animal", "sequence": "session", "order": "trial", "y": "choice"}
INPUTS = ["stimulus", jl.lag("choice")]
MODEL = lambda K: jl.models.hmm(K, EMISSIONS.BernoulliRegression(2))
EM = jl.EM(restarts=2, max_iter=30, tol=0.0)


@pytest.fixture
def folder(tmp_path):
    trials().to_csv(tmp_path / "trials.csv", index=False)
    (tmp_path / "study.toml").write_text(document(STUDY))
    return tmp_path


def changed(**edits):
    """The study with other keys, as in ``data__y="choice"``; None leaves a key out."""
    tables = copy.deepcopy(STUDY)
    for path, value in edits.items():
        *above, key = path.split("__")
        table = tables
        for name in above:
            table = table.setdefault(name, {})
        if value is None:
            del table[key]
        else:
            table[key] = value
    return tables


def invoke(*arguments):
    """Of a user's process, where warnings are no errors."""
    return CliRunner().invoke(cli.app, tuple(map(str, arguments)))


# What a file says is what Python says.


SETTINGS = {
    "Categorical": ({"y": "choice"}, {}, EMISSIONS.Categorical(2)),
    "CategoricalRegression": (
        {"y": "choice", "x": ["stimulus"]},
        {},
        EMISSIONS.CategoricalRegression(1, num_classes=2),
    ),
    "Autoregression": ({}, {"num_inputs": 3}, EMISSIONS.Autoregression(3)),
    "Gaussian": ({"y": ["stimulus", "latency"]}, {"covariance": "tied"}, EMISSIONS.Gaussian(2, "tied")),
    "StudentT": ({}, {"df": 3}, EMISSIONS.StudentT(3.0)),
    "LinearRegression": (
        {"x": ["latency", "week"]},
        {"variance_shape": "none", "prior_scale": 2},
        EMISSIONS.LinearRegression(2, 2.0, None),
    ),
    "BernoulliRegression": (
        {"y": "choice", "x": ["stimulus"]},
        {"bias": False, "prior_scale": "none"},
        EMISSIONS.BernoulliRegression(1, None, False),
    ),
    "PoissonRegression": ({"y": "week", "x": ["stimulus"]}, {}, EMISSIONS.PoissonRegression(1)),
    "HeteroscedasticRegression": (
        {"x": ["latency"]},
        {"floor": 0.1},
        EMISSIONS.HeteroscedasticRegression(1, floor=0.1),
    ),
    "Bernoulli": ({"y": ["rewarded", "week"]}, {}, EMISSIONS.Bernoulli(2)),
    "Poisson": ({"y": "week"}, {"rate": 1}, EMISSIONS.Poisson(rate=1.0)),
    "NegativeBinomial": ({"y": "week"}, {"prior_scale": 1}, EMISSIONS.NegativeBinomial(1.0)),
}


@pytest.mark.parametrize("kind", EMISSIONS.__all__)
@pytest.mark.parametrize("family", ["hmm", "mixture"])
def test_every_emission_is_named(folder, family, kind):
    roles, settings, part = SETTINGS[kind]
    size = {"hmm": "num_states", "mixture": "num_components"}[family]
    data = Data(
        file="trials.csv", kind=FAMILIES[family], **{"y": "stimulus", **{k: _tuple(v) for k, v in roles.items()}}
    )
    loaded = load(data, folder, Place("s"))
    table = {"family": family, size: [2, 3], "emissions": {"kind": kind, **settings}}
    read = read_family(table, loaded, Place("s", "model"))
    assert read.candidates == (2, 3) and read.build(3) == getattr(jl.models, family)(3, part)


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("table", "model"),
    [
        (
            {
                "family": "hmm",
                "num_states": 2,
                "emissions": {"kind": "LinearRegression"},
                "transitions": {"kind": "InputDriven", "prior_scale": 3},
                "initial": {"concentration": 2},
            },
            lambda: jl.models.hmm(
                2, EMISSIONS.LinearRegression(1), jl.models.InputDriven(2, 3.0), jl.models.Initial(2.0)
            ),
        ),
        (
            {"family": "mixture", "num_components": 2, "emissions": {"kind": "Gaussian"}, "weights": {"kind": "Gate"}},
            lambda: jl.models.mixture(2, EMISSIONS.Gaussian(), jl.models.Gate(1)),
        ),
        (
            {"family": "mixture_of_experts", "num_experts": 2, "gate": {"prior_scale": 1}},
            lambda: jl.models.mixture_of_experts(2, 1, gate=jl.models.Gate(1, 1.0)),
        ),
        ({"family": "regression_mixture", "num_components": 2}, lambda: jl.models.regression_mixture(2, 1)),
        (
            {"family": "mixture_density_network", "num_components": 2, "hidden": [4, 3]},
            lambda: jl.models.mixture_density_network(2, 1, hidden=(4, 3)),
        ),
    ],
)
def test_other_parts_and_families_are_named(folder, table, model):
    stepwise = table["family"] == "hmm"
    roles = {"sequence": "session", "u": ("latency", "week")} if stepwise else {}
    data = Data(file="trials.csv", kind=FAMILIES[table["family"]], y="stimulus", x=("latency",), **roles)
    read = read_family(table, load(data, folder, Place("s")), Place("s"))
    assert read.candidates is None and read.build(None) == model()


def test_every_annotated_part_is_known():
    for kinds in PARTS.values():
        assert all(name == part.__name__ for name, part in kinds.items())


@pytest.mark.parametrize("kind", jl.engines.__all__)
def test_every_engine_is_named(kind):
    assert read_engine({"kind": kind}, Place("s")) == getattr(jl, kind)()


def test_settings_of_engines_are_converted():
    place = Place("s", "engine")
    read = read_engine({"kind": "NUTS", "chains": 2, "divergence_threshold": 500, "metric": "dense"}, place)
    assert read == jl.NUTS(chains=2, divergence_threshold=500.0, metric="dense")
    read = read_engine({"kind": "Optimize", "optimizer": {"kind": "adam", "learning_rate": 0.01}}, place)
    assert isinstance(read.optimizer, optax.GradientTransformation)
    assert read_engine({"kind": "Optimize", "batch_size": "none"}, place) == jl.Optimize()


def _same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_equal(one[name], other[name])


@pytest.mark.parametrize(
    ("written", "given"),
    [
        (
            ["1", "stimulus", "lag(choice, by=2)", "exponential_filter(choice, 0.8)"],
            ["1", "stimulus", jl.lag("choice", 2), jl.exponential_filter("choice", 0.8)],
        ),
        (
            ["win_stay_lose_switch(choice, rewarded)", "lag(`the stimulus`)"],
            [jl.win_stay_lose_switch("choice", "rewarded"), jl.lag("the stimulus")],
        ),
        ("stimulus * week + lag(choice)", "stimulus * week + lag(choice)"),
        ("stimulus", "stimulus"),
    ],
)
def test_inputs_are_those_of_python(tmp_path, written, given):
    frame = trials()
    frame = frame[frame["animal"] == "ann"].sample(frac=1, random_state=0)
    frame["the stimulus"] = frame["stimulus"] + 1
    frame.to_csv(tmp_path / "t.csv", index=False)
    section = Data(file="t.csv", sequence="session", order="trial", y="choice", x=_tuple(written))
    _same(
        load(section, tmp_path, Place("s")).data,
        jl.sequences(frame, sequence="session", order="trial", y="choice", x=given),
    )


def test_tables_of_every_kind_are_the_same(tmp_path):
    frame = trials(sessions=2)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", **{name: np.array(frame[name].tolist()) for name in frame})
    read = lambda name: load(
        Data(file=name, **{**ROLES, "dataset": None, "sequence": "animal", "order": None}), tmp_path, Place("s")
    )
    for name in ("t.tsv", "t.parquet", "t.npz"):
        _same(read(name).data, read("t.csv").data)
        assert read(name).data.coords == read("t.csv").data.coords


def test_without_its_package_parquet_says_what_to_install(tmp_path, monkeypatch):
    def absent(path):
        raise ImportError

    (tmp_path / "t.parquet").touch()
    monkeypatch.setattr(pd, "read_parquet", absent)
    with pytest.raises(jl.InputError, match="pip install pyarrow"):
        load(Data(file="t.parquet", y="y"), tmp_path, Place("s"))


# Mistakes.


@pytest.mark.parametrize(
    ("edits", "key", "words"),
    [
        ({"data__file": "trial.csv"}, "data.file", "did you mean 'trials.csv'"),
        ({"data__file": "trials.xlsx"}, "data.file", ".parquet"),
        ({"data__x": ["stimlus", "lag(choice)"]}, "data.x[0]", "did you mean 'stimulus'"),
        ({"data__x": ["stimulus", "lag(choise)"]}, "data.x[1]", "did you mean 'choice'"),
        ({"data__x": ["stimulus", "lga(choice)"]}, "data.x[1]", "did you mean 'lag'"),
        ({"data__x": ["stimulus", "lag(choice, 0)"]}, "data.x[1]", "at least 1"),
        ({"data__x": ["stimulus", "lag(choice, 1.5)"]}, "data.x[1]", "1.5"),
        ({"data__x": ["stimulus", "lag()"]}, "data.x[1]", "lag(column, by)"),
        ({"data__x": ["stimulus", "lag(rewarded + 1)"]}, "data.x[1]", "stands alone"),
        ({"data__x": ["stimulus", 3]}, "data.x[1]", "expected: text"),
        ({"data__x": "stimulus + lag(choise)"}, "data.x", "did you mean 'choice'"),
        ({"data__x": ["animal"]}, "data.x[0]", "numbers"),
        ({"data__y": "choise"}, "data.y", "did you mean 'choice'"),
        ({"data__order": "choice"}, "data.order", "numbers"),
        ({"data__order": "week"}, "data.order", "another value for every row"),
        ({"data__sequences": "session"}, "data.sequences", "did you mean 'sequence'"),
        ({"data__u": ["stimulus"]}, "data.u", "InputDriven"),
        ({"data__x": None}, "model.emissions", "data.x"),
        ({"data__kind": "table"}, "data.sequence", "sequences"),
        ({"data__columns": {"z": "week"}}, "data.columns.z", "does not read"),
        ({"data__group": "anmal"}, "data.group", "did you mean 'animal'"),
        ({"data__group": "week"}, "model.hierarchical", "{scale = 1.0}"),
        ({"model__hierarchical": {"scale": 1.0}}, "model.hierarchical", 'group = "animal"'),
        ({"model__hierarchical": {"sclae": 1.0}}, "model.hierarchical.sclae", "did you mean 'scale'"),
        ({**GROUPS, "model__hierarchcal": {"scale": 1}}, "model.hierarchcal", "did you mean 'hierarchical'"),
        ({**GROUPS, "model__hierarchical": True}, "model.hierarchical", "a table with scale"),
        ({**GROUPS, "model__hierarchical": {"scale": 0}}, "model.hierarchical.scale", "positive"),
        (
            {**GROUPS, "model__emissions": {"kind": "CategoricalRegression"}},
            "model.hierarchical",
            "BernoulliRegression",
        ),
        ({"data__columns": {"x": "week"}}, "data.columns.x", "data.x"),
        ({"model__family": "hm"}, "model.family", "did you mean 'hmm'"),
        ({"model__family": "mixture"}, "model.family", 'data.kind = "table"'),
        ({"model__num_states": 2.5}, "model.num_states", "an integer"),
        ({"model__num_states": []}, "model.num_states", "at least one"),
        ({"model__num_states": [0, 1]}, "model.num_states", "a whole number, at least 1"),
        ({"model__num_states": 2}, "select", "num_states = [1, 2, 3]"),
        ({"model__nun_states": 2}, "model.nun_states", "did you mean 'num_states'"),
        ({"model__emissions": "BernoulliRegression"}, "model.emissions", '{kind = "BernoulliRegression"}'),
        ({"model__emissions__kind": "Bernouli"}, "model.emissions.kind", "did you mean 'Bernoulli'"),
        ({"model__emissions__prior_scale": "big"}, "model.emissions.prior_scale", 'a number or "auto" or "none"'),
        ({"model__emissions__prior_scale": -1}, "model.emissions.prior_scale", "positive"),
        ({"model__emissions__num_inputs": 3}, "model.emissions.num_inputs", "leave it out"),
        ({"model__emissions__kind": "Gaussian", "data__y": ["stimulus", "week"], "data__x": None}, None, None),
        ({"data__y": ["stimulus", "week"]}, "model.emissions", "one column"),
        ({"model__transitions": {"kind": "InputDriven"}}, "model.transitions", "data.u"),
        ({"model__function": "a.py:b"}, "model", "either"),
        ({"engine__kind": "em"}, "engine.kind", "did you mean 'EM'"),
        ({"engine__restarts": "many"}, "engine.restarts", "an integer"),
        ({"engine__restarts": 0}, "engine.restarts", "at least 1"),
        ({"engine__restart": 3}, "engine.restart", "did you mean 'restarts'"),
        ({"engine": None}, "engine", "[engine]"),
        ({"select__by": "weeks"}, "select.by", "did you mean 'week'"),
        ({"select__by": "stimulus"}, "select.by", "one value in each sequence"),
        ({"select__candidates": [1]}, "select.candidates", "num_states"),
        ({"cross_validate": {"folds": 2}}, "cross_validate", "leave it out"),
        ({"selct": {"folds": 2}}, "selct", "did you mean 'select'"),
        ({"fit__seed": None}, "fit.seed", "--seed"),
        ({"fit__until": {"ess": -1}}, "fit.until.ess", "positive"),
        ({"fit__store": "s3://bucket/x"}, "fit.store", "this machine"),
    ],
)
def test_a_mistake_names_file_and_key(folder, wrong_types, edits, key, words):
    path = folder / "study.toml"
    path.write_text(document(changed(**edits)))
    if key is None:  # what the mistakes differ from
        assert read_study(path, read_tables(path)).verb == "select"
        return
    with pytest.raises(jl.InputError) as error:
        read_study(path, read_tables(path))
    place = error.value.what.removeprefix(f"{path}, ").split(":")[0]
    assert place == key and words in str(error.value), str(error.value)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"select__folds": 9}, "select.folds"),
        ({"data__y": "week"}, "data.categories"),
        ({"fit__memory": "much"}, "fit.memory"),
        ({"fit__init": "nowhere"}, "fit.init"),
    ],
)
def test_what_only_a_run_finds_names_the_key_too(folder, wrong_types, edits, words):
    frame = trials()
    frame["week"] += 1
    frame.to_csv(folder / "trials.csv", index=False)
    (folder / "study.toml").write_text(document(changed(**edits)))
    result = invoke("run", folder / "study.toml")
    assert result.exit_code == 2 and words in result.output and "Traceback" not in result.output, result.output
    assert not (folder / "runs" / "study" / "study.toml").exists(), "a study that was refused is not kept"


def test_text_that_is_not_toml_is_told(folder):
    (folder / "study.toml").write_text("[data]\nfile = trials.csv\n")
    result = invoke("run", folder / "study.toml")
    assert result.exit_code == 2 and "line 2" in result.output


# Runs.


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A study that was run, and its folder."""
    folder = tmp_path_factory.mktemp("study")
    trials().to_csv(folder / "trials.csv", index=False)
    (folder / "study.toml").write_text(document(STUDY))
    return invoke("run", folder / "study.toml"), folder


def test_a_study_is_the_call_of_select(chosen):
    result, folder = chosen
    assert result.exit_code == 0, result.output
    data = jl.sequences(trials(), x=INPUTS, **ROLES)
    selection = jl.select(MODEL, [1, 2], data, EM, 0, folds=2, segment=10)
    read = pd.read_csv(folder / "runs/study/selection.csv", index_col="candidate")
    pd.testing.assert_frame_equal(read, selection.table, check_dtype=False, rtol=1e-6)
    assert selection.reason in result.output and f"chosen: {selection.chosen}." in result.output
    summary = pd.read_csv(folder / "runs/study/summary.csv", index_col=["dataset", "parameter"])
    assert "weights[0, lag(choice)]" in summary.loc["bob"].index
    np.testing.assert_allclose(summary["value"], selection.best.summary()["value"], rtol=1e-5)
    states = pd.read_csv(folder / "runs/study/states.csv")
    probs = states.filter(like="p_state").to_numpy()
    np.testing.assert_allclose(probs, data.in_rows(selection.best.smooth()["y"]), atol=1e-5)
    assert len(states) == len(trials()) and list(states.columns[:3]) == ["animal", "session", "trial"]


def test_a_finished_study_is_read_again_from_its_folder(chosen, monkeypatch):
    _, folder = chosen
    table = (folder / "runs/study/selection.csv").read_text()
    created = jl.open(folder / "runs/study/2").provenance.created
    for command in ("resume", "report"):
        (folder / "runs/study/selection.csv").unlink()
        assert invoke(command, folder / "runs/study").exit_code == 0
        assert (folder / "runs/study/selection.csv").read_text() == table
    assert jl.open(folder / "runs/study/2").provenance.created == created, "nothing was fitted again"
    for path in (folder / "study.toml", folder / "runs/study"):
        shown = invoke("status", path).output
        assert (shown.count("finished") == 2 and "CONVERGED" in shown) or "MAX_ITERATIONS" in shown
    assert "2-state HMM" in invoke("status", folder / "runs/study/2").output
    assert "2-report.html" in invoke("report", folder / "runs/study/2").output
    for page in ("report.html", "2-report.html"):
        assert (folder / "runs/study" / page).read_text().startswith("<!DOCTYPE html>")


def test_another_seed_is_refused_and_leaves_the_study(chosen):
    _, folder = chosen
    kept = (folder / "runs/study/study.toml").read_text()
    result = invoke("run", folder / "study.toml", "--seed", "1")
    assert result.exit_code == 2 and "another seed" in result.output
    assert (folder / "runs/study/study.toml").read_text() == kept


def test_stores_that_no_study_made_cannot_be_resumed(chosen, tmp_path):
    _, folder = chosen
    result = invoke("resume", folder / "runs/study/2")
    assert result.exit_code == 2 and f"name {folder / 'runs/study'}" in result.output
    shutil.copytree(folder / "runs/study/2", tmp_path / "own.zarr")
    result = invoke("resume", tmp_path / "own.zarr")
    assert result.exit_code == 2 and "jl.resume(path, model)" in result.output
    assert "finished" in invoke("status", tmp_path / "own.zarr").output
    assert "nothing there" in invoke("status", tmp_path / "none").output
    (tmp_path / "trials.csv").write_bytes((folder / "trials.csv").read_bytes())
    (tmp_path / "study.toml").write_text(document(STUDY))
    result = invoke("resume", tmp_path / "study.toml")
    assert result.exit_code == 2 and "has not begun" in result.output
    assert "jaxlatent resume" in invoke("report", tmp_path / "study.toml").output


def test_shards_of_a_choice_are_its_candidates(chosen, folder):
    """And the choice is that of one process."""
    assert invoke("run", folder / "study.toml", "--shard", "1/2").exit_code == 0
    assert not (folder / "runs/study/1").exists() and (folder / "runs/study/2").exists()
    assert "not begun" in invoke("status", folder / "study.toml").output
    assert invoke("run", folder / "study.toml", "--shard", "0/2").exit_code == 0
    assert invoke("run", folder / "study.toml").exit_code == 0
    tables = [(path / "runs/study/selection.csv").read_text() for path in (folder, chosen[1])]
    assert tables[0] == tables[1]
    assert "at most the number of candidates" in invoke("run", folder / "study.toml", "--shard", "0/3").output


def test_a_cross_validation_by_groups_is_that_of_python(folder):
    model = {"family": "hmm", "num_states": 1, "emissions": {"kind": "Gaussian"}}
    tables = changed(select=None, model=model, data__y="latency", data__x=None)
    tables["cross_validate"] = {"folds": 2, "by": "week"}
    (folder / "study.toml").write_text(document(tables))
    result = invoke("run", folder / "study.toml", "--store", folder / "elsewhere")
    assert result.exit_code == 0, result.output
    data = jl.sequences(trials(), **{**ROLES, "y": "latency"})
    week = np.array([0, 0, 1, 1])
    model = jl.models.hmm(1, EMISSIONS.Gaussian())
    validation = jl.cross_validate(model, data, EM, 0, folds=2, by=week, segment=10)
    read = pd.read_csv(folder / "elsewhere/folds.csv", index_col=["dataset", "fold"])
    pd.testing.assert_frame_equal(read, validation.table, check_dtype=False, rtol=1e-6)
    assert "group" in result.output
    assert "leave it out" in invoke("run", folder / "study.toml", "--shard", "0/2").output


OWN = """
import jaxlatent as jl
import numpyro.distributions as dist

def normal(scale):
    return jl.Model({"mu": dist.Normal(0.0, scale)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0)})
"""
LATENCIES = {"file": "trials.csv", "kind": "table", "y": "latency"}


def own(**edits):
    """A study of a function, of whose prior the scale is 3."""
    model = {"function": "own.py:normal", "arguments": {"scale": 3.0}}
    tables = changed(select=None, data=LATENCIES, model=model, engine={"kind": "Optimize"})
    return tables | edits


def test_a_function_is_executed_and_says_so(folder):
    (folder / "own.py").write_text(OWN)
    model = {"function": "own.py:normal"}
    (folder / "study.toml").write_text(document(own(model=model, select={"folds": 2, "candidates": [0.001, 3.0]})))
    result = invoke("run", folder / "study.toml")
    assert result.exit_code == 0 and "executes own.py:normal" in result.output, result.output
    assert "chosen: 3.0" in result.output
    assert invoke("resume", folder / "runs/study").exit_code == 0
    (folder / "study.toml").write_text(document(own(model=model)))
    result = invoke("run", folder / "study.toml")
    assert result.exit_code == 2 and "scale" in result.output


def test_draws_start_from_an_earlier_run(folder, tmp_path):
    (folder / "own.py").write_text(OWN)
    (folder / "point.toml").write_text(document(own()))
    assert invoke("run", folder / "point.toml").exit_code == 0
    engine = {"kind": "NUTS", "chains": 2, "warmup": 50, "draws": 25}
    (folder / "nuts.toml").write_text(document(own(engine=engine, fit={"seed": 1, "init": "runs/point"})))
    result = invoke("run", folder / "nuts.toml")
    assert result.exit_code == 0, result.output
    model = runpy.run_path(str(folder / "own.py"))["normal"](3.0)
    init = jl.open(folder / "runs/point/fit", model)
    sampler = jl.NUTS(chains=2, warmup=50, draws=25)
    drawn = jl.fit(model, jl.table(trials(), y="latency"), sampler, 1, init=init)
    np.testing.assert_array_equal(jl.open(folder / "runs/nuts/fit").params["mu"], drawn.params["mu"])
    assert "r_hat" in pd.read_csv(folder / "runs/nuts/summary.csv")


def test_a_fit_is_fitted_in_shards_and_joined(folder):
    (folder / "own.py").write_text(OWN)
    (folder / "study.toml").write_text(document(own(data=LATENCIES | {"dataset": "animal"})))
    assert invoke("run", folder / "study.toml", "--shard", "0/2").exit_code == 0
    result = invoke("run", folder / "study.toml")
    assert result.exit_code == 2 and "shard 1 of 2" in result.output and "--shard 1/2" in result.output
    assert "shard 1: nothing there" in invoke("status", folder / "study.toml").output
    assert invoke("run", folder / "study.toml", "--shard", "1/2").exit_code == 0
    assert "finished: 2 shards" in invoke("status", folder / "study.toml").output
    result = invoke("run", folder / "study.toml")
    assert result.exit_code == 0, result.output
    means = trials().groupby("animal")["latency"].mean()
    summary = pd.read_csv(folder / "runs/study/summary.csv", index_col="dataset")
    np.testing.assert_allclose(summary["value"], means * 120 / (120 + 1 / 9), rtol=1e-4)


#: On one device, as the process of the tests, so that either may go on with what the other began.
PROGRAM = """
import jax
jax.config.update("jax_num_cpu_devices", 1)
jax.devices()
from jaxlatent.cli import app
app()
"""


def test_a_hierarchical_study_is_that_of_python(folder):
    edits = {"engine__max_iter": 5, "data__x": ["stimulus"], "model__num_states": 2, "select": None}
    tables = changed(**GROUPS, **edits, cross_validate={"folds": "fold", "by": "sequence"})
    frame = trials()
    frame["fold"] = (frame["session"] + (frame["animal"] == "ann")) % 2
    frame.to_csv(folder / "trials.csv", index=False)
    study = read_study(folder / "study.toml", tables)
    data = jl.sequences(frame, group="animal", sequence="session", order="trial", y="choice", x=["stimulus"])
    model = jl.models.hierarchical(jl.models.hmm(2, EMISSIONS.BernoulliRegression(1)), "animal", 2, 0.5)
    assert study.models.build(None) == model
    _same(study.loaded.data, data)
    # Sessions have the same labels in both animals, and other folds.
    np.testing.assert_array_equal(study.held_out["folds"], [1, 0, 1, 0, 0, 1, 0, 1])
    (folder / "study.toml").write_text(document(tables))
    result = invoke("run", folder / "study.toml")
    assert result.exit_code == 0, result.output
    found = jl.cross_validate(
        model,
        data,
        jl.EM(restarts=2, max_iter=5, tol=0.0),
        0,
        folds=frame.groupby(["animal", "session"])["fold"].first(),
    )
    assert str(found).strip() in result.output, result.output


def test_a_killed_study_goes_on_bit_for_bit(folder):
    long = changed(engine__max_iter=400)
    (folder / "study.toml").write_text(document(long))
    bits = "true" if jax.config.read("jax_enable_x64") else "false"
    environment = {"PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_ENABLE_X64": bits}
    killed = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", "study.toml"], env={**os.environ, **environment}, cwd=folder
    )
    commit = folder / "runs/study/2/zarr.json"
    while killed.poll() is None:
        if commit.exists() and json.loads(commit.read_text())["attributes"].get("jaxlatent", {}).get("steps", 0) >= 20:
            killed.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    assert killed.wait() == -signal.SIGKILL
    shown = invoke("status", folder / "study.toml").output
    assert "of 400 steps, committed" in shown and "finished" in shown
    again = invoke("resume", folder / "runs/study")
    assert again.exit_code == 0, again.output
    result = invoke("run", folder / "study.toml", "--store", folder / "whole")
    assert result.exit_code == 0, result.output
    for name in ("selection", "folds", "summary", "states"):
        assert (folder / f"runs/study/{name}.csv").read_text() == (folder / f"whole/{name}.csv").read_text()
    for candidate in ("1", "2"):
        one, other = jl.open(folder / "runs/study" / candidate), jl.open(folder / "whole" / candidate)
        np.testing.assert_array_equal(one.trace, other.trace)


# New studies.


def test_a_new_glm_hmm_guesses_the_roles(tmp_path):
    trials().to_csv(tmp_path / "trials.csv", index=False)
    result = invoke("new", "glm-hmm", tmp_path / "trials.csv", "--out", tmp_path / "study.toml")
    assert result.exit_code == 0, result.output
    tables = read_tables(tmp_path / "study.toml")
    assert {name: tables["data"][name] for name in ROLES} == ROLES
    lags = ["lag(choice)", "win_stay_lose_switch(choice, rewarded)"]
    assert tables["data"]["x"] == ["stimulus", "week", *lags] and tables["select"]["folds"] == 4
    text = (tmp_path / "study.toml").read_text()
    assert "# Left out: latency (known only after the choice)." in text and "# The column that labels sequences" in text
    study = read_study(tmp_path / "study.toml", tables)
    assert study.models.build(2) == jl.models.hmm(2, EMISSIONS.BernoulliRegression(4), jl.models.Stationary())
    result = invoke("new", "glm-hmm", tmp_path / "trials.csv", "--out", tmp_path / "study.toml")
    assert result.exit_code == 2 and (tmp_path / "study.toml").read_text() == text


def test_the_example_is_a_study(tmp_path):
    trials().to_csv(tmp_path / "trials.csv", index=False)
    tables = read_tables(ROOT / "examples/study.toml")
    tables["data"]["file"] = "trials.csv"
    assert read_study(tmp_path / "study.toml", tables).verb == "select"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"resp": [1, 2]}, {"y": "resp", "categories": ["resp"]}),
        ({"resp": [-1, 1]}, {"y": "resp", "categories": ["resp"]}),
        ({"chose_left": [True, False]}, {"y": "chose_left"}),
        ({"button": ["a", "b", "c"]}, {"y": "button", "x": ["contrast"]}),
        ({"resp": [0, 1], "resp_again": [5, 7]}, {"y": "resp", "x": ["contrast", "lag(resp)"]}),
    ],
)
def test_choices_are_recognised_however_they_are_coded(tmp_path, columns, expected):
    rng = np.random.default_rng(1)
    code = rng.integers(0, min(map(len, columns.values())), 60)
    frame = pd.DataFrame({"subjectID": np.repeat([7, 8], 30), "contrast": rng.normal(size=60)})
    frame = frame.assign(**{name: np.array(levels)[code] for name, levels in columns.items()})
    frame.to_csv(tmp_path / "t.csv", index=False)
    result = invoke("new", "glm-hmm", tmp_path / "t.csv", "--out", tmp_path / "s.toml")
    assert result.exit_code == 0, result.output
    tables = read_tables(tmp_path / "s.toml")
    assert tables["data"]["dataset"] == "subjectID" and tables["select"]["by"] == "forward"
    assert {name: tables["data"].get(name) for name in expected} == expected
    assert ("categories" in tables["data"]) == ("categories" in expected)


def test_other_new_studies_are_checked_too(tmp_path):
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=50), "b": np.arange(50.0) ** 0.5})
    frame.to_csv(tmp_path / "t.csv", index=False)
    for kind, family, size in (("hmm", "hmm", "num_states"), ("mixture", "mixture", "num_components")):
        out = tmp_path / f"{kind}.toml"
        assert invoke("new", kind, tmp_path / "t.csv", "--out", out).exit_code == 0
        tables = read_tables(out)
        assert tables["model"]["family"] == family and tables["data"]["y"] == ["a", "b"] and size in tables["model"]
        assert read_study(out, tables).models.build(2) == getattr(jl.models, family)(
            2, EMISSIONS.Gaussian(2), *([jl.models.Stationary()] if family == "hmm" else [])
        )
    for arguments, words in (
        (("glm-hm", tmp_path / "t.csv"), "did you mean 'glm-hmm'"),
        (("glm-hmm", tmp_path / "t.csv"), "--y COLUMN"),
        (("hmm", tmp_path / "t.csv", "--y", "c"), "not a column"),
        (("hmm", tmp_path / "u.csv"), "did you mean 't.csv'"),
    ):
        result = invoke("new", *arguments, "--out", tmp_path / "other.toml")
        assert result.exit_code == 2 and words in result.output, result.output
        assert not (tmp_path / "other.toml").exists()
