"""A NumPyro model through `jl.from_numpyro`: names of dimensions, predictions, criteria, batches, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from monte_carlo import check_same
from scipy import stats

import jaxlatent as jl

RNG = np.random.default_rng(4)
GROUP = np.repeat(np.arange(4), 5)
X = RNG.normal(size=20)
Y = RNG.normal(size=20) + X + GROUP
NUTS = jl.NUTS(chains=2, warmup=200, draws=200)


def hierarchy(x, group, y=None, *, count=4):
    mu, tau = numpyro.sample("mu", dist.Normal(0.0, 5.0)), numpyro.sample("tau", dist.HalfNormal(2.0))
    with numpyro.plate("group", count):
        effect = numpyro.sample("effect", dist.Normal(mu, tau))
        numpyro.deterministic("centred", effect - mu)
    with numpyro.plate("row", len(x)):
        mean = numpyro.deterministic("mean", effect[group] + x)
        numpyro.sample("y", dist.Normal(mean, 1.0), obs=y)


DATA = {"x": X, "group": GROUP, "y": Y}
BATCH = jl.batch({"a": DATA, "b": {**DATA, "y": Y + 10}})
LABELS = {"group": list("ABCD")}


@pytest.fixture(scope="module")
def one():
    return jl.fit(jl.from_numpyro(hierarchy, X, GROUP, y=Y), None, NUTS, seed=0, coords=LABELS)


@pytest.fixture(scope="module")
def both():
    return jl.fit(jl.from_numpyro(hierarchy, BATCH, count=4), None, NUTS, seed=0, coords=LABELS)


@pytest.mark.parametrize("count", ["one", "both"])
def test_plates_are_dims(count, request):
    idata = request.getfixturevalue(count).to_arviz(predictions=1)
    lead = ("chain", "draw", "dataset") if count == "both" else ("chain", "draw")
    posterior, draws = idata["posterior"], idata["posterior_predictive"]
    assert posterior["effect"].dims == posterior["centred"].dims == (*lead, "group")
    assert posterior["mean"].dims == draws["y"].dims == idata["log_likelihood"]["y"].dims == (*lead, "row")
    assert idata["observed_data"]["y"].dims == (*lead[2:], "row")
    assert list(posterior.coords["group"].values) == list("ABCD")
    assert set(idata["constant_data"].data_vars) == {"x", "group"}
    np.testing.assert_allclose(posterior["centred"], posterior["effect"] - posterior["mu"], rtol=1e-4, atol=1e-5)


def test_nested_plates_and_events_have_their_axes():
    def nested(y):
        with numpyro.plate("column", 3):
            numpyro.sample("pair", dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)))
            mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
            with numpyro.plate("row", 6):
                numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)

    dims = jl.from_numpyro(nested, np.zeros((6, 3))).density.dims
    assert dims == {"pair": ("column", "pair_dim_1"), "mu": ("column",), "y": ("row", "column")}


def test_a_batch_of_its_data_is_a_batch(both, one):
    assert both.names == ("a", "b") and both.params["effect"].shape == (2, 2, 200, 4)
    assert both.derived["mean"].shape == both.predict(1)["y"].shape == (2, 2, 200, 20)
    posterior = both.posterior
    at = jnp.linspace(-1.0, 1.0, posterior.dim)
    alone = [jl.from_numpyro(hierarchy, X, GROUP, y).log_density(at) for y in (Y, Y + 10)]
    np.testing.assert_allclose(jax.vmap(lambda one: one.log_density(at))(posterior), alone, rtol=1e-6)
    check_same(both["a"].params["effect"], one.params["effect"])
    table = both.loo()
    np.testing.assert_allclose(table.loc["b", "elpd"], both["b"].loo().elpd, rtol=1e-4)
    assert list(table["n_observations"]) == [20, 20]


def test_leave_one_out_is_arviz_own(one):
    import arviz as az

    theirs = az.loo(one.to_arviz())
    assert abs(one.loo().elpd - float(getattr(theirs, "elpd_loo", getattr(theirs, "elpd", np.nan)))) < 0.05


@pytest.mark.parametrize("other", ["one", "both"])
def test_predictions_at_other_rows(other, request):
    fit = request.getfixturevalue(other)
    rows = {"x": np.array([0.0, 50.0]), "group": np.array([0, 3])}
    drawn = fit.predict(1, rows)["y"]
    assert drawn.shape == (*fit.positions.shape[:-1], 2)
    residual = drawn - fit.params["effect"][..., [0, 3]] - rows["x"]
    assert stats.kstest(residual.ravel(), "norm").pvalue > 1e-4
    if other == "both":
        paired = jl.batch({"a": rows, "b": {**rows, "x": rows["x"] + 100}})
        moved = fit.predict(1, paired)["y"] - drawn
        np.testing.assert_allclose(moved, np.broadcast_to([[[[0.0]]], [[[100.0]]]], moved.shape), atol=1e-3)


def only(x, group, /, y=None):
    hierarchy(x, group, y)


def spread(*rows):
    hierarchy(rows[0], rows[1], rows[2] if len(rows) > 2 else None)


@pytest.mark.parametrize(
    "posterior, names",
    [
        (lambda: jl.from_numpyro(only, X, GROUP, Y), ("x", "group")),
        (lambda: jl.from_numpyro(spread, X, GROUP, Y), ("rows_0", "rows_1")),
        (lambda: jl.from_numpyro(hierarchy, group=GROUP, x=X, y=Y), ("x", "group")),
    ],
    ids=["positional only", "any number", "keywords"],
)
def test_predictions_whatever_way_the_arguments_went(posterior, names, one):
    fit = jl.fit(posterior(), None, NUTS, seed=0)
    np.testing.assert_allclose(fit.params["mu"], one.params["mu"], rtol=1e-4, atol=1e-4)
    other = dict(zip(names, (X[:3], GROUP[:3]), strict=True))
    if names[0] == "rows_0":
        other["rows_2"] = Y[:3]
    assert fit.predict(1, other)["y"].shape == (2, 200, 3)


def test_data_without_names_are_refused(one, wrong_types):
    with pytest.raises(jl.InputError, match=r"a dict of arguments by name\n.*'x': ..., 'group': ..."):
        one.predict(1, (X[:3], GROUP[:3]))


def test_a_plate_that_draws_its_rows_is_refused():
    def some(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        with numpyro.plate("row", 20, subsample_size=5):
            numpyro.sample("y", dist.Normal(mu, 1.0), obs=numpyro.subsample(y, event_dim=0))

    for data in (Y, jl.batch([{"y": Y}, {"y": Y}])):
        with pytest.raises(jl.InputError, match=r"the plate 'row'\n.*5 of 20 rows(.|\n)*batch_size"):
            jl.from_numpyro(some, data)

    def whole(y):
        with numpyro.plate("row", 20, subsample_size=20):
            numpyro.sample("y", dist.Normal(numpyro.sample("mu", dist.Normal(0.0, 5.0).mask(True)), 1.0), obs=y)

    assert jl.from_numpyro(whole, Y).dim


def test_a_sampler_is_no_model(wrong_types):
    from numpyro.infer import MCMC
    from numpyro.infer import NUTS as Kernel

    kernel = Kernel(lambda y: numpyro.sample("y", dist.Normal(0.0, 1.0), obs=y))
    for other in (kernel, MCMC(kernel, num_warmup=1, num_samples=1)):
        with pytest.raises(jl.InputError, match=f"type {type(other).__name__}\n(.|\n)*the function that"):
            jl.from_numpyro(other, Y)


def test_a_model_without_observations_is_told_to_be_its_prior():
    def forgotten(x, y=None):
        numpyro.sample("y", dist.Normal(numpyro.sample("mu", dist.Normal(0.0, 5.0)) * x, 1.0), obs=y)

    with pytest.warns(UserWarning, match="the posterior is the prior of mu, y"):
        jl.from_numpyro(forgotten, Y)


def test_a_factor_is_no_observation():
    def penalised(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.factor("penalty", -10 * (mu - 1) ** 2)
        with numpyro.handlers.mask(mask=True):
            numpyro.factor("other", 0 * mu)
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)

    posterior = jl.from_numpyro(penalised, Y)
    exact = stats.norm.logpdf(0.3) - 4.9 + stats.norm.logpdf(Y, 0.3).sum()
    np.testing.assert_allclose(posterior.log_density(jnp.array([0.3])), exact, rtol=1e-5)
    fit = jl.fit(posterior, None, NUTS, seed=0)
    assert set(fit.log_likelihood()) == {"y"} and fit.loo().n_observations == 20
    assert set(fit.to_arviz(predictions=1)["observed_data"].data_vars) == {"y"}
    np.testing.assert_allclose(fit.score(), fit.log_likelihood()["y"].mean(-1), rtol=1e-4)


def _states(y, plate):
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0).expand([2]).to_event(1))
    labels, parts = jnp.array([0.4, 0.6]), dist.Normal(mu, 1.0)
    if y.ndim == 1:
        d = dist.MixtureSameFamily(dist.Categorical(labels), parts)
    else:
        d = jl.HiddenMarkov(labels, jnp.array([[0.9, 0.1], [0.2, 0.8]]), parts)
    if not plate:
        numpyro.sample("y", d, obs=y)
        return
    with numpyro.plate("unit", len(y)):
        numpyro.sample("y", d, obs=y)


@pytest.mark.parametrize("plate", [False, True], ids=["broadcast", "plate"])
@pytest.mark.parametrize("shape", [(8,), (2, 4)], ids=["mixture", "sequences"])
def test_hidden_states_and_counts_of_values_are_those_of_the_same_model(shape, plate):
    """A distribution that is the same for all values or steps has no shape of its own: a sequence counted as one value."""
    y = RNG.normal(size=shape)
    labels, parts = jnp.array([0.4, 0.6]), lambda p: dist.Normal(p.mu, 1.0)
    hidden = {
        1: lambda p: dist.MixtureSameFamily(dist.Categorical(labels), parts(p)),
        2: lambda p: jl.HiddenMarkov(labels, jnp.array([[0.9, 0.1], [0.2, 0.8]]), parts(p)),
    }[len(shape)]
    model = jl.Model({"mu": dist.Normal(0.0, 5.0).expand([2]).to_event(1)}, lambda p, d: {"y": hidden(p)})
    engine, start = jl.Optimize(restarts=1), {"mu": np.array([[-1.0, 1.0]])}
    theirs = jl.fit(jl.from_numpyro(_states, y, plate), None, engine, seed=0, init=start).best()
    ours = jl.fit(model, {"y": y}, engine, seed=0, init=start).best()
    for ask in (
        lambda r: r.score(),
        lambda r: r.criteria()["bic"],
        lambda r: r.criteria()["icl"],
        lambda r: r.smooth()["y"],
    ):
        np.testing.assert_allclose(ask(theirs), ask(ours), rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(ours.score() * 8, sum(np.sum(x) for x in ours.log_likelihood().values()), rtol=1e-4)
    assert theirs.conditional().log_score().shape == shape[:1]
