"""`Result.check`: it names what was planted in sick models, and says nothing of healthy ones."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from often import often

import jaxlatent as jl

NUTS = jl.NUTS(chains=4, warmup=500, draws=1000)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 2))
Y = X @ [1.0, -0.5] + 0.3 + RNG.normal(size=80)
SCHOOLS = {
    "y": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
    "error": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
}
TWO = np.where(RNG.random(150) < 0.4, RNG.normal(-3, 1, 150), RNG.normal(3, 1, 150))


def real(scale, *shape):
    return dist.Normal(0.0, scale).expand(shape).to_event(len(shape))


def line(prior_of_slopes, noise=None):
    """A linear regression of ``y`` on the columns of ``x``."""
    return jl.Model(
        prior={"intercept": real(5.0), "slopes": prior_of_slopes, "sigma": noise or dist.HalfNormal(5.0)},
        likelihood=lambda p, d: {"y": dist.Normal(p.intercept + d.x @ p.slopes, p.sigma)},
    )


def logistic(scale):
    return jl.Model(
        prior={"intercept": real(scale), "slope": real(scale)},
        likelihood=lambda p, d: {"y": dist.Bernoulli(logits=p.intercept + p.slope * d.x)},
    )


def schools(around):
    return jl.Model(
        prior={
            "mu": real(5.0),
            "tau": dist.HalfCauchy(5.0),
            "theta": lambda p: around(dist.Normal(p.mu, p.tau).expand([8]).to_event(1)),
        },
        likelihood=lambda p, d: {"y": dist.Normal(p.theta, d.error)},
    )


def mixture(means):
    def likelihood(p, d):
        parts = dist.Normal(jnp.broadcast_to(p.means, (*d.y.shape, 2)), 1.0)
        return {"y": dist.MixtureSameFamily(dist.Categorical(jnp.broadcast_to(p.share, parts.batch_shape)), parts)}

    return jl.Model(prior={"share": dist.Dirichlet(jnp.ones(2)), "means": means}, likelihood=likelihood)


def mean(prior, sd=1.0):
    return jl.Model(prior={"mu": prior}, likelihood=lambda p, d: {"y": dist.Normal(p.mu, sd).expand([20])})


TWO_MODES = jl.Model(
    prior={"mu": dist.Normal(0.0, 10.0)},
    likelihood=lambda p, d: {"y": dist.Normal(jnp.abs(p.mu), 0.1).expand([20])},
)
SEPARATED = {"x": np.r_[-2.0:-1.0:20j, 1.0:2.0:20j], "y": np.repeat([0, 1], 20)}
MIXED = {"x": RNG.normal(size=100), "y": RNG.integers(0, 2, 100)}
FIVE = {"y": RNG.normal(5.0, 1.0, 20)}

#: By illness: the model, its data, the engine, settings of the fit, and a label that the page must name.
SICK = {
    # Bold steps: at the usual ones the share of divergences is small in some runs.
    "divergences": (
        schools(jl.centred),
        SCHOOLS,
        jl.NUTS(chains=4, warmup=500, draws=1000, target_accept=0.6),
        {},
        "tau",
    ),
    "unidentified": (
        jl.Model(
            prior={"a": real(100.0), "b": real(100.0)},
            likelihood=lambda p, d: {"y": dist.Normal(p.a + p.b, 1.0).expand([20])},
        ),
        FIVE,
        NUTS,
        {},
        "a",
    ),
    "label switching": (mixture(real(5.0, 2)), {"y": TWO}, NUTS, {}, "means"),
    "too few draws": (line(real(5.0, 2)), {"x": X, "y": Y}, jl.NUTS(chains=4, warmup=500, draws=30), {}, "sigma"),
    "stuck chain": (TWO_MODES, FIVE, NUTS, {"init": {"mu": np.array([-5.0, 5.0, 5.0, 5.0])}}, "chain 0"),
    "wrong support": (mean(dist.Uniform(0.0, 3.0)), FIVE, NUTS, {}, "mu"),
    "prior against data": (mean(dist.Normal(0.0, 0.5)), FIVE, NUTS, {}, "mu"),
    "heavy tail": (
        jl.Model(
            # Without a mean: the tail index is 2, which its estimate cannot miss.
            prior={"scale": dist.InverseGamma(0.5, 0.5), "mu": real(5.0)},
            likelihood=lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand([20])},
        ),
        FIVE,
        NUTS,
        {},
        "scale",
    ),
    "separation": (logistic(50.0), SEPARATED, NUTS, {}, "slope"),
    "duplicate predictor": (line(real(5.0, 2)), {"x": X[:, [0, 0]], "y": Y}, NUTS, {}, "x[:, 1]"),
}

HEALTHY = {
    "line": (line(real(5.0, 2)), {"x": X, "y": Y}),
    "mean": (mean(dist.Normal(0.0, 10.0)), FIVE),
    "logistic": (logistic(2.0), MIXED),
    "schools": (schools(jl.noncentred), SCHOOLS),
    "ordered mixture": (mixture(jl.ordered(real(5.0, 2))), {"y": TWO}),
    "coin": (
        jl.Model(prior={"p": dist.Beta(1.0, 1.0)}, likelihood=lambda p, d: {"y": dist.Binomial(10, p.p)}),
        {"y": np.array(0)},
    ),
    "counts": (
        jl.Model(
            prior={"a": real(2.0), "b": real(1.0)},
            likelihood=lambda p, d: {"y": dist.Poisson(jnp.exp(p.a + p.b * d.x))},
        ),
        {"x": X[:, 0], "y": RNG.poisson(np.exp(0.5 + 0.4 * X[:, 0]))},
    ),
    "groups": (
        jl.Model(
            prior={
                "mu": real(5.0),
                "tau": dist.HalfNormal(2.0),
                "means": lambda p: jl.noncentred(dist.Normal(p.mu, p.tau).expand([10]).to_event(1)),
                "sigma": dist.HalfNormal(2.0),
            },
            likelihood=lambda p, d: {"y": dist.Normal(p.means[d.group], p.sigma)},
        ),
        {"group": np.repeat(np.arange(10), 8), "y": np.repeat(RNG.normal(1, 1, 10), 8) + RNG.normal(size=80)},
    ),
    "robust line": (
        jl.Model(
            prior={"a": real(5.0), "b": real(5.0), "sigma": dist.Exponential(1.0)},
            likelihood=lambda p, d: {"y": dist.StudentT(4.0, p.a + p.b * d.x, p.sigma)},
        ),
        {"x": X[:, 0], "y": Y},
    ),
    "proportions": (
        jl.Model(
            prior={"p": dist.Beta(2.0, 2.0).expand([4]).to_event(1)},
            likelihood=lambda p, d: {"y": dist.Binomial(d.total, p.p)},
            derived=lambda p, d: {"contrast": p.p[0] - p.p[1]},
        ),
        {"total": np.array([20, 30, 25, 40]), "y": np.array([5, 18, 10, 30])},
    ),
}


@pytest.mark.parametrize("illness", often(SICK, {"duplicate predictor"}))
def test_the_planted_illness_is_named(illness):
    model, data, engine, settings, label = SICK[illness]
    report = jl.fit(model, data, engine, seed=1, **settings).check()
    assert illness in report.illnesses, repr(report)
    where = next(finding.where for finding in report.findings if finding.illness == illness)
    assert any(label in place for place in where), where
    assert illness.upper() in str(report)


@pytest.fixture(scope="module")
def healthy():
    """Fits of healthy models, by name, each made once."""

    @cache
    def fit(name):
        # With a thousand draws the groups' mean has too few for two seeds of six, and the report says so.
        return jl.fit(*HEALTHY[name], replace(NUTS, draws=2000), seed=2)

    return fit


@pytest.mark.parametrize("name", often(HEALTHY, {"schools", "mean"}))
def test_nothing_is_said_of_the_healthy(name, healthy):
    report = healthy(name).check()
    assert not report and str(report) == "", str(report)


def test_an_approximation_that_misses_is_named_and_nothing_else_is_said_of_its_draws():
    report = jl.fit(*HEALTHY["schools"], jl.Laplace(), seed=1).check()
    assert report.illnesses == ("bad k-hat",), repr(report)


def test_lanes_that_ended_early_are_named():
    model, data = HEALTHY["mean"]
    report = jl.fit(model, data, jl.Optimize(max_iter=1, restarts=2), seed=1).check()
    assert report.illnesses == ("max iterations",) and report.findings[0].where == ("lane 0", "lane 1")


def test_restarts_of_an_approximation_in_two_modes_are_no_chains():
    fit = jl.fit(TWO_MODES, FIVE, jl.ADVI(restarts=4), 1, init={"mu": np.array([-5.0, 5.0, 5.0, 5.0])})
    assert np.unique(np.sign(fit.params["mu"])).size == 2 and not fit.check(), repr(fit.check())


def test_a_chain_in_a_mode_without_mass_is_told_by_how_much():
    """The data cannot tell the sign of ``mu``, the prior can; a few nats more and warm-up would have moved the chain."""
    model = jl.Model(
        prior={"mu": dist.Normal(4.0, 1.9)},
        likelihood=lambda p, d: {"y": dist.Normal(jnp.abs(p.mu), 0.1).expand([20])},
    )
    fit = jl.fit(model, FIVE, NUTS, 1, init={"mu": np.array([5.0, -5.0, 5.0, 5.0])})
    (finding,) = fit.check().findings
    size = np.abs(fit.params["mu"]).mean()
    nats = ((4 + size) ** 2 - (4 - size) ** 2) / 2 / 1.9**2
    assert finding.illness == "stuck chain" and f"chain 1 is {nats:.0f} nats below" in finding.what, finding.what
    assert "init=result.best()" in finding.remedy


def test_shares_that_sum_to_one_are_no_news_under_an_improper_prior():
    model = jl.Model(
        prior={"shares": dist.Dirichlet(jnp.ones(2)), "mu": dist.ImproperUniform(dist.constraints.real, (), ())},
        likelihood=lambda p, d: {
            "y": dist.Normal(p.mu, 1.0).expand([20]),
            "counts": dist.Multinomial(30, p.shares),
        },
    )
    report = jl.fit(model, FIVE | {"counts": np.array([12, 18])}, NUTS, seed=1).check()
    assert not report, repr(report)


def test_a_chain_that_failed_is_named_and_the_others_are_looked_at(healthy):
    fit = healthy("mean")
    nothing = lambda x: np.where(np.arange(4).reshape(-1, *(1,) * (x.ndim - 1)) == 1, np.nan, x)
    status = np.array([jl.Status.OK, jl.Status.NON_FINITE, jl.Status.OK, jl.Status.OK])
    params = {"mu": nothing(fit.params["mu"])}
    broken = replace(fit, unconstrained={"position": nothing(fit.positions)}, params=params, status=status)
    assert broken.check().illnesses == ("non finite",)


def test_chains_that_never_moved_are_named(healthy):
    fit = healthy("mean")
    still = replace(fit, unconstrained={"position": 0 * fit.positions}, params={"mu": 0 * fit.params["mu"]})
    assert still.check().illnesses == ("no movement",)


def test_a_bare_log_density_is_checked_too():
    posterior = jl.from_log_density(lambda p: -0.5 * jnp.sum(p["x"] ** 2), {"x": jnp.zeros(2)})
    assert not jl.fit(posterior, engine=jl.NUTS(warmup=300, draws=500), data=None, seed=1).check()


@pytest.mark.parametrize(("x", "y", "where"), [(2000.0, 0.0, "x[:, 0]"), (0.0, 1e4, "y"), (0.0, 0.0, None)])
def test_what_a_network_meets_far_from_unit_scale_is_named(x, y, where):
    rng = np.random.default_rng(0)
    data = {"x": x + rng.normal(size=(50, 1)), "y": y + rng.normal(size=50)}
    report = jl.fit(
        jl.models.mixture_density_network(2, 1, hidden=(3,)), data, jl.Optimize(max_iter=20), seed=0
    ).check()
    named = [finding.where for finding in report.findings if finding.illness == "data far from unit scale"]
    assert named == ([(where,)] if where else [])


@pytest.mark.parametrize(("name", "most"), [("schools", 12), ("ordered mixture", 3)])
def test_the_first_look_at_a_result_compiles_next_to_nothing(name, most, healthy):
    """Prior draws, or memberships, are one program, beside keys, copies and bounds. Operation by operation there were many more."""
    result = jl.fit(*HEALTHY[name], jl.EM(restarts=2), seed=1) if name == "ordered mixture" else healthy(name)
    seen = []
    listen = lambda event, *_, **__: seen.append(event) if event.endswith("backend_compile_duration") else None
    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        if result.has_draws:
            result.summary()
            assert not seen
        result.check()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert len(seen) <= most, len(seen)
