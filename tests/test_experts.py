"""Mixtures of experts: EM climbs, agrees with direct maximisation, and finds what the data came from."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from often import often
from sklearn.linear_model import LogisticRegression

import jaxlatent as jl
from jaxlatent.data.namespace import Namespace
from jaxlatent.datasets import inverse_problem
from jaxlatent.latent import Expected
from jaxlatent.models import Gate, emissions, mixture_of_experts

DATA = inverse_problem(300).data
MODEL = mixture_of_experts(
    3, 1, emissions.HeteroscedasticRegression(1, prior_scale=5.0, floor=0.01), Gate(1, prior_scale=5.0)
)


@pytest.fixture(scope="module")
def em():
    return jl.fit(MODEL, DATA, jl.EM(restarts=4), seed=0)


def test_em_never_falls_and_every_restart_finds_the_same_top(em):
    assert np.nanmin(np.diff(em.trace, axis=1)) > -2e-3
    assert np.ptp(em.objective) < 0.05
    assert em.agreeing() == 4 and "4 reached the best objective" in repr(em)
    slopes = np.sort(em.best().params["weights"].ravel())
    # The middle branch of the curve runs back.
    assert slopes[0] < -0.5 < 0.2 < slopes[1]


@pytest.mark.slow
def test_gradients_agree_that_it_is_the_top(em):
    with jax.enable_x64(True):
        posterior = jl.condition(MODEL, {name: value.astype(float) for name, value in DATA.items()})
        start = {name: np.asarray(value, float) for name, value in em.best().params.items()}
        top = jl.fit(MODEL, DATA, jl.Optimize(standard_errors=False), seed=0, init=start)
        assert top.objective[0] == pytest.approx(em.best().objective, abs=0.02)
        density = posterior.log_density(posterior.unconstrain(start), jacobian=False)
    assert density == pytest.approx(em.best().objective, rel=1e-5)


def test_the_density_is_that_of_a_mixture_written_out(em):
    p = em.best().params
    x, y = DATA["x"], DATA["y"]
    logits = x @ p["gate_weights"].T + p["gate_biases"]
    weights = np.exp(logits - logits.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    means = x @ p["weights"].T + p["biases"]
    scales = np.exp(x @ p["scale_weights"].T + p["scale_biases"]) + 0.01
    normal = np.exp(-0.5 * ((y[:, None] - means) / scales) ** 2) / scales / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(em.best().log_likelihood()["y"], np.log((weights * normal).sum(1)), atol=2e-4)
    np.testing.assert_allclose(
        em.best().smooth()["y"], weights * normal / (weights * normal).sum(1, keepdims=True), atol=2e-4
    )


def test_the_hessian_is_that_of_numpyro_s_mixture():
    """Compiled: a program may compute the logits twice, and round them differently."""
    posterior = jl.condition(MODEL, DATA)
    x, y = jnp.asarray(DATA["x"]), jnp.asarray(DATA["y"])

    def theirs(position):
        p = posterior.constrain(position)
        lines = lambda name: x @ p[f"{name}weights"].T + p[f"{name}biases"]
        scales = jnp.exp(lines("scale_")) + 0.01
        mixture = dist.MixtureSameFamily(dist.Categorical(logits=lines("gate_")), dist.Normal(lines(""), scales))
        return mixture.log_prob(y).sum() + posterior.density.log_prior(p, posterior.data)

    position = 0.5 * jax.random.normal(jax.random.key(0), (posterior.dim,))
    ours, theirs = (jax.jit(jax.hessian(density))(position) for density in (posterior.log_density, theirs))
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def test_a_gate_under_hard_labels_is_multinomial_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    labels = np.argmax(x @ rng.normal(size=(2, 3)) + rng.gumbel(size=(400, 3)), 1)
    theirs = LogisticRegression(C=4.0, fit_intercept=False, tol=1e-10).fit(np.column_stack([x, np.ones(400)]), labels)
    (update,) = Gate(2, prior_scale=2.0).m_step().values()
    expected = Expected(jnp.zeros(()), jax.nn.one_hot(labels, 3))
    p = {"gate_weights": jnp.zeros((3, 2)), "gate_biases": jnp.zeros(3)}
    step = jax.jit(lambda p: update(Namespace("parameter", p), Namespace("data", {"x": jnp.asarray(x)}), expected))
    for _ in range(5):
        weights, biases = step(p)
        p = {"gate_weights": weights, "gate_biases": biases}
    np.testing.assert_allclose(np.column_stack([weights, biases]), theirs.coef_, atol=2e-3)


EXPERTS = {
    "Bernoulli": (emissions.BernoulliRegression(1, prior_scale=5.0), lambda eta: dist.Bernoulli(logits=4 * eta)),
    "Poisson": (emissions.PoissonRegression(1, prior_scale=5.0), lambda eta: dist.Poisson(jnp.exp(1 + eta))),
}


@pytest.mark.parametrize("name", often(EXPERTS, set()))
def test_experts_on_events_and_counts(name):
    experts, family = EXPERTS[name]
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, (500, 1))
    # One rule on the left, its opposite on the right.
    y = np.asarray(family(jnp.where(x[:, 0] < 0, x[:, 0] + 1, 1 - x[:, 0])).sample(jax.random.key(2)))
    model = mixture_of_experts(2, 1, experts)
    em = jl.fit(model, {"x": x, "y": y}, jl.EM(restarts=6), seed=0)
    assert np.nanmin(np.diff(em.trace, axis=1)) > -1e-2
    slopes = np.sort(em.best().params["weights"].ravel())
    assert slopes[0] < -0.5 and slopes[1] > 0.5


def test_inputs_of_the_wrong_shape_are_told():
    with pytest.raises(jl.InputError, match=r"give x\[..., None\]"):
        jl.fit(MODEL, {"x": DATA["x"][:, 0], "y": DATA["y"]}, jl.EM(), seed=0)


def test_iterative_linear_regression_is_hard_em_with_everything_else_held():
    """X1 of the systems: lines by k-means of residuals, against the loop written out."""
    x, y = DATA["x"][:, 0], DATA["y"]
    labels = np.where(x < 0.3, 0, np.where(x > 0.7, 2, np.random.default_rng(0).integers(0, 3, len(x))))

    def lines(labels):
        return np.array([np.polyfit(x[labels == k], y[labels == k], 1) for k in range(3)])

    model = jl.fix(jl.models.regression_mixture(3, 1), mixture_weights=np.full(3, 1 / 3), covs=np.full(3, 0.01))
    first = lines(labels)
    init = {"weights": first[:, :1], "biases": first[:, 1]}
    em = jl.fit(model, DATA, jl.EM(restarts=1, e_step="hard", max_iter=8, tol=0.0), seed=0, init=init)
    for _ in range(8):
        labels = np.argmin((y[:, None] - x[:, None] * first[:, 0] - first[:, 1]) ** 2, 1)
        first = lines(labels)
    np.testing.assert_allclose(
        np.column_stack([em.params["weights"][0, :, 0], em.params["biases"][0]]), first, atol=1e-3
    )
    # The labels that made these lines are those of the step before; eight steps are enough to settle.
    assert np.mean(em.most_likely_states()["y"][0] == labels) > 0.99


@pytest.mark.slow
def test_nuts_agrees_with_linear_response(em):
    nuts = jl.fit(MODEL, DATA, jl.NUTS(chains=2, warmup=500, draws=500), seed=1, init=em)
    assert np.all(nuts.summary(["weights", "biases"])["r_hat"] < 1.03)
    linear = jl.fit(MODEL, DATA, jl.DADVI(num_samples=100), seed=1, init=em.best().params)
    for name in ("weights", "biases"):
        draws, drawn = nuts.params[name].reshape(-1, 3), linear.params[name].reshape(-1, 3)
        np.testing.assert_allclose(drawn.mean(0), draws.mean(0), atol=0.5 * draws.std(0).max())
        np.testing.assert_allclose(drawn.std(0), draws.std(0), rtol=0.35)


@pytest.mark.slow
def test_fixed_draws_reach_the_best_bound_in_a_hundred_evaluations():
    """Where plain L-BFGS took 677 to 898. Stochastic gradients end at 856 too, PyMC's at 852."""
    engine = jl.DADVI(restarts=4, linear_response=False)
    with pytest.warns(UserWarning, match="k-hat"):
        fixed = jl.fit(MODEL, inverse_problem().data, engine, seed=0)
    # Each lane has fixed draws of its own, and its bound is measured on a thousand fresh ones: of 32 lanes, a mean of 855.2 and a
    # standard deviation of 0.9. Four are off by 4.5 standard errors once in 150,000 keys, and none falls short by six nats.
    assert abs(fixed.objective.mean() - 855.2) < 4.5 * 0.9 / 2 and fixed.agreeing(within=6.0) == 4
    assert fixed.statistics["n_steps"].max() < 300


@pytest.mark.slow
def test_mean_field_advi_reaches_the_best_bound_from_nearly_every_seed():
    """X2: other libraries reach 825 from some seeds, 409 or 63 from others."""
    data = inverse_problem().data
    bounds = [jl.fit(MODEL, data, jl.ADVI(), seed=seed).best().trace[-1000:].mean() for seed in range(20)]
    assert np.sum(np.array(bounds) >= 825) >= 19, bounds
