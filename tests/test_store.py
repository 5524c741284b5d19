"""Stored runs: what is on the disk is what is in memory, and a run that was ended at any moment goes on as if it had not been.

All fits have segments of 20 steps, so that they share their programs.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import arviz as az
import jax
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
import xarray as xr

import jaxlatent as jl
from jaxlatent._compat.arviz import is_former_arviz
from jaxlatent.execute import begin, complete, sinks
from jaxlatent.store.bits import unpack
from jaxlatent.store.files import Files, create
from jaxlatent.store.lazy import Lazy

RNG = np.random.default_rng(0)
GROUPS = 4
MODEL = jl.Model(
    {"mu": dist.Normal(0.0, 10.0), "effects": lambda p: dist.Normal(p.mu, 1.0).expand([GROUPS]).to_event(1)},
    lambda p, d: {"y": dist.Normal(p.effects[d.g], 1.0)},
    derived=lambda p, d: {"range": p.effects.max() - p.effects.min()},
    dims={"effects": ("group",)},
    key="store",
)
DATA = {"y": RNG.normal(size=12), "g": np.arange(12) % GROUPS}
BATCH = jl.batch({name: {"y": RNG.normal(size=12) + i, "g": np.arange(12) % GROUPS} for i, name in enumerate("abc")})
COORDS = {"group": ["north", "east", "south", "west"]}
SEQUENCES = [np.concatenate([RNG.normal(size=(15, 1)), RNG.normal(size=(15, 1)) + 4]) for _ in range(4)]
HMM = jl.models.hmm(2, jl.models.emissions.Gaussian(1))
OTHER_EMISSIONS = jl.models.emissions.Gaussian(1, mean=0.0, scale=1.0)
ANIMALS = jl.batch({"ann": {"y": SEQUENCES[:2]}, "bob": {"y": SEQUENCES[2:]}})
ENGINES = {
    "NUTS": jl.NUTS(chains=2, warmup=60, draws=50),
    "ChEES": jl.ChEES(chains=4, warmup=60, draws=50),
    "ADVI": jl.ADVI(restarts=2, max_iter=60, draws=50, tol=0.0),
    "DADVI": jl.DADVI(restarts=2, max_iter=60, draws=50),
    "Laplace": jl.Laplace(restarts=2, max_iter=60, draws=50),
    "Pathfinder": jl.Pathfinder(paths=2, max_iter=60, draws=50),
    "Optimize": jl.Optimize(restarts=2, max_iter=60),
    "EM": jl.EM(restarts=3, max_iter=60, tol=0.0),
}
FIELDS = ("params", "derived", "unconstrained", "statistics")


def case(name):
    """Model, batch and engine."""
    return (HMM, ANIMALS, ENGINES[name]) if name == "EM" else (MODEL, BATCH, ENGINES[name])


@pytest.fixture(autouse=True)
def commit_each_time(monkeypatch):
    monkeypatch.setattr(sinks, "_SPACING", 0.0)


def equal(one, other):
    """Bitwise, in all that a result holds."""
    for field in FIELDS:
        mine, yours = getattr(one, field), getattr(other, field)
        assert set(mine) == set(yours), field
        for name in mine:
            np.testing.assert_array_equal(mine[name], yours[name], err_msg=f"{field} {name}")
    for field in ("objective", "status"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)
    assert (one.trace is None) == (other.trace is None)
    if one.trace is not None:
        np.testing.assert_array_equal(one.trace, other.trace)
    assert one.names == other.names and one.coords == other.coords and one.quarantined == other.quarantined
    assert tuple(one.params) == tuple(other.params)


class Killed(Exception):
    pass


@pytest.fixture
def killed_at(monkeypatch):
    """A fit that ends right after the commit of this number, as a killed process would; tells how many there are if it does not."""
    commit = sinks.Disk.close

    def fit(number, call):
        commits = []

        def counted(self, session, early):
            commit(self, session, early)
            commits.append(session)
            if len(commits) == number:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(sinks.Disk, "close", counted)
            try:
                call()
            except Killed:
                return None
        return len(commits)

    return fit


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stored_run_is_the_run_in_memory_also_when_killed_and_resumed(engine, tmp_path, killed_at):
    model, data, engine = case(engine)
    whole = jl.fit(model, data, engine, 0, segment=20)
    whole_path = tmp_path / "whole.zarr"
    made = []
    commits = killed_at(0, lambda: made.append(jl.fit(model, data, engine, 0, segment=20, store=whole_path)))
    equal(whole, made[0])
    equal(whole, jl.open(whole_path))
    equal(whole, jl.resume(whole_path, model))
    # After the first commit nothing is done yet, after the last everything but the outcome.
    for number in (1, 2, commits):
        path = tmp_path / f"{number}.zarr"
        assert killed_at(number, lambda path=path: jl.fit(model, data, engine, 0, segment=20, store=path)) is None
        equal(whole, jl.resume(path, model, data if number == 2 else None))


def test_a_run_killed_after_any_commit_goes_on_to_the_bit(tmp_path, killed_at):
    model, data, engine = case("NUTS")
    whole, number = jl.fit(model, data, engine, 0, segment=20), 1
    while True:
        path = tmp_path / f"{number}.zarr"
        if killed_at(number, lambda path=path: jl.fit(model, data, engine, 0, segment=20, store=path)) is not None:
            break
        # Killed again while it goes on.
        killed_at(2, lambda path=path: jl.resume(path, model))
        equal(whole, jl.resume(path, model))
        number += 1
    assert number > len(engine.schedule(20))


def test_a_run_killed_before_its_first_commit_begins_anew(tmp_path, monkeypatch):
    fit = lambda: jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20, store=tmp_path / "x", resume=True)

    def kill(*_):
        raise Killed

    # At the first commit everything but it is there; result.save has one commit too.
    for call in (fit, lambda: jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20).save(tmp_path / "y")):
        with monkeypatch.context() as patch:
            patch.setattr(Files, "commit", kill)
            with pytest.raises(Killed):
                call()
        with pytest.raises(jl.StoreError, match="without a commit"):
            jl.open(tmp_path / "x")
    whole = fit()
    whole.save(tmp_path / "y")
    equal(whole, jl.open(tmp_path / "y"))


def test_a_finished_run_has_all_its_groups(tmp_path, monkeypatch):
    """Also one that was killed while it wrote the last of them."""
    fit = lambda: jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20, store=tmp_path / "x", resume=True)

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(complete, "write_data_groups", kill)
        with pytest.raises(Killed):
            fit()
    fit()
    with xr.open_datatree(tmp_path / "x", engine="zarr") as tree:
        np.testing.assert_allclose(tree["observed_data"]["y"], BATCH.data["y"])


def test_one_dataset_has_no_dataset_axis_on_the_disk_either(tmp_path):
    for name in ("NUTS", "Optimize"):
        stored = jl.fit(MODEL, DATA, ENGINES[name], 0, coords=COORDS, segment=20, store=tmp_path / name)
        equal(jl.fit(MODEL, DATA, ENGINES[name], 0, coords=COORDS, segment=20), stored)
        equal(stored, jl.open(tmp_path / name, MODEL))


def test_more_draws_and_iterations_than_first_asked(tmp_path):
    for name, few, many in (("NUTS", {"draws": 30}, {"draws": 50}), ("EM", {"max_iter": 30}, {"max_iter": 60})):
        model, data, engine = case(name)
        jl.fit(model, data, replace(engine, **few), 0, segment=20, store=tmp_path / name)
        longer = jl.resume(tmp_path / name, model, **many)
        equal(jl.fit(model, data, engine, 0, segment=20), longer)
        equal(longer, jl.open(tmp_path / name))
    with pytest.raises(jl.InputError, match="at least 50, as many as before"):
        jl.resume(tmp_path / "NUTS", MODEL, draws=10)
    with pytest.raises(jl.InputError, match="a larger max_iter"):
        jl.resume(tmp_path / "EM", HMM, draws=10)


def test_stopping_rules_and_quarantine_go_on_too(tmp_path, killed_at):
    rows = [BATCH[i] for i in range(3)]
    rows[1] = {**rows[1], "y": np.full(12, np.nan)}
    data, rule = jl.batch(dict(zip("abc", rows, strict=True))), jl.until(ess=200, rhat=1.5)
    engine = jl.NUTS(chains=2, warmup=60, draws=400)
    options = {"segment": 20, "until": rule, "on_bad_data": "quarantine"}
    with pytest.warns(UserWarning, match="1 of 3 datasets was quarantined"):
        whole = jl.fit(MODEL, data, engine, 0, **options)
        second = 2 + sum(not stage.keep for stage in engine.schedule(20))
        assert killed_at(second, lambda: jl.fit(MODEL, data, engine, 0, **options, store=tmp_path / "x")) is None
        part = jl.open(tmp_path / "x")
        assert 0 < part.positions.shape[2] < whole.positions.shape[2] < engine.draws, "stopped early, killed earlier"
        assert set(part.status[[0, 2]].flat) == {jl.Status.UNFINISHED} and set(part.status[1]) == {
            jl.Status.QUARANTINED
        }
        equal(whole, jl.resume(tmp_path / "x", MODEL))
    assert "not finite" in whole.quarantined["b"]
    # A run that its rule has ended stays as it is.
    equal(whole, jl.resume(tmp_path / "x", MODEL, draws=800))


@pytest.mark.devices(least=2)
def test_a_run_goes_on_on_other_numbers_of_devices(tmp_path, killed_at):
    """To rounding: from the end of the warm-up on, over few draws."""
    engine = jl.NUTS(chains=2, warmup=60, draws=5)
    call = lambda: jl.fit(MODEL, BATCH, engine, 0, segment=1, store=tmp_path / "x", devices=jax.devices()[:1])
    whole = jl.fit(MODEL, BATCH, engine, 0, segment=1, devices=jax.devices()[:1])
    assert killed_at(len(engine.schedule(1)) - 3, call) is None
    other = jl.resume(tmp_path / "x", MODEL, devices=jax.devices())
    np.testing.assert_allclose(whole.positions, other.positions, rtol=1e-3, atol=1e-3)


def test_what_was_read_back_evaluates_its_model_in_a_result_of_its_own(tmp_path, monkeypatch):
    for name in ("NUTS", "EM"):
        model, data, engine = case(name)
        fit = jl.fit(model, data, engine, 0, segment=20)
        fit.save(tmp_path / name)
        read = jl.open(tmp_path / name, model)
        equal(fit, read)
        equal(fit.best(), read.best())
        np.testing.assert_array_equal(fit.score(), read.score())
        np.testing.assert_array_equal(fit.predict(1)["y"], read.predict(1)["y"])
        first = fit.names[0]
        equal(fit[first], read[first])
        assert fit.summary().equals(read.summary())
    smoothed = fit.smooth()["y"]
    np.testing.assert_array_equal(smoothed, read.smooth()["y"])
    # A ready family is in the store; a model by hand is not, nor what is no longer the family that was fitted.
    np.testing.assert_array_equal(smoothed, jl.open(tmp_path / "EM").smooth()["y"])
    monkeypatch.setattr(
        sys.modules["jaxlatent.execute.resume"], "model_of", lambda recipe: recipe and jl.models.hmm(2, OTHER_EMISSIONS)
    )
    for stored in (jl.open(tmp_path / "EM"), jl.open(tmp_path / "NUTS")):
        for evaluate in (stored.score, stored.smooth):
            with pytest.raises(jl.InputError, match=r"jl.open\(path, model\)"):
                evaluate()
    with pytest.raises(jl.InputError, match="a result that was saved after its fit"):
        jl.resume(tmp_path / "EM", HMM)


def test_the_best_points_and_one_dataset_are_saved_as_they_are(tmp_path):
    for data, name in ((BATCH, "batch"), (DATA, "one")):
        best = jl.fit(MODEL, data, ENGINES["Optimize"], 0, segment=20).best()
        best.save(tmp_path / name)
        equal(best, jl.open(tmp_path / name, MODEL))
        assert jl.open(tmp_path / name).leading == best.leading
    one = jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20)["b"]
    one.save(tmp_path / "b")
    equal(one, jl.open(tmp_path / "b", MODEL))


def test_an_optimiser_is_known_by_what_it_does(tmp_path):
    """Its settings are functions: those of another process are other objects, and equal names mean nothing."""
    adam = lambda rate: jl.Optimize(optimizer=optax.adam(rate), max_iter=40, restarts=2)
    whole = jl.fit(MODEL, DATA, replace(adam(1e-2), max_iter=60), 0, segment=20)
    path = tmp_path / "x"
    jl.fit(MODEL, DATA, adam(1e-2), 0, segment=20, store=path)
    assert jl.open(path).positions.shape == (2, 5)
    with pytest.raises(jl.StoreError, match="give the engine"):
        jl.resume(path, MODEL, max_iter=60)
    for other in (adam(1e-3), jl.Optimize(optimizer=optax.sgd(1e-2), max_iter=40, restarts=2)):
        with pytest.raises(jl.InputError, match="another optimizer"):
            jl.resume(path, MODEL, engine=other, max_iter=60)
    equal(whole, jl.resume(path, MODEL, engine=adam(1e-2), max_iter=60))


def test_posteriors_of_other_packages_are_stored_with_their_draws_alone(tmp_path):
    import numpyro

    def program(y):
        mu = numpyro.sample("group/mu", dist.Normal(0, 10))
        numpyro.sample("y", dist.Normal(mu, 1), obs=y)

    posterior = jl.from_numpyro(program, DATA["y"])
    fit = jl.fit(posterior, None, ENGINES["NUTS"], 0, store=tmp_path / "x")
    equal(fit, jl.open(tmp_path / "x"))
    np.testing.assert_array_equal(fit.score(), jl.open(tmp_path / "x", posterior).score())
    with pytest.raises(jl.InputError, match="the posterior that was fitted"):
        jl.open(tmp_path / "x", MODEL)
    with pytest.raises(jl.InputError, match="other values of"):
        jl.open(tmp_path / "x", jl.from_numpyro(program, DATA["y"] + 1))


def test_masked_data_come_back_exactly(tmp_path):
    mask = np.arange(12) != 3
    data = {"y": jl.Masked(np.where(mask, DATA["y"], np.nan), mask), "g": DATA["g"]}
    fit = jl.fit(MODEL, data, ENGINES["NUTS"], 0, segment=20, store=tmp_path / "x")
    read = jl.open(tmp_path / "x", MODEL)
    for a, b in zip(jax.tree.leaves(fit.posterior.data), jax.tree.leaves(read.posterior.data), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    observed = xr.open_datatree(tmp_path / "x", engine="zarr")["observed_data"]["y"].to_numpy()
    np.testing.assert_array_equal(np.isnan(observed), ~mask)


def test_xarray_and_arviz_read_a_store_without_the_package(tmp_path):
    fit = jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20, coords=COORDS, store=tmp_path / "x")
    tree = xr.open_datatree(tmp_path / "x", engine="zarr")
    posterior = tree["posterior"].to_dataset()
    assert posterior["effects"].dims == ("dataset", "chain", "draw", "group")
    assert (
        list(posterior["dataset"].to_numpy()) == list("abc") and list(posterior["group"].to_numpy()) == COORDS["group"]
    )
    np.testing.assert_array_equal(posterior["effects"], fit.params["effects"])
    assert {"posterior", "sample_stats", "observed_data", "constant_data", "unconstrained_posterior"} == set(
        tree.children
    )
    own = fit.to_arviz()
    np.testing.assert_array_equal(own["observed_data"]["y"].to_numpy().T, tree["observed_data"]["y"].to_numpy().T)


def test_arviz_summarises_a_store(tmp_path):
    fit = jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20, store=tmp_path / "x")
    tree = xr.open_datatree(tmp_path / "x", engine="zarr")
    table = az.summary(
        az.InferenceData.from_datatree(tree) if is_former_arviz() else tree, var_names=["mu"], round_to=8
    )
    assert float(table["mean"]["mu"]) == pytest.approx(fit.params["mu"].mean(), rel=1e-5)


def test_ctrl_c_leaves_what_there_is_and_the_run_goes_on(tmp_path, monkeypatch):
    """In the warm-up it ends the call, later it gives the draws so far."""
    commit, whole = sinks.Disk.commit, jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20)
    path, commits = tmp_path / "x", []
    warmup = sum(not stage.keep for stage in ENGINES["NUTS"].schedule(20))

    def interrupted(self, session, early):
        commit(self, session, early)
        commits.append(early)
        if len(commits) in (1, warmup + 2):
            raise KeyboardInterrupt

    monkeypatch.setattr(sinks.Disk, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20, store=path)
    with pytest.warns(UserWarning, match="interrupted: the result holds the"):
        part = jl.resume(path, MODEL)
    made = part.positions.shape[1]
    assert 0 < made < 50 and (part.status == jl.Status.UNFINISHED).all()
    np.testing.assert_array_equal(part.positions, whole.positions[:, :made])
    equal(whole, jl.resume(path, MODEL))


def test_a_reader_sees_what_was_committed_while_the_run_goes_on(tmp_path, killed_at):
    whole = jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20)
    warmup = sum(not stage.keep for stage in ENGINES["NUTS"].schedule(20))
    path = tmp_path / "x"
    call = lambda: jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20, store=path)
    killed_at(warmup, call)
    with pytest.raises(jl.StoreError, match="no draw yet"):
        jl.open(path)
    killed_at(3, lambda: jl.resume(path, MODEL))
    part = jl.open(path, MODEL)
    made = part.positions.shape[2]
    assert 0 < made < 50
    np.testing.assert_array_equal(part.params["mu"], whole.params["mu"][:, :, :made])
    assert xr.open_datatree(path, engine="zarr")["posterior"].sizes["draw"] == made
    assert (part.status == jl.Status.UNFINISHED).all() and "resume" in jl.Status.UNFINISHED.advice
    np.testing.assert_array_equal(part.objective, whole.statistics["lp"][:, :, made - 1])
    jl.resume(path, MODEL)
    # An opened result stays as it was opened.
    assert part.positions.shape[2] == made


@pytest.mark.parametrize(
    ("index", "more"),
    [((1,), (slice(0, 2), slice(1, 5, 2))), ((slice(None), 2), (0,)), ((), (slice(1, 3), slice(2, None)))],
)
def test_parts_of_arrays_on_disk_are_those_of_arrays(tmp_path, index, more):
    import zarr

    values = RNG.normal(size=(3, 4, 6, 2))
    array = zarr.create_array(str(tmp_path / "x"), data=values)
    part = Lazy("x", {"v": array}).at(index).at(more)
    np.testing.assert_array_equal(part["v"], values[index][more])
    assert part.shape("v") == values[index][more].shape


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "x"
    jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20, store=path)
    return path


OTHER_PRIOR = jl.Model(
    {"mu": dist.Normal(0.0, 11.0), "effects": lambda p: dist.Normal(p.mu, 1.0).expand([GROUPS]).to_event(1)},
    MODEL.likelihood,
    derived=MODEL.derived,
    dims=MODEL.dims,
)
RENAMED = jl.Model(
    MODEL.prior, MODEL.likelihood, derived=lambda p, d: {"spread": MODEL.derived(p, d)["range"]}, dims=MODEL.dims
)
OTHERS = {
    "another name of a derived quantity": (
        lambda path: jl.fit(RENAMED, BATCH, replace(ENGINES["NUTS"], draws=60), 0, store=path, resume=True),
        "derived quantities .'spread'. .stored: .'range'.",
    ),
    "another prior": (lambda path: jl.open(path, OTHER_PRIOR), "compute something else"),
    "another model": (lambda path: jl.open(path, HMM), "parameters"),
    "other data": (lambda path: jl.resume(path, MODEL, jl.batch(dict.fromkeys("abc", BATCH[0]))), "other values of"),
    "fewer datasets": (lambda path: jl.resume(path, MODEL, BATCH.select(["a"])), "without the datasets 'b', 'c'"),
    "one dataset": (lambda path: jl.resume(path, MODEL, DATA), "a batch"),
    "another order": (lambda path: jl.resume(path, MODEL, BATCH.select(["b", "a", "c"])), "another order"),
    "another engine": (lambda path: jl.resume(path, MODEL, engine=jl.NUTS(chains=3)), "chains=3 \\(stored: 2\\)"),
    "another kind of engine": (lambda path: jl.resume(path, MODEL, engine=jl.ADVI()), "ADVI"),
    "a path with a run": (lambda path: jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, store=path), "a finished run"),
    "a path with files": (lambda path: jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, store=path.parent), "other files"),
    "an address of no kind": (lambda path: jl.open("foo://x"), "Protocol not known: foo\n.*\n.*correct the address"),
    "no path": (lambda path: jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, store=""), "a path, or an address"),
    "a path below a file": (lambda path: jl.open(path / "zarr.json" / "x"), "nothing there|NotADirectory"),
    "another seed": (lambda path: jl.fit(MODEL, BATCH, ENGINES["NUTS"], 1, store=path, resume=True), "another seed"),
    "fewer draws": (
        lambda path: jl.fit(MODEL, BATCH, replace(ENGINES["NUTS"], draws=9), 0, store=path, resume=True),
        "at least 50",
    ),
    "a path with a file": (
        lambda path: jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, store=path / "zarr.json"),
        "a file\n.*\n.*another path",
    ),
    "a path with an array": (lambda path: jl.open(path / "posterior" / "mu"), "a Zarr array"),
    "a file to open": (lambda path: jl.open(path / "zarr.json"), "got:      a file"),
    "a shard from the environment": (
        lambda path: jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, store=path, shard=("0", "2")),
        "two integers",
    ),
    "a shard without their number": (lambda path: jl.resume(path, MODEL, shard=1), "two integers"),
    "no store": (lambda path: jl.open(path / "nothing"), "nothing there"),
    "no store to resume": (lambda path: jl.resume(path / "nothing", MODEL), "nothing there"),
}


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize("wrong", OTHERS)
def test_what_does_not_fit_is_refused_and_named(finished, wrong):
    call, words = OTHERS[wrong]
    with pytest.raises((jl.InputError, jl.StoreError), match=words):
        call(finished)
    equal(jl.open(finished), jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20))


def test_another_precision_is_all_that_is_said_of_it(finished, tmp_path):
    """It changes the values and types of the data, too."""
    path = shutil.copytree(finished, tmp_path / "x")
    document = json.loads((path / "zarr.json").read_text())
    run = document["attributes"]["jaxlatent"]["identity"]
    run["x64"] = not run["x64"]
    run["data"] = {name: [shape, "another", 0] for name, (shape, _, _) in run["data"].items()}
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(jl.InputError, match=r"got:      (32|64) bits .stored: ..\)\n.*\n.*jax_enable_x64"):
        jl.open(path, MODEL)


def test_some_datasets_of_a_store_are_read_without_the_model(finished):
    some, whole = jl.open(finished).select(["c", "a"]), jl.open(finished, MODEL)
    assert some.names == ("c", "a") and some["a"].names is None
    np.testing.assert_array_equal(some.params["effects"], whole.params["effects"][[2, 0]])
    assert some.summary().equals(whole.select(["c", "a"]).summary())


@pytest.mark.parametrize("names", [("a/b", "a.b"), ("a", "chain"), ("dataset", "a")])
def test_names_that_a_store_cannot_tell_apart_are_refused_before_any_work(tmp_path, names):
    model = jl.Model({name: dist.Normal(0.0, 1.0) for name in names}, lambda p, d: {"y": dist.Normal(p[names[0]], 1.0)})
    fit = lambda **more: jl.fit(model, {"y": np.zeros(3)}, jl.NUTS(chains=1, warmup=0, draws=1), 0, **more)
    for call in (lambda path: fit(store=path), fit().save):
        with pytest.raises(jl.InputError, match="the name of"):
            call(tmp_path / "x")


def test_a_saved_result_is_no_run_to_go_on_with(finished, tmp_path):
    jl.open(finished, MODEL).save(tmp_path / "x")
    with pytest.raises(jl.InputError, match="saved after its fit"):
        jl.fit(MODEL, BATCH, ENGINES["NUTS"], 0, segment=20, store=tmp_path / "x", resume=True)


def test_an_equal_model_written_again_is_the_same(finished):
    """As in a later process, where functions are other objects."""
    again = jl.Model(
        {"mu": dist.Normal(0.0, 10.0), "effects": lambda p: dist.Normal(p.mu, 1.0).expand([GROUPS]).to_event(1)},
        lambda p, d: {"y": dist.Normal(p.effects[d.g], 1.0)},
        derived=lambda p, d: {"range": p.effects.max() - p.effects.min()},
        dims={"effects": ("group",)},
    )
    assert jl.open(finished, again).score().shape == (3, 2, 50)


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(ENGINES["EM"], id="EM"),
        pytest.param(
            jl.ADVI(restarts=2, max_iter=60, optimizer=optax.adam(0.1)), id="an optimiser", marks=pytest.mark.slow
        ),
    ],
)
def test_a_run_goes_on_where_a_library_has_set_the_precision_of_products(tmp_path, killed_at, engine):
    """As `import dynamax` does, for the whole process."""
    whole = jl.fit(HMM, ANIMALS, engine, 0, segment=20)
    killed_at(2, lambda: jl.fit(HMM, ANIMALS, engine, 0, segment=20, store=tmp_path / "x"))
    with jax.default_matmul_precision("float32"):
        resumed = jl.resume(tmp_path / "x", HMM, engine=engine)
    np.testing.assert_allclose(resumed.objective, whole.objective, rtol=1e-5)


def chunk_of(path, name):
    """A file of an array."""
    return next(file for file in sorted((path / name / "c").rglob("*")) if file.is_file())


@pytest.fixture
def damaged(tmp_path):
    path = tmp_path / "x"
    jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20, store=path)
    return path


def test_a_damaged_chunk_is_found_and_costs_that_array_alone(damaged):
    chunk = chunk_of(damaged, "posterior/effects")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    result = jl.open(damaged)
    with pytest.raises(jl.StoreError, match="damaged"):
        result.params["effects"]
    assert np.isfinite(result.params["mu"]).all()
    chunk.unlink()
    with pytest.raises(jl.StoreError, match="1 of 3 chunks missing"):
        jl.open(damaged).params["effects"]


def test_a_store_of_another_format_is_refused(damaged):
    root = json.loads((damaged / "zarr.json").read_text())
    root["attributes"]["jaxlatent"]["format"] = 99
    (damaged / "zarr.json").write_text(json.dumps(root))
    for call in (
        lambda: jl.open(damaged),
        lambda: jl.resume(damaged, MODEL),
        lambda: jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, store=damaged),
    ):
        with pytest.raises(jl.StoreError, match="format 99"):
            call()


def test_of_two_writers_the_first_stops(tmp_path, monkeypatch):
    path, close, writers = tmp_path / "x", sinks.Disk.close, []

    def resumed_elsewhere(self, session, early):
        close(self, session, early)
        if not writers:
            writers.append(self)
            equal(jl.resume(path, MODEL), jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20))

    monkeypatch.setattr(sinks.Disk, "close", resumed_elsewhere)
    with pytest.raises(jl.StoreError, match="another process that writes to it"):
        jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20, store=path)
    equal(jl.open(path), jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20))


def test_a_folder_without_permission_is_named_before_any_work(tmp_path):
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        # Root may write everywhere.
        os.seteuid(65534)
    try:
        with pytest.raises(jl.StoreError, match="PermissionError"):
            jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, store=tmp_path / "x")
    finally:
        os.seteuid(user)


def test_ctrl_c_in_a_search_gives_what_was_found_and_it_goes_on(tmp_path, monkeypatch):
    model, data, engine = case("EM")
    commit, whole, commits = sinks.Disk.commit, jl.fit(model, data, engine, 0, segment=20), []

    def interrupted(self, session, early):
        commit(self, session, early)
        commits.append(early)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sinks.Disk, "commit", interrupted)
        with pytest.warns(UserWarning, match="holds the 20 iterations"):
            jl.fit(model, data, engine, 0, segment=20, store=tmp_path / "x")
        # Of a run that goes on they are all that there are.
        with pytest.warns(UserWarning, match="holds the 40 iterations"):
            part = jl.resume(tmp_path / "x", model)
    assert (part.status == jl.Status.UNFINISHED).all() and (whole.status == jl.Status.MAX_ITERATIONS).all()
    assert np.isfinite(part.objective).all() and (part.objective <= whole.objective + 1e-3).all()
    equal(whole, jl.resume(tmp_path / "x", model))


def test_of_two_runs_that_begin_at_once_the_second_writes_nothing(tmp_path):
    """Neither saw the other when it looked."""
    path = tmp_path / "x"
    slow = create(path)
    first = jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20, store=path)
    with pytest.raises(jl.StoreError, match="another process that writes to it"):
        slow.claim()
    equal(first, jl.open(path))


def test_the_state_of_another_version_is_refused(tmp_path, monkeypatch):
    killed = jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20, store=tmp_path / "x")
    monkeypatch.setattr(begin, "unpack", lambda packed, like: unpack(packed[:-8], like))
    with pytest.raises(jl.StoreError, match="another version"):
        jl.resume(tmp_path / "x", MODEL, draws=60)
    monkeypatch.undo()
    assert jl.resume(tmp_path / "x", MODEL, draws=60).positions.shape[1] == 60 > killed.positions.shape[1]


def test_a_disk_that_is_full_loses_nothing_that_was_committed(tmp_path, killed_at):
    """Files that may not grow beyond a few bytes stand for the disk: the operating system refuses the same calls."""
    path = tmp_path / "x"
    call = lambda: jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20, store=path)
    whole = jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20)
    killed_at(3 + sum(not stage.keep for stage in ENGINES["NUTS"].schedule(20)), call)
    before = jl.open(path).positions
    assert 0 < before.shape[1] < 50
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(jl.StoreError, match="free space"):
            jl.resume(path, MODEL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    np.testing.assert_array_equal(before, jl.open(path).positions)
    equal(whole, jl.resume(path, MODEL))


def test_an_address_in_memory(monkeypatch):
    """Any file system that fsspec knows."""
    equal(
        jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20),
        jl.fit(MODEL, DATA, ENGINES["NUTS"], 0, segment=20, store="memory://runs/x.zarr"),
    )
    assert jl.open("memory://runs/x.zarr").positions.shape == (2, 50, 5)


def test_names_that_json_cannot_hold_are_refused_before_any_work(tmp_path):
    data = jl.batch({(1, 2): BATCH[0], (3, 4): BATCH[1]})
    with pytest.raises(jl.InputError, match="words or numbers"):
        jl.fit(MODEL, data, ENGINES["NUTS"], 0, store=tmp_path / "x")


HERE = Path(__file__).parent


@pytest.mark.parametrize("times", ["1 ADVI", pytest.param("10 NUTS EM ADVI", marks=pytest.mark.slow)])
def test_a_process_that_is_killed_is_resumed_by_another(tmp_path, times):
    """With real processes, at moments drawn anew at every call."""
    command = [sys.executable, str(HERE / "kill.py"), str(tmp_path), *times.split()]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(HERE.parent)})
    assert ended.returncode == 0, ended.stdout[-1000:] + ended.stderr[-3000:]
