"""Datasets that take very much longer than the others of their batch: they go on alone, and nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import jaxlatent as jl
from jaxlatent.execute import loop, stragglers
from jaxlatent.execute.grid import make_grid

# Two parameters of which the data know the sum: by its noise, a ridge of any narrowness.
MODEL = jl.Model(
    {"x": dist.Normal(0.0, 1.0).expand([2])},
    lambda p, d: {"y": dist.Normal(p.x.sum(), d["noise"])},
    key="ridge",
)
WIDE, NARROW = 1.0, 1e-2
NUTS = jl.NUTS(chains=2, warmup=20, draws=6)
EVERYTHING = 2**31 - 1


def ridges(narrow, datasets=8):
    rng = np.random.default_rng(0)
    noise = np.where(np.isin(np.arange(datasets), narrow), NARROW, WIDE)
    return jl.batch({str(i): {"y": rng.normal(size=3) * s, "noise": s} for i, s in enumerate(noise)})


@pytest.fixture
def regrouped(monkeypatch):
    """Fits with little patience or with none at all, and which datasets, or lanes of them, went on alone meanwhile."""
    alone, lanes_alone = [], set()
    put_back = stragglers.programs.put_back

    def watched(grid, all_of, some, datasets, lanes):
        alone.append([i for i in np.asarray(datasets).tolist() if i < grid.datasets])
        own = ((i, j) for i, row in zip(datasets.tolist(), lanes.tolist(), strict=True) for j in row)
        lanes_alone.update((i, j) for i, j in own if i < grid.datasets and j < grid.lanes)
        return put_back(grid, all_of, some, datasets, lanes)

    monkeypatch.setattr(stragglers.programs, "put_back", watched)

    def fit(data, engine, patience, **options):
        alone.clear()
        lanes_alone.clear()
        monkeypatch.setattr(loop, "patience", lambda *_: patience)
        result = jl.fit(MODEL, data, engine, 1, **options)
        return result, sorted({i for some in alone for i in some})

    fit.lanes_alone = lanes_alone
    return fit


def agree(one, other, datasets, **tolerance):
    """Draws, statistics and statuses of some datasets."""
    check = np.testing.assert_allclose if tolerance else np.testing.assert_array_equal
    of = lambda result: (result.params, result.statistics, result.status)
    jax.tree.map(lambda a, b: check(np.asarray(a)[datasets], np.asarray(b)[datasets], **tolerance), of(one), of(other))


@pytest.mark.devices
@pytest.mark.parametrize("narrow", [pytest.param([3], marks=pytest.mark.slow), [0, 7]])
def test_the_others_keep_their_draws_to_the_bit_and_those_that_went_on_alone_theirs_to_rounding(
    regrouped, narrow, x64, strict
):
    data = ridges(narrow)
    waited, nobody = regrouped(data, NUTS, EVERYTHING)
    short, alone = regrouped(data, NUTS, 60)
    assert nobody == []
    if jax.device_count() < 8:  # A device of its own has no others to hold.
        assert set(alone) & set(narrow)
    others = np.setdiff1d(np.arange(8), alone)
    agree(short, waited, others)
    agree(short, waited, np.arange(8), rtol=1e-6, atol=1e-9)


def test_engines_that_end_by_a_rule_of_their_own_are_regrouped_too(regrouped, x64):
    # A valley that Adam walks for thousands of steps, among seven that it leaves at once.
    data, engine = ridges([5]), jl.Optimize(optimizer=optax.adam(0.02), restarts=2, max_iter=5000)
    waited, _ = regrouped(data, engine, EVERYTHING)
    early, alone = regrouped(data, engine, 5)
    assert 5 in alone and len(alone) < 4
    agree(early, waited, np.arange(8), rtol=1e-6, atol=1e-9)


def test_restarts_that_have_ended_leave_those_that_have_not(regrouped, x64):
    """Of one dataset too: seven start where they end, and one far away."""
    start = {"x": np.where(np.arange(8)[:, None] == 5, 8.0, 0.0) * np.array([1.0, -1.0]) + 0.01}
    data, engine = ridges([])[0], jl.Optimize(optimizer=optax.adam(0.02), restarts=8, max_iter=3000)
    waited, _ = regrouped(data, engine, EVERYTHING, init=start)
    early, _ = regrouped(data, engine, 50, init=start)
    assert regrouped.lanes_alone == {(0, 5)}
    agree(early, waited, np.arange(8), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(np.isfinite(early.trace), np.isfinite(waited.trace))
    np.testing.assert_allclose(early.trace, waited.trace, rtol=1e-6)


def test_patience_is_shorter_where_a_step_is_longer():
    def steps(rows, lanes):
        posterior = jl.condition(MODEL, jl.batch([{"y": np.zeros(rows), "noise": 1.0}] * 2)).nameless
        return stragglers.patience(make_grid(2, lanes, jax.devices()[:1]), posterior)

    assert steps(10, 1) == 4000 > steps(100_000, 10) > steps(100_000, 20) > steps(10_000_000, 100) == 50


def test_a_dataset_that_has_enough_draws_stops_whoever_went_on_alone(regrouped, x64, strict):
    # In 64 bits, where so few draws differ by less than what tells whether there are enough.
    until = jl.until(ess=10, rhat=1.9)
    result, alone = regrouped(ridges([2]), jl.NUTS(chains=2, warmup=20, draws=40), 60, until=until)
    waited, _ = regrouped(ridges([2]), jl.NUTS(chains=2, warmup=20, draws=40), EVERYTHING, until=until)
    assert alone == [2]
    draws = np.isfinite(np.asarray(result.params["x"])[..., 0]).sum((1, 2))
    np.testing.assert_array_equal(draws, np.isfinite(np.asarray(waited.params["x"])[..., 0]).sum((1, 2)))


def test_three_datasets_wait_for_each_other(regrouped):
    result, alone = regrouped(ridges([1], datasets=3), NUTS, 60)
    assert alone == [] and jnp.isfinite(result.params["x"]).all()
