"""Fits of nearly as many rows share their programs: masked rows are appended, and change nothing."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from often import often
from test_units import FAMILIES, simulated

import jaxlatent as jl
from jaxlatent.data.arrays import shape_of
from jaxlatent.execute.padding import pad_rows, round_up
from jaxlatent.models import emissions

ROWS = 101
NUTS = jl.NUTS(chains=2, warmup=50, draws=50)


def regression(likelihood, **settings):
    prior = {
        "a": dist.Normal(0.0, 2.0).expand([7]).to_event(1),
        "b": dist.Normal(0.0, 2.0),
        "s": dist.LogNormal(0.0, 1.0),
    }
    return jl.Model(prior=prior, likelihood=likelihood, **settings)


def rows_of(n, seed=0):
    rng = np.random.default_rng(seed)
    x, group = rng.normal(size=n), rng.integers(0, 7, n)
    return {"x": x, "group": group, "y": x + rng.normal(size=n) + rng.normal(size=7)[group]}


def led(posterior):
    return jax.tree.map(lambda x: x[None], posterior.nameless)


def padded(model, data):
    """The posterior as `fit` pads it, and whether it did."""
    given = led(jl.condition(model, data))
    made_up = pad_rows(given)
    return jax.tree.map(lambda x: x[0], made_up), made_up is not given


plain = regression(lambda p, d: {"y": dist.Normal(p.a[d.group] + p.b * d.x, p.s)})


def test_lengths_are_few_and_at_most_an_eighth_more():
    made = [round_up(n) for n in range(1, 5000)]
    assert made == sorted(made)
    assert all(n <= wanted <= n * 1.125 for n, wanted in enumerate(made, 1))
    assert len(set(made)) <= 16 + 8 * 9
    assert all(round_up(n) == n for n in made)


@pytest.mark.parametrize(
    "engine", often([NUTS, jl.Optimize(), jl.ADVI(max_iter=200)], [NUTS]), ids=lambda e: type(e).__name__
)
def test_one_row_more_traces_no_program_of_the_engine(engine, monkeypatch):
    jl.fit(plain, rows_of(100), engine, seed=0)
    kind, traced = type(engine), []
    step = kind.step_where
    shape = lambda self, live, posterior, *_: posterior.data["y"].values.shape
    monkeypatch.setattr(kind, "step_where", lambda *args: traced.append(shape(*args)) or step(*args))
    for n in (101, 104, 97):
        assert jl.fit(plain, rows_of(n, n), engine, seed=0).posterior.data["y"].shape == (n,)
    assert not traced
    jl.fit(plain, rows_of(105), engine, seed=0)
    assert set(traced) == {(112,)}


@pytest.mark.parametrize("name", often(FAMILIES, {"logistic", "autoregression"}))
def test_padded_families_have_the_same_density_gradient_and_starts(name, x64):
    model, _ = FAMILIES[name]
    x, y = simulated(name, np.random.default_rng(2))
    data = {"y": y[:ROWS], "u" if name == "driven transitions" else "x": x[:ROWS, None]}
    longer, is_padded = padded(model, data)
    assert is_padded and shape_of(longer.data["y"])[0] == 104

    @jax.jit
    def look(posterior):
        key = jax.random.key(3)
        start = posterior.initial_position(key)
        at = start + 0.1 * jax.random.normal(key, start.shape)
        return start, *jax.value_and_grad(posterior.log_density)(at)

    for ours, theirs in zip(look(longer), look(jl.condition(model, data)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * np.abs(theirs).max())


def sequences(lengths):
    rng = np.random.default_rng(1)
    draw = lambda n: (
        np.where(rng.random(n) < 0.5, 2.0, -2.0)[:, None] + rng.normal(size=(n, 1)),
        rng.normal(size=(n, 1)),
    )
    drawn = [draw(n) for n in lengths]
    return {"y": [y for y, _ in drawn], "u": [u for _, u in drawn]}


@pytest.mark.parametrize("lengths", often([(101,), (35, 30, 33), (33, 33), (9,) * 19], [(33, 33)]), ids=str)
def test_steps_and_sequences_are_padded_alike(lengths):
    """Whole fits: `find_starts`, E-steps, M-steps, statuses."""
    model = jl.models.hmm(2, emissions.Gaussian(1), jl.models.InputDriven(1))
    data = sequences(lengths)
    data = {name: value[0] if len(lengths) == 1 else value for name, value in data.items()}
    assert padded(model, data)[1]
    engine = jl.EM(restarts=2, tol=1e-7)
    ours, theirs = (jl.fit(replace(model, row_wise=wise), data, engine, seed=0) for wise in (True, False))
    np.testing.assert_array_equal(ours.status, theirs.status)
    np.testing.assert_allclose(ours.objective, theirs.objective, rtol=1e-5)
    for name, value in theirs.params.items():
        np.testing.assert_allclose(ours.params[name], value, rtol=0.02, atol=0.01)
    assert ours.smooth()["y"].shape == theirs.smooth()["y"].shape


#: Where rows are more than terms of a sum.
TOGETHER = {
    "a mean": regression(lambda p, d: {"y": dist.Normal(p.b * (d.x - d.x.mean()), p.s)}),
    "a mean of the observation": regression(lambda p, d: {"y": dist.Normal(p.b + d.y.mean(), p.s)}),
    "a number of rows": regression(lambda p, d: {"y": dist.Normal(p.b, p.s / d.x.shape[0])}),
    "a rank": regression(lambda p, d: {"y": dist.Normal(p.b * jnp.linspace(0, 1, d.x.shape[0]), p.s)}),
    "a factor": regression(lambda p, d: {"y": dist.Normal(p.b, p.s), "f": jl.Factor(-((d.x * p.b) ** 2))}),
    "a process": regression(
        lambda p, d: {"y": dist.MultivariateNormal(0, jnp.exp(-((d.x[:, None] - d.x) ** 2)) + p.s * jnp.eye(len(d.x)))}
    ),
    "an effect of each row": jl.Model(
        prior={"e": lambda p, d: dist.Normal(0, 1).expand(d.x.shape).to_event(1)},
        likelihood=lambda p, d: {"y": dist.Normal(p.e, 1.0)},
    ),
    "a prior": jl.Model(
        prior={"b": lambda p, d: dist.Normal(d.x.mean(), 1)}, likelihood=lambda p, d: {"y": dist.Normal(p.b, 1.0)}
    ),
    "a start": replace(plain, start=lambda key, d: {"a": jnp.zeros(7), "b": d.x.mean(), "s": jnp.ones(())}),
    "a closure": (lambda known: regression(lambda p, d: {"y": dist.Normal(p.b * known, p.s)}))(jnp.ones(ROWS)),
    "an m_step": replace(plain, m_step={"b": lambda p, d, expected: d.y.mean()}),
    "told so": replace(plain, row_wise=False),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_models_whose_rows_meet_are_left_as_they_are(name):
    data = rows_of(ROWS)
    # One row that is like all others says nothing of means: the number of rows must.
    for x in (np.ones(ROWS), np.resize([0.0, 1.0], ROWS), data["x"]):
        given = data | {"x": x}
        made_up, was = padded(TOGETHER[name], given)
        if was:
            look = lambda posterior: posterior.log_density(jnp.linspace(-0.5, 0.5, posterior.dim))
            assert name in ("a mean", "a prior", "a start") and np.ptp(x) == 0
            np.testing.assert_allclose(look(made_up), look(jl.condition(TOGETHER[name], given)), rtol=1e-5)
        else:
            assert made_up.data["y"].shape == (ROWS,)


def test_a_table_as_long_as_the_rows_is_not_one_of_them():
    """Seventeen groups of seventeen rows: what is appended to the table of groups is never read, and rows read the right ones."""
    model = jl.Model(
        prior={"b": dist.Normal(0, 2)}, likelihood=lambda p, d: {"y": dist.Normal(p.b * d.of_group[d.group], 1.0)}
    )
    rng = np.random.default_rng(0)
    data = {"of_group": rng.normal(size=17), "group": rng.permutation(17), "y": rng.normal(size=17)}
    made_up, was = padded(model, data)
    assert was
    np.testing.assert_allclose(
        made_up.log_density(jnp.ones(1)), jl.condition(model, data).log_density(jnp.ones(1)), rtol=1e-6
    )


def test_derived_quantities_see_the_rows_there_are():
    derived = lambda p, d: {"mean": p.a[d.group] + p.b * d.x, "average": jnp.mean(p.b * d.x), "twice": 2 * p.b}
    data = rows_of(ROWS)
    result = jl.fit(replace(plain, derived=derived), data, NUTS, seed=0)
    assert result.derived["mean"].shape == (2, 50, ROWS)
    by_hand = result.params["b"][..., None] * data["x"]
    np.testing.assert_allclose(result.derived["average"], by_hand.mean(-1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        result.derived["mean"], result.params["a"][..., data["group"]] + by_hand, rtol=1e-5, atol=1e-5
    )
    assert jl.fit(plain, data, NUTS, seed=0).log_likelihood()["y"].shape == (2, 50, ROWS)


def test_masks_and_batches_are_padded_too():
    """Draws of a padded fit are those of the other to rounding, which chains amplify: a few."""
    few = jl.NUTS(chains=2, warmup=10, draws=5)
    one, two = rows_of(ROWS), rows_of(90, 1)
    seen = np.random.default_rng(2).random(ROWS) < 0.8
    missing = one | {"y": jl.Masked(np.where(seen, one["y"], np.nan), seen)}
    for data in (missing, jl.batch([one, two])):
        fits = [jl.fit(replace(plain, row_wise=wise), data, few, seed=0) for wise in (None, False)]
        for name, value in fits[1].params.items():
            np.testing.assert_allclose(fits[0].params[name], value, rtol=0.05, atol=0.02)
