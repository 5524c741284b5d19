"""`until` stops each dataset when that dataset has enough, and what it costs does not grow with the draws."""

import pickle

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.diagnostics import ess_bulk, rhat
from jaxlatent.execute import stopping
from jaxlatent.execute.stopping import Monitor

#: Draws of ``x`` follow each other slowly where ``narrow`` is small: trees of one doubling cross a long valley.
VALLEY = jl.Model(
    {"x": dist.Normal(0.0, 1.0).expand([2]).to_event(1)},
    lambda p, d: {"y": dist.Normal(p.x[0] - p.x[1], d.narrow), "count": dist.Poisson(jnp.exp(p.x[0]))},
)
EASY, HARD = ({"narrow": np.float32(narrow), "y": np.float32(0.1), "count": 1} for narrow in (3.0, 0.1))
ENGINE = jl.NUTS(chains=4, warmup=40, draws=400, max_depth=2, metric="diag")
RULE = jl.until(ess=60.0, rhat=1.1)


def fit(data, until=RULE):
    return jl.fit(VALLEY, data, ENGINE, 0, segment=40, until=until)


@pytest.fixture(scope="module")
def stopped():
    return fit(jl.batch({"easy": EASY, "hard": HARD, "simple": EASY}))


@pytest.fixture(scope="module")
def whole():
    return fit(jl.batch({"easy": EASY, "hard": HARD, "simple": EASY}), None)


def test_each_dataset_stops_when_it_has_enough(stopped, whole):
    made = {name: stopped[name].positions.shape[1] for name in stopped.names}
    assert made["easy"] < made["hard"] and made["simple"] < made["hard"], made
    assert stopped.positions.shape[2] == max(made.values())
    for name, draws in made.items():
        one = stopped[name]
        np.testing.assert_array_equal(one.positions, whole[name].positions[:, :draws])
        assert np.isfinite(one.params["x"]).all() and one.statistics["lp"].shape == (4, draws)
        if draws < ENGINE.draws:
            assert np.min(ess_bulk(one.positions)) >= RULE.ess and np.max(rhat(one.positions)) <= RULE.rhat


def test_lanes_whose_trees_were_cut_short_say_so(stopped):
    assert (stopped["easy"].status == jl.Status.OK).all() and (stopped["hard"].status == jl.Status.TREE_DEPTH).all()
    assert stopped["hard"].check().illnesses[0] == "tree depth"


def test_what_was_not_drawn_is_nan_and_enters_nothing(stopped):
    draws = stopped["easy"].positions.shape[1]
    assert np.isnan(stopped.params["x"][0, :, draws:]).all() and np.isnan(stopped.statistics["lp"][0, :, draws:]).all()
    assert stopped.statistics["n_steps"][0, :, draws:].sum() == 0
    predicted = stopped.predict(1)["count"]
    assert np.isnan(predicted[0, :, draws:]).all() and np.isfinite(predicted[0, :, :draws]).all()
    np.testing.assert_array_equal(stopped.mean()["x"][0], stopped["easy"].mean()["x"])
    table = stopped.summary()
    assert np.isfinite(table.to_numpy()).all() and table.index.names == ["dataset", "parameter"]
    np.testing.assert_array_equal(table.loc["easy"].to_numpy(), stopped["easy"].summary().to_numpy())
    assert table.index.get_level_values(0).unique().tolist() == list(stopped.names)


def test_an_engine_that_ends_by_itself_takes_no_rule():
    with pytest.raises(jl.InputError, match="an MCMC engine"):
        jl.fit(VALLEY, EASY, jl.ADVI(), 0, until=RULE)


def chains(correlation, draws, columns=3, seed=0):
    """Four chains of autoregressive draws, ``(1, 4, draws, columns)``."""
    noise = np.random.default_rng(seed).normal(size=(draws, 1, 4, columns)).astype(np.float32)
    for i in range(1, draws):
        noise[i] = correlation * noise[i - 1] + np.sqrt(1 - correlation**2) * noise[i]
    return np.moveaxis(noise, 0, 2)


@pytest.mark.parametrize(("correlation", "least", "most"), [(0.0, 100, 200), (0.9, 1400, 4000)])
def test_a_rule_is_met_where_the_effective_sample_size_is(correlation, least, most):
    """Four chains with an autocorrelation time of 1, and of 19: 400 is reached after about 100 and 1900 draws of each."""
    draws = chains(correlation, 8000)
    monitor, kept = Monitor(jl.until(ess=400.0, rhat=1.05), np.ones(1, bool), 8000), []
    for start in range(0, 8000, 100):
        kept.append(draws[:, :, start : start + 100])
        monitor.update(kept[-1])
        if not monitor.running.any():
            break
    made = 100 * len(kept)
    assert least <= made <= most, made
    assert np.min(ess_bulk(draws[0, :, :made])) > 0.9 * 400


@pytest.mark.parametrize(("bound", "met"), [(1.01, False), (1.2, True)])
def test_a_rule_asks_for_chains_that_agree_as_well(bound, met):
    """Chains a little apart, of effective draws enough."""
    draws = chains(0.0, 2000) + 0.3 * np.arange(4, dtype=np.float32)[:, None, None]
    assert np.min(ess_bulk(draws[0])) > 20 and 1.01 < np.min(rhat(draws[0])) < 1.2
    monitor = Monitor(jl.until(ess=10.0, rhat=bound), np.ones(1, bool), 8000)
    monitor.update(draws)
    assert monitor.running.tolist() == [not met]


def test_the_cost_does_not_grow_with_the_draws(monkeypatch):
    """Chains that never agree: the diagnostics see as many numbers at each look, look seldom, and no more draws than that are kept."""
    sizes = []
    measure = stopping._measure
    monkeypatch.setattr(stopping, "_measure", lambda draws, n: sizes.append(draws.size) or measure(draws, n))
    apart = chains(0.0, 40, columns=51) + 9 * np.arange(4)[:, None, None].astype(np.float32)
    rule = jl.until(ess=400.0, rhat=1.05)
    monitor = Monitor(rule, np.ones(1, bool), 20_000)
    for _ in range(500):
        monitor.update(apart)
    assert monitor.running.all() and 5 <= len(sizes) <= 15
    most = 4 * 2 * rule.draws_needed(4)
    assert set(sizes) == {most * 16}
    assert len(pickle.dumps(monitor)) < 1.1 * most * 51 * 4 < 0.4 * 500 * apart.nbytes
