"""Datasets of similar shape are fitted together where that saves more than it costs, and the result is that of all at once."""

import itertools
import signal
import warnings

import numpy as np
import numpyro.distributions as dist
import pytest
from often import often
from test_shards import close
from test_store import HMM, equal, killed_at  # noqa: F401

import jaxlatent as jl
from jaxlatent.execute import buckets, programs, sinks

RNG = np.random.default_rng(5)
LENGTHS = (24, 100, 23, 90, 40)
REGRESSION = jl.Model(
    {"b": dist.Normal(0.0, 1.0).expand([2]).to_event(1)},
    lambda p, d: {"y": dist.Normal(d.x @ p.b, 1.0)},
    derived=lambda p, d: {"mean": d.x @ p.b},
    key="buckets",
)
RAGGED = jl.batch(
    {f"d{n}": {"y": RNG.normal(size=n), "x": RNG.normal(size=(n, 2))} for n in LENGTHS}
    | {
        "no number": {"y": np.full(30, np.nan), "x": np.zeros((30, 2))},
        "constant": {"y": np.zeros(95), "x": np.zeros((95, 2))},
    }
)
ANIMALS = jl.batch(
    {
        str(i): {"y": [RNG.normal(size=(n, 1)) + 4 * (np.arange(n)[:, None] > n / 2) for n in lengths]}
        for i, lengths in enumerate(((40, 38), (20, 18, 19, 20, 20), (39, 30), (17, 20, 18, 19, 20)))
    }
)
CASES = {
    "NUTS": (REGRESSION, RAGGED, jl.NUTS(chains=2, warmup=20, draws=5)),
    "Optimize": (REGRESSION, RAGGED, jl.Optimize(restarts=2, max_iter=40)),
    "EM": (HMM, ANIMALS, jl.EM(restarts=3, max_iter=40, tol=0.0)),
}
OPTIONS = {"on_bad_data": "quarantine", "segment": 20}
pytestmark = pytest.mark.filterwarnings("ignore:.*quarantined:UserWarning")


@pytest.fixture
def cheap(monkeypatch):
    """Programs that cost next to nothing to compile, so that datasets of each shape have their own."""
    monkeypatch.setattr(buckets, "COMPILE", 1e-9)


def fit(name, **more):
    model, data, engine = CASES[name]
    return jl.fit(model, data, engine, 0, **OPTIONS, **more)


@pytest.fixture
def together(monkeypatch):
    """The datasets that a plan fits together. Its memory, which the compiler tells, is not asked for."""
    monkeypatch.setattr(programs, "most_bytes", lambda *_: 0)
    return lambda *fit: [list(part) for part in jl.plan(*fit, segment=20).parts]


@pytest.mark.parametrize("name", CASES)
def test_a_short_fit_is_compiled_once_and_a_long_one_for_each_shape(name, together, monkeypatch):
    model, data, engine = CASES[name]
    data = data.select([name for name in data.names if name not in data.problems])
    assert len(together(model, data, engine)) == 1
    monkeypatch.setattr(buckets, "COMPILE", 1e-9)
    shapes = [(0, 2), (1, 3)] if name == "EM" else [(0, 2), (1,), (3, 5), (4,)]
    assert sorted(map(tuple, together(model, data, engine))) == shapes


def test_cuts_are_the_best_of_all():
    for _ in range(20):
        shapes = RNG.integers(1, 50, (6, 2))
        shapes = shapes[np.argsort(shapes.prod(1))]
        counts, seconds = RNG.integers(1, 5, 6), 10 ** RNG.uniform(-3, 1)

        def cost(cuts, shapes=shapes, counts=counts, seconds=seconds):
            parts = itertools.pairwise((0, *cuts, 6))
            return sum(buckets.COMPILE + seconds * counts[a:b].sum() * shapes[a:b].max(0).prod() for a, b in parts)

        least = min(cost(cuts) for n in range(6) for cuts in itertools.combinations(range(1, 6), n))
        np.testing.assert_allclose(cost([first for first, _ in buckets._cut(shapes, counts, seconds)][1:]), least)


def test_little_of_a_long_run_is_padding():
    """Animals of some 20 to 70 sessions of 60 to 150 trials, for as long as a study of them takes."""
    sessions = RNG.integers(20, 70, 37)
    shapes = np.unique(np.stack([sessions, np.full(37, 150)], 1), axis=0)
    counts = np.array([(sessions == s).sum() for s in shapes[:, 0]])
    cuts = buckets._cut(shapes, counts, 2e-8 * 300 * 20 * 20)
    grid = sum(counts[a:b].sum() * shapes[a:b].max(0).prod() for a, b in cuts)
    whole, used = shapes.max(0).prod() * 37, (sessions * 150).sum()
    assert grid < 1.15 * used < 0.8 * whole


@pytest.mark.parametrize("name", CASES)
def test_a_batch_in_parts_is_the_batch(name, cheap, monkeypatch):
    advance, shapes = programs.advance, set()
    with monkeypatch.context() as patch:
        seen = lambda *given: shapes.add(given[3].data["y"].shape[1:3]) or advance(*given)
        patch.setattr(programs, "advance", seen)
        ours = fit(name)
    assert shapes == ({(5, 20), (2, 40)} if name == "EM" else {(24,), (40,), (96,), (104,)})
    with monkeypatch.context() as patch:
        patch.setattr(buckets, "COMPILE", 1e9)
        close(fit(name), ours)


@pytest.mark.parametrize("name", often(["NUTS", "Optimize"], ["NUTS"]))
def test_a_batch_in_parts_is_stored_killed_and_fitted_in_shards(name, cheap, tmp_path, monkeypatch, killed_at):  # noqa: F811
    """Draws, and ends; how an engine's state is stored is the same for a batch in parts as for any other."""
    model, data, _ = CASES[name]
    ours = fit(name)
    monkeypatch.setattr(sinks, "_SPACING", 0.0)
    commits = killed_at(-1, lambda: equal(fit(name, store=tmp_path / "whole"), ours))
    for i, number in enumerate((1, 2 * commits // 3)):
        killed_at(number, lambda i=i: fit(name, store=tmp_path / f"{i}"))
        again = fit(name, store=tmp_path / f"{i}", resume=True) if number == 1 else jl.resume(tmp_path / f"{i}", model)
        equal(again, ours)
        equal(jl.open(tmp_path / f"{i}", model, data), ours)
    for i in range(2):
        fit(name, store=tmp_path / "shards", shard=(i, 2))
    close(jl.open(tmp_path / "shards"), ours)


def test_rows_that_count_are_not_cut(cheap, together):
    counted = jl.Model({"b": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.b, d.y.shape[0] ** 0.5)})
    sound = RAGGED.select([name for name in RAGGED.names if name not in RAGGED.problems])
    assert len(together(counted, sound, CASES["NUTS"][2])) == 1


def test_ctrl_c_keeps_the_parts_that_are_there(cheap, monkeypatch):
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    append, fitted = sinks.Memory.append, []

    def interrupted(self, records):
        fitted.append(records.positions.shape[0])
        append(self, records)
        if len(fitted) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sinks.Memory, "append", interrupted)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            result = fit("NUTS")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert "the result is without 3 datasets" in str(said[-1].message)
    assert len(result.names) == sum(fitted) < len(RAGGED.names) and len(fitted) == 2
    monkeypatch.undo()
    whole = fit("NUTS")
    for name in result.names:
        np.testing.assert_allclose(result[name].params["b"], whole[name].params["b"], rtol=2e-3, atol=2e-3)
