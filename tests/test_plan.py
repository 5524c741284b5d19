"""Memory: what a plan says is what a fit takes, and groups that fit into it give the result of all at once."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import jax
import numpy as np
import pytest
from often import often
from test_shards import ANIMALS, OPTIONS, RAGGED, SHORT, close
from test_store import ENGINES, HMM, MODEL

import jaxlatent as jl
from jaxlatent.execute import programs
from jaxlatent.execute.devices import free_memory
from jaxlatent.execute.plan import as_bytes, words

# Modules that share their name with the function in them.
fit_module, plan_module = map(import_module, ("jaxlatent.execute.fit", "jaxlatent.execute.plan"))
pytestmark = pytest.mark.filterwarnings("ignore:.*quarantined:UserWarning")
SOUND = RAGGED.select([name for name in RAGGED.names if name != "no number"])


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_kept_is_counted_to_the_byte(engine):
    model, data = (HMM, ANIMALS.select(["a0", "a1"])) if engine == "EM" else (MODEL, SOUND)
    engine = SHORT.get(engine, ENGINES[engine])
    fit = jl.fit(model, data, engine, 0, segment=20)
    held = sum(
        value.nbytes
        for field in (fit.params, fit.derived, fit.unconstrained, fit.statistics)
        for value in field.values()
    )
    held += 0 if fit.trace is None else fit.trace.nbytes
    # An engine that ends early keeps less.
    planned = jl.plan(model, data, engine, segment=20)
    assert planned.draws_bytes == held or (held < planned.draws_bytes and fit.trace is not None)
    assert planned.groups == 1 and planned.datasets == len(data) and planned.lanes == engine.lanes


def test_groups_follow_from_the_memory():
    engine = jl.NUTS(chains=4, warmup=20, draws=250)
    whole = jl.plan(MODEL, SOUND, engine)
    half = jl.plan(MODEL, SOUND, engine, memory=int(0.75 * whole.device_bytes))
    assert whole.groups == 1 and half.groups == 2 and half.device_bytes <= 0.75 * whole.device_bytes
    assert half.draws_bytes == whole.draws_bytes
    with pytest.raises(jl.InputError, match="one dataset takes by NUTS with 4 lanes"):
        jl.plan(MODEL, SOUND, engine, memory="1 KB")
    assert "in 2 groups (3, 2 datasets), one after the other" in str(half)


@pytest.mark.parametrize("engine", often(["NUTS", "EM", "Optimize"], ["NUTS"]))
def test_groups_are_all_at_once(engine, tmp_path):
    model, data = (HMM, ANIMALS) if engine == "EM" else (MODEL, RAGGED)
    engine = SHORT.get(engine, ENGINES[engine])
    whole = jl.fit(model, data, engine, 0, **OPTIONS)
    needed = jl.plan(model, data.select([data.names[0]]), engine, segment=20).device_bytes
    memory = 2.2 * needed
    close(jl.fit(model, data, engine, 0, **OPTIONS, memory=memory), whole)
    for _ in range(2):
        stored = jl.fit(model, data, engine, 0, **OPTIONS, memory=memory, store=tmp_path / "x", resume=True)
        close(stored, whole)
    assert len(os.listdir(tmp_path / "x")) > 2
    with pytest.raises(jl.StoreError, match="nothing is yet"):
        jl.fit(model, data, engine, 0, **OPTIONS, memory=memory, store=tmp_path / "x")
    close(jl.open(tmp_path / "x", model), whole)
    assert whole.quarantined == stored.quarantined and np.isnan(stored["no number"].objective).all()


def test_groups_of_another_batch_are_refused(tmp_path):
    engine = SHORT["NUTS"]
    memory = 2.2 * jl.plan(MODEL, SOUND.select(["d0"]), engine, segment=20).device_bytes
    again = lambda data, **more: jl.fit(MODEL, data, engine, 0, segment=20, store=tmp_path / "x", memory=memory, **more)
    again(SOUND)
    for data, told in (
        (jl.batch({name: SOUND[i] for i, name in enumerate([*SOUND.names, "new"][1:])}), "with the datasets 'new'"),
        (SOUND.select(["d0", "d1"]), "without the datasets 'd2'"),
        (SOUND.select(SOUND.names[::-1]), "another order"),
        (SOUND[0], "one dataset"),
    ):
        with pytest.raises(jl.InputError, match=told):
            again(data, resume=True)


@pytest.mark.slow
def test_starts_and_ends_take_no_more_than_steps(monkeypatch):
    """What fits while it runs must not run out of memory at its end: lanes start and finish in chunks, as they step."""
    found, bytes_of = [], programs._bytes

    def noted(lowered):
        found.append(bytes_of(lowered))
        return found[-1]

    monkeypatch.setattr(programs, "_bytes", noted)
    data, devices = {"y": np.zeros((20, 2000, 1))}, jax.devices()[:1]
    most = [jl.plan(HMM, data, jl.EM(restarts=lanes), devices=devices).device_bytes for lanes in (32, 256)]
    few, many = found[:3], found[3:]
    # Start and end hold what a step holds; a fifth is for their own outputs.
    assert most == [max(few), max(many)] and max(few) < 1.2 * min(few[0], many[0])
    # Eight times the lanes are eight times the chunks.
    assert all(eight < 1.5 * one for eight, one in zip(many, few, strict=True))


@pytest.mark.slow
def test_by_default_a_fit_takes_what_is_free(monkeypatch):
    engine = ENGINES["Optimize"]
    whole = jl.fit(MODEL, SOUND, engine, 0)
    needed = jl.plan(MODEL, SOUND, engine).device_bytes
    monkeypatch.setattr(plan_module, "free_memory", lambda device: int(0.8 * needed) * len(jax.local_devices()))
    assert jl.plan(MODEL, SOUND, engine).groups > 1
    fitted = []
    run_job = fit_module.run_job
    monkeypatch.setattr(fit_module, "run_job", lambda job, init: fitted.append(len(job.datasets)) or run_job(job, init))
    close(jl.fit(MODEL, SOUND, engine, 0), whole)
    assert len(fitted) > 1 and sum(fitted) == len(SOUND)


def test_draws_that_do_not_fit_on_the_host_are_refused_before_any_work(monkeypatch):
    engine = jl.NUTS(chains=2, warmup=20, draws=20)
    kept = jl.plan(MODEL, SOUND, engine).draws_bytes
    monkeypatch.setattr(plan_module, "free_memory", lambda device: kept - 1)
    with pytest.raises(jl.InputError, match="keep them on the disk with store=path"):
        jl.fit(MODEL, SOUND, engine, 0)


def test_starts_are_those_of_the_whole_batch():
    engine = replace(ENGINES["Optimize"], max_iter=1)
    start = {"mu": np.arange(len(SOUND), dtype=float)[:, None], "effects": np.zeros(4)}
    whole = jl.fit(MODEL, SOUND, engine, 0, init=start)
    close(jl.fit(MODEL, SOUND, engine, 0, init=start, shard=(1, 2)), whole, slice(len(SOUND) // 2, None))


@pytest.mark.parametrize(
    ("memory", "size"), [("8GiB", 8 * 2**30), ("1.5 MB", 1_500_000), (1000, 1000), ("12 B", 12), ("2 kib", 2048)]
)
def test_memory_is_given_in_words_or_numbers(memory, size):
    assert as_bytes(memory) == size


@pytest.mark.parametrize("memory", ["much", -1, "0GiB", True, "GiB", "8 GiBit"])
def test_other_words_for_memory_are_refused(memory):
    with pytest.raises(jl.InputError, match="8GiB"):
        jl.fit(MODEL, SOUND, ENGINES["NUTS"], 0, memory=memory)


def test_sizes_in_words():
    assert [words(n) for n in (0, 1023, 1024, 3.3 * 2**30)] == ["0 B", "1023 B", "1.0 KiB", "3.3 GiB"]
    assert 0 < free_memory(jax.devices()[0]) < 2**50


MEASURED = """
import resource, sys
import numpy as np, numpyro.distributions as dist, jaxlatent as jl
model = jl.Model({"b": dist.Normal(0, 1).expand([40]).to_event(1)}, lambda p, d: {"y": dist.Normal(d.x @ p.b, 1.0)}, row_wise=True)
rng = np.random.default_rng(0)
data = jl.batch([{"y": rng.normal(size=64), "x": rng.normal(size=(64, 40))} for _ in range(int(sys.argv[1]))])
engine = jl.NUTS(chains=4, warmup=20, draws=500)
plan = jl.plan(model, data, engine, segment=500)
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
jl.fit(model, data, engine, 0, segment=500)
print(plan.device_bytes + plan.draws_bytes, peak() - before)
"""


@pytest.mark.slow
def test_a_fit_takes_what_was_planned_or_less():
    """Of two sizes the difference, in which what the compiler and the libraries take is left out."""
    told = []
    for datasets in ("100", "400"):
        ended = subprocess.run([sys.executable, "-c", MEASURED, datasets], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        told.append(np.array(ended.stdout.split(), float))
    planned, measured = told[1] - told[0]
    assert measured <= 1.1 * planned, (told, planned, measured)
