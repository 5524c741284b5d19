"""A batch = a loop = shards = a resumed run, whoever fits them: random streams are those of the whole batch."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from often import often
from test_store import ENGINES, HMM, MODEL, OTHER_PRIOR, equal

import jaxlatent as jl
from jaxlatent.cli.runs import lines_of
from jaxlatent.execute import complete, sinks

RNG = np.random.default_rng(3)
ROWS = {f"d{i}": {"y": RNG.normal(size=n) + i, "g": np.arange(n) % 4} for i, n in enumerate((12, 15, 12, 20))}
RAGGED = jl.batch(
    {
        **ROWS,
        "no number": {"y": np.full(12, np.nan), "g": np.arange(12) % 4},
        "constant": {"y": np.zeros(12), "g": np.arange(12) % 4},
    }
)
PATHS = {
    f"a{i}": {"y": [RNG.normal(size=(n, 1)) + 4 * (np.arange(n)[:, None] > n / 2) for n in lengths]}
    for i, lengths in enumerate(((12, 20), (15, 9)))
}
ANIMALS = jl.batch(
    {**PATHS, "no number": {"y": [np.full((12, 1), np.nan)] * 2}, "constant": {"y": [np.zeros((12, 1))] * 2}}
)
SHORT = {"NUTS": jl.NUTS(chains=2, warmup=20, draws=5), "ChEES": jl.ChEES(chains=4, warmup=20, draws=5)}
pytestmark = pytest.mark.filterwarnings("ignore:.*quarantined:UserWarning")
OPTIONS = {"on_bad_data": "quarantine", "segment": 20}


def case(name):
    return (HMM, ANIMALS) if name == "EM" else (MODEL, RAGGED)


def close(one, other, rows=slice(None)):
    """To rounding: programs of other shapes may add in another order, and short chains that do so stay together."""
    assert one.names == other.names[rows]
    np.testing.assert_array_equal(one.status, other.status[rows])
    for field in ("params", "derived", "statistics"):
        for name, value in getattr(one, field).items():
            if name == "khat":  # the fit of a tail to a few draws
                continue
            np.testing.assert_allclose(value, getattr(other, field)[name][rows], rtol=2e-3, atol=2e-3, err_msg=name)


@pytest.mark.parametrize("engine", often(list(ENGINES), ["NUTS"]))
def test_a_batch_is_a_loop_is_shards_is_a_resumed_run(engine, tmp_path, monkeypatch):
    model, data = case(engine)
    engine = SHORT.get(engine, ENGINES[engine])
    whole = jl.fit(model, data, engine, 0, **OPTIONS)
    # The loop: shards of one dataset. That which fails the checks is not there, nor is what follows it.
    sound = data.select([name for name in data.names if name != "no number"])
    for i in range(data.names.index("no number")):
        close(jl.fit(model, sound, engine, 0, shard=(i, len(sound)), segment=20), whole, slice(i, i + 1))
    path = tmp_path / "x"
    for i in range(2):
        monkeypatch.setattr(sinks, "_SPACING", 0.0)
        jl.fit(model, data, engine, 0, **OPTIONS, store=path, shard=(i, 2))
        if i == 0:
            with pytest.warns(UserWarning, match="without shard 1"):
                part = jl.open(path, model)
            assert part.names == data.names[: len(data) // 2]
    shards = jl.open(path, model)
    close(whole, shards)
    for one in (jl.resume(path, model, shard=(1, 2)), jl.resume(path, model, data, shard=(1, 2))):
        equal(one, jl.open(f"{path}/shard-1-of-2"))
    first, alone = shards[data.names[0]], jl.open(f"{path}/shard-0-of-2", model)[data.names[0]]
    if alone.trace is not None:
        # Shards whose lanes end earlier have a shorter history, which ends with NaN beside a longer one.
        first = replace(first, trace=first.trace[:, : alone.trace.shape[1]])
    equal(first, alone)
    assert np.isfinite(shards[data.names[-1]].objective).any() == np.isfinite(whole[data.names[-1]].objective).any()


OTHER_RUNS = {
    "another seed": ({"seed": 1}, "another seed"),
    "another prior": ({"model": OTHER_PRIOR}, "compute something else"),
    "another engine": ({"engine": jl.NUTS(chains=3, warmup=20, draws=5)}, "chains=3"),
    "more datasets": ({"data": jl.batch({**ROWS, "new": ROWS["d0"]})}, "with the datasets 'new'"),
    "another order": ({"data": jl.batch(dict(reversed(ROWS.items())))}, "another order"),
    "other data": ({"data": jl.batch({**ROWS, "d3": {"y": np.ones(20), "g": ROWS["d3"]["g"]}})}, "other values of"),
}


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """The arguments of a run, and a store that has the first of its two shards."""
    path = tmp_path_factory.mktemp("half") / "x"
    run = {"model": MODEL, "data": jl.batch(ROWS), "engine": SHORT["NUTS"], "seed": 0, "segment": 20}
    jl.fit(**run, store=path, shard=(0, 2))
    return run, path


@pytest.mark.parametrize("other", OTHER_RUNS)
def test_shards_of_different_runs_are_not_mixed(half, tmp_path, other):
    (run, path), (changed, words) = half, OTHER_RUNS[other]
    with pytest.raises(jl.InputError, match=words):
        jl.fit(**{**run, **changed}, store=path, shard=(1, 2), resume=True)
    assert sorted(os.listdir(path)) == ["shard-0-of-2", "zarr.json"]
    if other in ("another seed", "more datasets"):
        # As where machines without a common disk write their shards, which are then copied together.
        shutil.copytree(path, tmp_path / "x")
        jl.fit(**{**run, **changed}, store=tmp_path / "y", shard=(1, 2))
        shutil.copytree(tmp_path / "y" / "shard-1-of-2", tmp_path / "x" / "shard-1-of-2")
        with pytest.raises(jl.StoreError, match=words):
            jl.open(tmp_path / "x")


def test_shards_are_read_while_others_run(half, tmp_path, monkeypatch):
    """With the statistics that all have: those of the warm-up come at the end."""
    run, path = half
    path, whole = shutil.copytree(path, tmp_path / "x"), jl.fit(**run)

    def kill(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(complete.stored, "write_rest", kill)
    with pytest.raises(KeyboardInterrupt):
        jl.fit(**run, store=path, shard=(1, 2))
    read = jl.open(path, MODEL)
    assert (read.status[:2] == jl.Status.OK).all() and (read.status[2:] == jl.Status.UNFINISHED).all()
    np.testing.assert_allclose(read.params["mu"], whole.params["mu"], rtol=2e-3, atol=2e-3)
    assert "lp" in read.statistics and set(read.statistics) < set(whole.statistics)
    assert read["d3"].summary().shape == read["d0"].summary().shape


def test_a_shard_that_is_fitted_in_groups_is_shown_and_goes_on(half, tmp_path):
    run, path = half
    path = shutil.copytree(path, tmp_path / "x")
    memory = 1.2 * jl.plan(MODEL, run["data"].select(["d2"]), SHORT["NUTS"], segment=20).device_bytes
    jl.fit(**run, store=path, shard=(1, 2), memory=memory)
    assert dict(lines_of(str(path))) == {"shards": "2", "shard 0": "finished", "shard 1": "finished"}
    shutil.rmtree(path / "shard-1-of-2" / "shard-1-of-2")
    assert dict(lines_of(str(path)))["shard 1"] == "1 of 2 groups finished"
    jl.fit(**run, store=path, shard=(1, 2), memory=memory, resume=True)
    close(jl.open(path, MODEL), jl.fit(**run))


HERE = Path(__file__).parent


def start_worker(*arguments):
    bits = str(int(jax.config.read("jax_enable_x64")))
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": bits}
    return subprocess.Popen(
        [sys.executable, str(HERE / "shard_worker.py"), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes_of_one_job_fit_a_shard_each(tmp_path, count):
    """Under `jax.distributed` on the loopback; the last one is killed, and the first goes on with its shard."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = tmp_path / "x"
    processes = [start_worker("distributed", path, i, count, port) for i in range(count)]
    said = [process.communicate(timeout=600)[0] for process in processes]
    codes = [process.returncode for process in processes]
    assert codes == [0] * (count - 1) + [-signal.SIGKILL], said
    with pytest.warns(UserWarning, match=f"without shard {count - 1} "):
        assert len(jl.open(path).names) < len(ANIMALS)
    other = start_worker("again", path, count - 1, count, 0)
    said = other.communicate(timeout=600)[0]
    assert other.returncode == 0, said
    close(jl.open(path), jl.fit(HMM, ANIMALS, ENGINES["EM"], 0, **OPTIONS))


@pytest.mark.slow
def test_tasks_of_a_dask_cluster_fit_a_shard_each(tmp_path):
    """A worker that dies takes no shard with it: the task is given to another one, which goes on."""
    other = start_worker("dask", tmp_path / "x", 0, 2, 0)
    said = other.communicate(timeout=600)[0]
    assert other.returncode == 0 and "killed once" in said, said
    close(jl.open(tmp_path / "x"), jl.fit(HMM, ANIMALS, ENGINES["EM"], 0, **OPTIONS))
