"""Models and posteriors against expressions written out; laws that hold for every prior in every coordinates.

Everything in 64 bits, so that a wrong term cannot hide behind rounding.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints
from numpyro.infer.util import potential_energy
from often import often
from scipy import stats

import jaxlatent as jl
from jaxlatent._compat.compiled import compiled

pytestmark = pytest.mark.usefixtures("x64")

X = np.array([-1.0, 0.5, 2.0, 0.0])
Y = np.array([0.3, 1.2, 2.4, -0.5])
DATA = {"y": Y, "x": X, "scale": 1.5}
PARAMS = {"a": 0.7, "b": np.array([0.2, -1.1]), "sigma": 0.8}


def regression(**options):
    return jl.Model(
        {
            "a": dist.Normal(0.0, 2.0),
            "b": lambda p: dist.Normal(p.a, 0.5).expand([2]).to_event(1),
            "sigma": lambda p, d: dist.HalfNormal(d.scale),
        },
        lambda p, d: {"y": dist.Normal(p.a + p.b[0] * d.x + p["b"][1] * d["x"] ** 2, p.sigma)},
        derived=lambda p, d: {"mean": p.a + p.b[0] * d.x, "ratio": p.b[0] / p.b[1]},
        **options,
    )


def predictor(params, x=X):
    return params["a"] + params["b"][0] * x + params["b"][1] * x**2


def log_prior_by_hand(params):
    return (
        stats.norm.logpdf(params["a"], 0, 2)
        + stats.norm.logpdf(params["b"], params["a"], 0.5).sum()
        + stats.halfnorm.logpdf(params["sigma"], scale=1.5)
    )


# --- model ------------------------------------------------------------------------------------------------------------


def test_log_prior_and_pointwise_log_likelihood_are_those_written_out():
    model = regression()
    prior, terms = jax.jit(lambda p, d: (model.log_prior(p, d), model.log_likelihood(p, d)))(PARAMS, DATA)
    np.testing.assert_allclose(prior, log_prior_by_hand(PARAMS), rtol=1e-12)
    assert terms.keys() == {"y"}
    np.testing.assert_allclose(terms["y"], stats.norm.logpdf(Y, predictor(PARAMS), PARAMS["sigma"]), rtol=1e-12)


def test_the_posterior_is_prior_times_likelihood_times_jacobian():
    posterior = jl.condition(regression(), DATA)

    @jax.jit
    def evaluate(params):
        position = posterior.unconstrain(params)
        densities = (posterior.log_density(position, jacobian=jacobian) for jacobian in (False, True))
        return position, posterior.constrain(position), *densities

    position, params, without, density = evaluate(PARAMS)
    assert posterior.dim == 4 and position.shape == (4,)
    for name, value in params.items():
        np.testing.assert_allclose(value, PARAMS[name], rtol=1e-12)
    joint = log_prior_by_hand(PARAMS) + stats.norm.logpdf(Y, predictor(PARAMS), PARAMS["sigma"]).sum()
    np.testing.assert_allclose(without, joint, rtol=1e-12)
    # sigma = exp(z): the Jacobian is sigma itself
    np.testing.assert_allclose(density, joint + np.log(PARAMS["sigma"]), rtol=1e-12)


def test_derived_quantities_are_those_written_out():
    derived = jax.jit(regression().deterministic)(PARAMS, DATA)
    np.testing.assert_allclose(derived["mean"], PARAMS["a"] + PARAMS["b"][0] * X, rtol=1e-12)
    np.testing.assert_allclose(derived["ratio"], PARAMS["b"][0] / PARAMS["b"][1], rtol=1e-12)


def test_prior_draws_follow_the_prior_and_predictive_draws_the_likelihood():
    # Kolmogorov-Smirnov on independent draws: each test raises a false alarm once in 10,000 keys.
    params, derived, observed = jl.sample_prior(regression(), {"x": X, "scale": 1.5}, 4000, 3)[:3]
    assert params["b"].shape == (4000, 2) and observed["y"].shape == (4000, 4) and derived["mean"].shape == (4000, 4)
    a, b, sigma = (np.asarray(params[name]) for name in ("a", "b", "sigma"))
    assert stats.kstest(a, stats.norm(0, 2).cdf).pvalue > 1e-4
    assert stats.kstest((b[:, 0] - a) / 0.5, "norm").pvalue > 1e-4
    assert stats.kstest((b[:, 1] - a) / 0.5, "norm").pvalue > 1e-4
    assert stats.kstest(sigma, stats.halfnorm(scale=1.5).cdf).pvalue > 1e-4
    assert abs(stats.spearmanr(b[:, 0] - a, b[:, 1] - a).statistic) < 4 / np.sqrt(4000)
    mean = a[:, None] + b[:, :1] * X + b[:, 1:] * X**2
    residual = (np.asarray(observed["y"]) - mean) / sigma[:, None]
    for column in residual.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    np.testing.assert_allclose(derived["mean"], a[:, None] + b[:, :1] * X, rtol=1e-12)


def test_prior_draws_keep_dims_and_coords_in_arviz():
    model = jl.Model(
        {"b": dist.Normal().expand([2]).to_event(1)},
        lambda p, d: {"y": dist.Normal(d.x @ p.b, 1.0)},
        lambda p, d: {"sum": p.b.sum()},
        dims={"b": ("column",), "y": ("row",)},
    )
    prior = jl.sample_prior(model, {"x": np.ones((3, 2))}, 5, 0)
    idata = prior.to_arviz({"row": ["first", "second", "third"]})
    assert idata["prior"]["b"].dims == ("chain", "draw", "column") and idata["prior"]["sum"].shape == (1, 5)
    y = idata["prior_predictive"]["y"]
    assert y.dims == ("chain", "draw", "row") and list(y["row"].values) == ["first", "second", "third"]
    np.testing.assert_array_equal(y.values[0], prior.observed["y"])


def test_prior_draws_are_reproducible_and_differ_by_key():
    model = jl.Model({"a": dist.Normal()})
    draw = lambda seed: jl.sample_prior(model, {}, 5, seed).params["a"]
    np.testing.assert_array_equal(draw(0), draw(0))
    assert (np.asarray(draw(0)) != np.asarray(draw(1))).all()


def test_models_are_equal_by_key_and_otherwise_by_identity():
    one, two = regression(), regression()
    assert one == one and one != two and hash(one) != hash(two)
    keyed = [regression(key=("regression", size)) for size in (2, 2, 3)]
    assert keyed[0] == keyed[1] and hash(keyed[0]) == hash(keyed[1]) and keyed[0] != keyed[2]
    assert keyed[0] != one and one != keyed[0] and one != "regression"


def test_a_missing_name_tells_what_is_there():
    seen = {}

    def likelihood(p, d):
        seen["p"], seen["d"] = p, d
        return {"y": dist.Normal(p.a, 1.0)}

    jl.Model({"alpha": dist.Normal(), "a": dist.Normal()}, likelihood).observed({"alpha": 1.0, "a": 2.0}, {"y": Y})
    p, d = seen["p"], seen["d"]
    with pytest.raises(
        AttributeError, match=r"no parameter 'alhpa' here \(there are: alpha, a\); did you mean 'alpha'"
    ):
        p.alhpa  # noqa: B018
    with pytest.raises(KeyError, match="no data 'z' here"):
        d["z"]
    with pytest.raises(AttributeError, match="cannot be assigned"):
        p.alpha = 3.0
    assert dict(p) == {"alpha": 1.0, "a": 2.0} and list(d) == ["y"] and len(p) == 2


def test_a_prior_sees_earlier_parameters_only():
    model = jl.Model({"b": lambda p: dist.Normal(p.a, 1.0), "a": dist.Normal(0.0, 1.0)})
    with pytest.raises(AttributeError, match="no earlier parameter 'a' here"):
        model.sample_prior(jax.random.key(0))


def test_a_callable_may_have_options_of_its_own():
    model = jl.Model({"a": dist.Normal(), "b": lambda p, width=2.0: dist.Normal(p.a, width)})
    np.testing.assert_allclose(
        jax.jit(model.log_prior)({"a": 0.5, "b": 1.0}),
        stats.norm.logpdf(0.5) + stats.norm.logpdf(1.0, 0.5, 2.0),
        rtol=1e-12,
    )


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize("prior", [{}, {"a": 3.0}, {"a": None}])
def test_priors_are_distributions(prior):
    with pytest.raises(jl.InputError, match="prior"):
        jl.Model(prior)


def test_a_callable_returns_a_distribution():
    with pytest.raises(jl.InputError, match="prior of 'a'"):
        jl.Model({"a": lambda p: 3.0}).log_prior({"a": 1.0})


# --- coordinates ------------------------------------------------------------------------------------------------------

COVARIANCE = np.array([[1.5, 0.6, 0.1], [0.6, 0.9, -0.2], [0.1, -0.2, 0.5]])
MATRICES = np.stack([np.diag([0.0, 1.0, 4.0]), np.linalg.inv(COVARIANCE)])
CENTRES, SCALES = np.array([0.5, -1.0, 2.0]), np.array([0.5, 1.0, 3.0])

#: Priors of every kind of support, made inside a test so that their parameters have 64 bits.
PLAIN = {
    "real": lambda: dist.Normal(1.0, 2.0),
    "vector": lambda: dist.Normal(CENTRES, 2.0).to_event(1),
    "batch": lambda: dist.Normal(0.0, 1.0).expand([2, 2]),
    "positive": lambda: dist.Gamma(2.0, 3.0),
    "positives": lambda: dist.HalfCauchy(2.0).expand([3]).to_event(1),
    "unit interval": lambda: dist.Beta(2.0, 5.0),
    "interval": lambda: dist.Uniform(-1.0, 4.0),
    "above 2": lambda: dist.Pareto(2.0, 3.0),
    "truncated": lambda: dist.TruncatedNormal(0.0, 1.0, low=-0.5),
    "simplex": lambda: dist.Dirichlet(np.array([1.0, 2.0, 3.0])),
    "simplices": lambda: dist.Dirichlet(np.ones(3)).expand([2]),
    "ordered": lambda: dist.TransformedDistribution(
        dist.Normal(0.0, 1.0).expand([3]).to_event(1), dist.transforms.OrderedTransform()
    ),
    "correlation factor": lambda: dist.LKJCholesky(3, 2.0),
    "correlation": lambda: dist.LKJ(3, 2.0),
    "flat": lambda: dist.ImproperUniform(constraints.real, (), (2,)),
    "flat positive": lambda: dist.ImproperUniform(constraints.positive, (), ()),
}

EFFECTS = {
    "normal": lambda: dist.Normal(0.7, 1.8).expand([3]).to_event(1),
    "normals": lambda: dist.Normal(CENTRES, SCALES),
    "matrix": lambda: dist.Normal(CENTRES, 1.7).expand([2, 3]).to_event(2),
    "student": lambda: dist.StudentT(np.array([3.0, 4.0, 9.0]), 0.7, 1.8).to_event(1),
    "student, expanded": lambda: dist.StudentT(4.0, 0.7, 1.8).expand([2, 3]).to_event(1),
    "gumbel": lambda: dist.Gumbel(0.7, 1.8).expand([3]),
    "multivariate": lambda: dist.MultivariateNormal(CENTRES, COVARIANCE).expand([2]).to_event(1),
    "one vector": lambda: dist.MultivariateNormal(CENTRES, COVARIANCE),
}


def centrings(effect):
    shape = effect.shape()
    weights = np.linspace(0.0, 1.0, np.prod(shape)).reshape(shape)
    estimate, precision = np.sin(np.arange(np.prod(shape))).reshape(shape), 3.0 * weights
    forms = {
        "centred": jl.centred(effect),
        "noncentred": jl.noncentred(effect),
        "partially centred 0": jl.partially_centred(effect, 0.0),
        "partially centred 0.3": jl.partially_centred(effect, 0.3),
        "partially centred 1": jl.partially_centred(effect, 1.0),
        "partially centred by weights": jl.partially_centred(effect, weights),
        "informed": jl.informed(effect, estimate, precision),
        "informed by nothing": jl.informed(effect, estimate, np.zeros(shape)),
        "informed without data": jl.informed(effect),
    }
    if "scale_tril" in getattr(effect, "base_dist", effect).arg_constraints:
        forms["informed by matrices"] = jl.informed(effect, estimate, MATRICES if len(shape) == 2 else MATRICES[1])
    return forms


def free(prior, value):
    """The entries of a value that determine it: without the last of a simplex, the lower triangle of a correlation."""
    support = prior.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support is constraints.simplex:
        return value[..., :-1].ravel()
    if support in (constraints.corr_cholesky, constraints.corr_matrix):
        return value[jnp.tril_indices(value.shape[-1], -1)]
    return value.ravel()


@pytest.mark.parametrize(
    "name",
    often([*PLAIN, *EFFECTS], {"real", "positives", "simplex", "normals", "multivariate"}),
)
def test_every_form_of_a_prior_has_one_density(name):
    """Round trip; density of the position = density of the plain prior at the value + log-det by autodiff."""
    base = {**PLAIN, **EFFECTS}[name]()
    forms = centrings(base) if name in EFFECTS else {name: base}
    posteriors = {form: jl.condition(jl.Model({"x": prior})) for form, prior in forms.items()}

    @jax.jit
    @jax.vmap
    def evaluate(key):
        out = {}
        for form, posterior in posteriors.items():
            position = posterior.initial_position(key)

            def constrained(z, posterior=posterior):
                value = posterior.constrain(z)["x"]
                return free(base, value), value

            jacobian, value = jax.jacfwd(constrained, has_aux=True)(position)
            out[form] = {
                "position": position,
                "value": value,
                "back": posterior.unconstrain({"x": value}),
                "inside": jnp.all(base.support(value)),
                "jacobian": jacobian,
                "log_prob": jnp.sum(base.log_prob(value)),
                "log_density": posterior.log_density(position),
                "without": posterior.log_density(position, jacobian=False),
            }
        return out

    close = lambda form, *pair: np.testing.assert_allclose(*pair, rtol=1e-9, atol=1e-9, err_msg=form)
    for form, out in evaluate(jax.random.split(jax.random.key(0), 4)).items():
        assert out["position"].dtype == np.float64 and out["value"].shape == (4, *base.shape())
        assert out["inside"].all(), form
        assert out["jacobian"].shape == (4, posteriors[form].dim, posteriors[form].dim)
        close(form, out["back"], out["position"])
        close(form, out["log_density"], out["log_prob"] + np.linalg.slogdet(out["jacobian"])[1])
        close(form, out["without"], out["log_prob"])


@pytest.mark.parametrize(
    "form", often(["noncentred", "partial", "informed", "informed by data"], {"noncentred", "informed by data"})
)
def test_centring_by_earlier_parameters_leaves_the_joint_density_alone(form):
    forms = {
        "noncentred": jl.noncentred,
        "partial": lambda d: jl.partially_centred(d, 0.4),
        "informed": lambda d: jl.informed(d, Y[:3], np.array([0.1, 1.0, 10.0])),
        "informed by data": jl.informed,
    }

    def posterior(centring):
        model = jl.Model(
            {
                "mu": dist.Normal(0.0, 5.0),
                "tau": dist.HalfNormal(2.0),
                "theta": lambda p: centring(dist.Normal(p.mu, p.tau).expand([3]).to_event(1)),
            },
            lambda p, d: {"y": dist.Normal(p.theta, 0.5)},
        )
        return jl.condition(model, {"y": Y[:3]})

    plain, other = posterior(jl.centred), posterior(forms[form])

    @jax.jit
    def evaluate(key):
        position = other.initial_position(key).astype(float)
        move = lambda z: plain.unconstrain(other.constrain(z))
        pairs = [
            (one.log_density(at), one.log_density(at, jacobian=False))
            for one, at in ((other, position), (plain, move(position)))
        ]
        return position, other.constrain(position), jax.jacobian(move)(position), *pairs

    position, params, jacobian, ours, theirs = evaluate(jax.random.key(1))
    # The map between the two sets of coordinates carries its own Jacobian.
    np.testing.assert_allclose(ours[0], theirs[0] + np.linalg.slogdet(jacobian)[1], rtol=1e-9)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9)
    if form == "noncentred":
        z = (np.asarray(params["theta"]) - params["mu"]) / params["tau"]
        np.testing.assert_allclose(position[-3:], z, rtol=1e-9)


def test_informed_coordinates_are_those_of_the_conditional_posterior():
    """With a Gaussian likelihood given exactly, the position is standard normal a posteriori."""
    mu, covariance = np.arange(3.0), COVARIANCE
    precision, estimate = MATRICES[1] + np.eye(3), np.array([0.3, -2.0, 1.0])
    prior = jl.informed(dist.MultivariateNormal(mu, covariance), estimate, precision)
    likelihood = lambda p, d: {"y": dist.MultivariateNormal(p.x, precision_matrix=precision)}
    posterior = jl.condition(jl.Model({"x": prior}, likelihood), {"y": estimate})
    gradient, hessian = jax.jit(lambda z: (jax.grad(posterior.log_density)(z), jax.hessian(posterior.log_density)(z)))(
        np.zeros(3)
    )
    np.testing.assert_allclose(hessian, -np.eye(3), atol=1e-9)
    np.testing.assert_allclose(gradient, np.zeros(3), atol=1e-9)


@pytest.mark.parametrize("vectors", often(["numbers", "vectors"], {"numbers"}))
def test_informed_coordinates_are_sound_in_32_bits_where_effects_hardly_vary(vectors):
    def posterior(sd, dtype):
        prior = dist.Normal(20.0, sd).expand([4, 2])
        if vectors == "vectors":
            prior = dist.MultivariateNormal(20.0 * jnp.ones(2), scale_tril=sd * jnp.eye(2)).expand([4])
        guided = jl.informed(prior.to_event(len(prior.batch_shape)), np.full((4, 2), 21.0), np.full((4, 2), 0.5))
        model = jl.Model({"x": guided}, lambda p, d: {"y": dist.Normal(p.x, 2.0)})
        return jl.condition(model, {"y": jnp.asarray(np.linspace(15, 25, 8).reshape(4, 2), dtype)})

    z = np.linspace(-2, 2, 8)
    with jax.enable_x64(True):
        exact = jax.jit(jax.value_and_grad(posterior(1e-6, jnp.float64).log_density))(jnp.asarray(z))
    with jax.enable_x64(False):
        rough = jax.jit(jax.value_and_grad(posterior(1e-6, jnp.float32).log_density))(jnp.asarray(z, jnp.float32))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), rough, exact)


def test_centring_needs_a_family_with_location_and_scale():
    with pytest.raises(jl.InputError, match=r"Gamma[\s\S]*location-scale"):
        jl.noncentred(dist.Gamma(2.0, 1.0))


# --- posteriors from elsewhere ----------------------------------------------------------------------------------------


def test_a_bare_log_density_gains_the_jacobian_of_its_supports():
    def fn(params, shift):
        return (
            stats_gamma(params["rate"], 2.0) - 0.5 * jnp.sum((params["x"] - shift) ** 2) + jnp.sum(jnp.log(params["w"]))
        )

    def stats_gamma(x, a):
        return (a - 1) * jnp.log(x) - x

    template = {"rate": jnp.zeros(()), "w": jnp.zeros(3), "x": jax.ShapeDtypeStruct((2,), float)}
    support = {"rate": constraints.positive, "w": constraints.simplex}
    posterior = jl.from_log_density(fn, template, support, args=(np.array([1.0, -1.0]),))
    assert posterior.dim == 1 + 2 + 2

    def free(z):
        p = posterior.constrain(z)
        return jnp.concatenate([p["rate"][None], p["w"][:-1], p["x"]])

    @jax.jit
    def evaluate(key):
        position = posterior.initial_position(key).astype(float)
        params = posterior.constrain(position)
        densities = (posterior.log_density(position, jacobian=jacobian) for jacobian in (True, False))
        expected = fn(params, np.array([1.0, -1.0]))
        return position, posterior.unconstrain(params), jax.jacobian(free)(position), expected, *densities

    position, back, jacobian, expected, density, without = evaluate(jax.random.key(0))
    np.testing.assert_allclose(back, position, rtol=1e-10)
    np.testing.assert_allclose(density, expected + np.linalg.slogdet(jacobian)[1], rtol=1e-10)
    np.testing.assert_allclose(without, expected, rtol=1e-10)


def test_a_bare_log_density_of_one_array_takes_the_array():
    posterior = jl.from_log_density(lambda x: -0.5 * jnp.sum(x**2), jnp.zeros((2, 2)))
    assert posterior.dim == 4
    np.testing.assert_allclose(posterior.log_density(jnp.arange(4.0)), -7.0)
    assert posterior.constrain(jnp.arange(4.0))["position"].shape == (2, 2)


def numpyro_model(x, y=None, quadratic=False):
    a = numpyro.sample("z_last", dist.Normal(0.0, 2.0))
    b = numpyro.sample("b", dist.Normal(0.0, 0.5).expand([2]).to_event(1))
    w = numpyro.sample("w", dist.Dirichlet(jnp.ones(3)))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.5))
    mean = numpyro.deterministic("mean", a + b[0] * x + (b[1] * x**2 if quadratic else 0.0) + w[0])
    with numpyro.plate("rows", x.shape[0]):
        numpyro.sample("y", dist.Normal(mean, sigma), obs=y)


@pytest.mark.parametrize("quadratic", often([False, True], {True}))
def test_a_numpyro_model_keeps_its_density_and_sites(quadratic):
    posterior = jl.from_numpyro(numpyro_model, X, y=Y, quadratic=quadratic)
    assert posterior.dim == 1 + 2 + 2 + 1
    density, data = posterior.density, posterior.data

    @jax.jit
    def evaluate(key):
        position = posterior.initial_position(key).astype(float)
        params = posterior.constrain(position)
        z, start = {}, 0
        for name, length in {"b": 2, "sigma": 1, "w": 2, "z_last": 1}.items():
            z[name] = position[start : start + length].reshape(() if name in ("sigma", "z_last") else (length,))
            start += length
        potential = potential_energy(numpyro_model, (X,), {"y": Y, "quadratic": quadratic}, z)
        densities = posterior.log_density(position), posterior.log_density(position, jacobian=False)
        told = density.derived(params, data)["mean"], density.log_likelihood(params, data)["y"]
        draw = jax.vmap(lambda key: density.sample_observed(key, params, data)["y"])
        drawn = draw(jax.random.split(jax.random.key(1), 2000))
        return params, (posterior.unconstrain(params), position), (densities[0], -potential), densities[1], told, drawn

    params, positions, pair, without, told, drawn = evaluate(jax.random.key(0))
    assert params.keys() == {"b", "sigma", "w", "z_last"}
    np.testing.assert_allclose(*positions, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(*pair, rtol=1e-10)
    params = jax.tree.map(np.asarray, params)
    mean = params["z_last"] + params["b"][0] * X + (params["b"][1] * X**2 if quadratic else 0.0) + params["w"][0]
    by_hand = (
        stats.norm.logpdf(params["z_last"], 0, 2)
        + stats.norm.logpdf(params["b"], 0, 0.5).sum()
        + stats.halfnorm.logpdf(params["sigma"], scale=1.5)
        + np.log(2.0)  # a flat Dirichlet of three
    )
    terms = stats.norm.logpdf(Y, mean, params["sigma"])
    np.testing.assert_allclose(without, by_hand + terms.sum(), rtol=1e-9)
    np.testing.assert_allclose(told[0], mean, rtol=1e-9)
    np.testing.assert_allclose(told[1], terms, rtol=1e-9)
    for column, centre in zip(np.asarray(drawn).T, mean, strict=True):
        assert stats.kstest(column, stats.norm(centre, params["sigma"]).cdf).pvalue > 1e-4


def test_a_binomial_observation_is_drawn_whatever_encloses_it():
    """By `expand` and `to_event`, and with the dtype of counts."""
    model = jl.Model(
        prior={"p": dist.Beta(1.0, 1.0)},
        likelihood=lambda p, d: {"y": dist.Binomial(d.n, probs=p.p).expand([500]).to_event(1)},
    )
    n, probability = 293, 0.10385252
    draw = jax.vmap(lambda k: model.sample_observed(k, {"p": jnp.asarray(probability)}, {"n": n})["y"])
    draws = jax.jit(draw)(jax.random.split(jax.random.key(0), 8))
    assert draws.shape == (8, 500) and jnp.issubdtype(draws.dtype, jnp.integer)
    z = (draws.mean() - n * probability) / np.sqrt(n * probability * (1 - probability) / draws.size)
    assert abs(z) < 4.5


def test_one_of_a_batch_is_what_was_put_in():
    model = jl.Model({"mu": dist.Normal()}, lambda p, d: {"y": dist.Normal(p.mu * d.x, 1.0)})
    data = [{"y": np.arange(3.0) + i, "x": np.full(3, i + 1.0)} for i in range(3)]
    batch, at = jl.condition(model, jl.batch(data)), jnp.array([0.3])
    for i, alone in enumerate(data):
        one = batch.one(i)
        assert one.names is None and one.log_density(at) == jl.condition(model, alone).log_density(at)
    # JAX would take the last dataset for one that does not exist.
    with pytest.raises(jl.InputError, match=r"0 to 2"):
        batch.one(3)


def test_compiled_models_keep_checks_of_what_is_fixed_and_supports():
    @compiled()
    def log_prob(scale):
        return dist.Uniform(0.0, scale).log_prob(2 * scale)

    assert log_prob(1.0) == -jnp.inf
    wrong = lambda loc: dist.Normal(loc, -1.0).log_prob(0.0)
    for call in (wrong, compiled()(wrong)):
        with pytest.raises(ValueError, match="scale"):
            call(0.0)
    model = jl.Model(prior={"mu": dist.Normal()}, likelihood=lambda p, d: {"y": dist.Normal(p.mu, -1.0)})
    with pytest.raises(jl.InputError, match="scale"):
        jl.fit(model, {"y": np.zeros(3, np.float32)}, jl.Optimize(), seed=0)


def test_densities_called_by_hand_take_numpy_data():
    model = jl.Model(
        prior={"mu": dist.Normal()},
        likelihood=lambda p, d: {"y": dist.Normal(d.x.at[0].set(p.mu), 1.0)},
    )
    data = {"x": np.arange(3.0, dtype=np.float32), "y": np.ones(3, np.float32)}
    term = model.log_likelihood({"mu": jnp.array(1.0)}, data)["y"]
    np.testing.assert_allclose(term, stats.norm.logpdf([0.0, 0.0, 1.0]), rtol=1e-5)


@pytest.mark.parametrize("softmax", [{"wieghts": -1}, {"weights": 0}], ids=["misspelt", "from the front"])
def test_the_axis_of_a_softmax_is_that_of_a_parameter(softmax):
    with pytest.raises(jl.InputError, match=r"Model\(softmax"):
        jl.Model({"weights": dist.Normal().expand([3]).to_event(1)}, softmax=softmax)
