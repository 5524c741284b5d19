"""Distributions that NumPyro lacks, against SciPy, NumPyro, enumeration and their own draws."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.stats
from often import often
from scipy.special import logsumexp

import jaxlatent as jl
from jaxlatent.distributions.bernoulli import BernoulliLogits
from jaxlatent.distributions.counts import NegativeBinomial2, Poisson
from jaxlatent.distributions.masking import masked_log_prob
from jaxlatent.distributions.mixture import Mixture
from jaxlatent.distributions.normals import InverseWishart, Normals
from jaxlatent.distributions.pointwise import cdf

PI = jnp.array([0.5, 0.3, 0.2])
A = jnp.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4]])
NORMALS = dist.Normal(np.array([-2.0, 0.0, 3.0], np.float32), np.array([1.0, 0.5, 2.0], np.float32))
Y = np.array([-1.8, 0.2, 0.1, 2.5], np.float32)


def by_enumeration(emissions, matrices):
    """The log density of `Y`, over all paths, in NumPy; normal emissions and the matrix of each step."""
    terms = scipy.stats.norm.logpdf(Y[:, None], emissions.loc, emissions.scale)
    initial, matrices = np.log(PI), np.log(matrices)
    total = []
    for path in itertools.product(range(3), repeat=len(Y)):
        term = initial[path[0]] + terms[0, path[0]]
        for t in range(1, len(Y)):
            term += matrices[t - 1, path[t - 1], path[t]] + terms[t, path[t]]
        total.append(term)
    return logsumexp(total)


def log_prob(d, value):
    """By one program."""
    return jax.jit(d.log_prob)(value)


# --- hidden Markov ----------------------------------------------------------------------------------------------------


def test_the_density_of_a_sequence_is_the_sum_over_its_paths():
    exact = by_enumeration(NORMALS, [A] * 3)
    np.testing.assert_allclose(log_prob(jl.HiddenMarkov(PI, A, NORMALS), Y), exact, rtol=1e-5)


def test_emissions_and_transitions_may_vary_with_the_step():
    shift = np.arange(4, dtype=np.float32)[:, None]
    emissions = dist.Normal(NORMALS.loc + shift, 1.0)
    backwards = np.asarray(A).T
    matrices = jnp.array([A, backwards / backwards.sum(1, keepdims=True), A])
    d = jl.HiddenMarkov(PI, matrices, emissions)
    assert d.shape() == (4,)
    np.testing.assert_allclose(log_prob(d, Y), by_enumeration(emissions, matrices), rtol=1e-5)


def test_vector_emissions_and_many_sequences():
    emissions = dist.Normal(jnp.arange(6.0).reshape(3, 2), 1.0).to_event(1)
    d = jl.HiddenMarkov(PI, A, emissions, shape=(5, 7))
    y = jax.jit(d.sample)(jax.random.key(0))
    together = log_prob(d, y)
    assert y.shape == d.shape() == (5, 7, 2) and together.shape == (5,)
    one = jax.jit(jl.HiddenMarkov(PI, A, emissions).log_prob)
    np.testing.assert_allclose(together, [one(row) for row in y], rtol=1e-5)


def test_draws_follow_the_chain():
    d = jl.HiddenMarkov(PI, A, dist.Delta(jnp.arange(3.0)), shape=(3,))
    drawn, states = jax.jit(lambda key: d.sample_with_states(key, (20_000,)))(jax.random.key(0))
    np.testing.assert_array_equal(drawn, states)
    first, last = np.asarray(states[:, 0]), np.asarray(states[:, 2])
    error = 5 * np.sqrt(0.25 / 20_000)
    np.testing.assert_allclose(np.bincount(first, minlength=3) / 20_000, PI, atol=error)
    np.testing.assert_allclose(np.bincount(last, minlength=3) / 20_000, PI @ A @ A, atol=error)


def test_a_number_of_steps_is_asked_for():
    with pytest.raises(jl.InputError, match="number of steps"):
        jl.HiddenMarkov(PI, A, NORMALS).sample(jax.random.key(0))
    with pytest.raises(jl.InputError, match="same number of states"):
        jl.HiddenMarkov(PI, A, dist.Normal(jnp.zeros(4), 1.0))


def test_it_works_in_a_numpyro_model():
    def model(y):
        matrix = numpyro.sample("matrix", dist.Dirichlet(jnp.ones((3, 3))).to_event(1))
        numpyro.sample("y", jl.HiddenMarkov(PI, matrix, NORMALS), obs=y)

    posterior = jl.from_numpyro(model, y=Y)
    position = jax.jit(posterior.unconstrain)({"matrix": A})
    ours = jl.Model(
        {"matrix": dist.Dirichlet(jnp.ones((3, 3))).to_event(1)},
        lambda p, d: {"y": jl.HiddenMarkov(PI, p.matrix, NORMALS)},
    )
    mine = jl.condition(ours, {"y": Y})
    (theirs, slope), (value, other) = (jax.jit(jax.value_and_grad(p.log_density))(position) for p in (posterior, mine))
    np.testing.assert_allclose(theirs, value, rtol=1e-5)
    np.testing.assert_allclose(slope, other, rtol=1e-4, atol=1e-5)


# --- masks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "d, value",
    [
        (dist.Normal(jnp.zeros(4), 1.0), Y),
        (dist.LogNormal(jnp.zeros(4), 1.0), jnp.abs(Y)),
        (dist.Poisson(jnp.ones(4)), jnp.arange(4)),
        (dist.MultivariateNormal(jnp.zeros((4, 2)), jnp.eye(2)), jnp.ones((4, 2))),
        (dist.Dirichlet(jnp.ones((4, 3))), jnp.full((4, 3), 1 / 3)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_masked_entries_add_nothing_whatever_stands_there(d, value):
    mask = jnp.array([True, False, True, False])
    other = jnp.where(mask.reshape(-1, *(1,) * (value.ndim - 1)), value, -jnp.asarray(7).astype(value.dtype))
    np.testing.assert_allclose(masked_log_prob(d, other, mask), jnp.where(mask, d.log_prob(value), 0.0), rtol=1e-6)


def test_masked_entries_do_not_enter_gradients():
    value, mask = jnp.array([1.0, -7.0, 2.0, jnp.nan]), jnp.array([True, False, True, False])
    slope = jax.grad(lambda s: masked_log_prob(dist.LogNormal(s, 1.0), value, mask).sum())(jnp.zeros(4))
    np.testing.assert_allclose(slope, [0.0, 0.0, np.log(2.0), 0.0], atol=1e-6)


def test_a_mask_inside_an_observation_is_refused():
    with pytest.raises(jl.InputError, match="missing as a whole"):
        masked_log_prob(
            dist.MultivariateNormal(jnp.zeros((4, 2)), jnp.eye(2)), jnp.ones((4, 2)), jnp.ones((4, 2), bool)
        )


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_ordered_draws_and_density():
    d = jl.ordered(dist.Normal(1.0, 2.0).expand([3]))
    x = d.sample(jax.random.key(0), (1000,))
    assert (jnp.diff(x) > 0).all()
    np.testing.assert_allclose(d.log_prob(x[0]), dist.Normal(1.0, 2.0).log_prob(x[0]).sum() + np.log(6), rtol=1e-5)
    np.testing.assert_allclose(x[:, 1].mean(), 1.0, atol=5 * 2 * 0.67 / np.sqrt(1000))


def test_a_factor_adds_its_term():
    plain = {"x": dist.Normal(0.0, 1.0)}
    model = jl.Model(plain, lambda p, d: {"extra": jl.Factor(-2.0 * p.x)})
    posterior = jl.condition(model, {"extra": jnp.zeros(())})
    x = jnp.array([0.7])
    np.testing.assert_allclose(posterior.log_density(x), dist.Normal(0.0, 1.0).log_prob(0.7) - 1.4, rtol=1e-6)


def test_inverse_wishart_agrees_with_scipy():
    scale = np.array([[2.0, 0.5], [0.5, 1.0]])
    d, theirs = InverseWishart(7.0, jnp.asarray(scale, jnp.float32)), scipy.stats.invwishart(7, scale)
    values = theirs.rvs(5, random_state=0)
    np.testing.assert_allclose(log_prob(d, values.astype(np.float32)), [*map(theirs.logpdf, values)], rtol=1e-4)
    draws = np.asarray(jax.jit(lambda key: d.sample(key, (20_000,)))(jax.random.key(0)))
    exact = scale / (7 - 2 - 1)
    np.testing.assert_allclose(draws.mean(0), exact, atol=5 * draws.std(0).max() / np.sqrt(20_000))


@pytest.mark.parametrize("dim", [1, 2, 10], ids=lambda dim: f"{dim}d")
def test_many_normals_agree_with_numpyro(dim):
    """Written out for few dimensions, by matrix products for many."""
    rng = np.random.default_rng(0)
    means = (rng.normal(size=(3, dim)) * 100).astype(np.float32)
    factors = rng.normal(size=(3, dim, dim)) / np.sqrt(dim)
    covs = (factors @ factors.swapaxes(1, 2) + 0.3 * np.eye(dim)).astype(np.float32)
    points = means[rng.integers(0, 3, 50)] + rng.normal(size=(50, dim)).astype(np.float32)
    ours, theirs = Normals(means, covs), dist.MultivariateNormal(means, covs)
    found, expected = (np.asarray(log_prob(d, points[:, None])) for d in (ours, theirs))
    near = expected > -50
    assert near.sum() >= 50
    np.testing.assert_allclose(found[near], expected[near], rtol=2e-4, atol=2e-3)
    draws = np.asarray(jax.jit(lambda key: ours.sample(key, (20_000,)))(jax.random.key(0)))
    np.testing.assert_allclose(np.cov(draws[:, 1].T), covs[1].squeeze(), atol=0.1)


def test_bernoulli_at_logits_agrees_with_numpyro_and_knows_certainty():
    logits = jnp.array([-30.0, -2.0, 0.0, 0.5, 30.0])
    for value in (jnp.zeros(5, int), jnp.ones(5, int), jnp.ones(5, bool), jnp.array([0, 1, 0, 1, 0])):
        ours, theirs = (log_prob(family(logits=logits), value) for family in (BernoulliLogits, dist.Bernoulli))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    gradient = jax.grad(lambda x: BernoulliLogits(x).log_prob(1.0))
    np.testing.assert_allclose(jax.jit(jax.vmap(gradient))(logits), jax.nn.sigmoid(-logits), rtol=1e-5)
    certain = BernoulliLogits(jnp.array([-jnp.inf, jnp.inf]), validate_args=False)
    np.testing.assert_array_equal(log_prob(certain, jnp.array([0, 1])), [0.0, 0.0])
    np.testing.assert_array_equal(log_prob(certain, jnp.array([1, 0])), [-np.inf, -np.inf])


def test_responsibilities_are_bayes_rule():
    weights = jnp.array([0.3, 0.7])
    d = dist.MixtureSameFamily(dist.Categorical(weights), dist.Normal(jnp.array([-1.0, 1.0]), 1.0))
    joint = weights * jnp.exp(dist.Normal(jnp.array([-1.0, 1.0]), 1.0).log_prob(0.4))
    np.testing.assert_allclose(jl.responsibilities(d, jnp.array(0.4)), joint / joint.sum(), rtol=1e-5)


KINDS = (Mixture, dist.MixtureSameFamily)
COMPONENTS = {
    "normal": lambda loc: dist.Normal(loc, jnp.exp(0.3 * loc)),
    "one scale": lambda loc: dist.Normal(loc, jnp.array([0.5, 1.0, 2.0])),
    "vectors": lambda loc: dist.Normal(loc[..., None] + jnp.arange(2.0), 0.7).to_event(1),
    "student": lambda loc: dist.StudentT(3.0, loc),
}


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize("leading", [(), (6,)])
def test_a_mixture_is_numpyro_s_mixture(name, leading):
    """Value and gradient, for values of the batch shape and for several of each; a component may be next to impossible."""
    keys = jax.random.split(jax.random.key(3), 3)
    loc, logits = jax.random.normal(keys[0], (5, 3)), jax.random.normal(keys[1], (5, 3)).at[2, 1].set(-200.0)
    make = lambda kind, loc: kind(dist.Categorical(logits=logits), COMPONENTS[name](loc))
    value = 3 * jax.random.normal(keys[2], (*leading, *make(Mixture, loc).shape()))
    sums = (jax.value_and_grad(lambda x, kind=kind: make(kind, x).log_prob(value).sum()) for kind in KINDS)
    ours, theirs = (jax.jit(total)(loc) for total in sums)
    assert jax.eval_shape(make(Mixture, loc).log_prob, value).shape == (*leading, 5)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", often(["normal", "vectors", "correlated", "many dimensions", "student"], {"vectors", "student"})
)
def test_components_the_same_for_all_values_are_spread_over_none(name):
    """Expanded components and one set of weights: the same densities as NumPyro's, draws as many."""
    keys = jax.random.split(jax.random.key(5), 4)
    dim = 10 if name == "many dimensions" else 2
    roots = jax.random.normal(keys[1], (3, dim, dim))
    covs = roots @ jnp.swapaxes(roots, 1, 2) + jnp.eye(dim)
    make = {
        "normal": lambda loc: dist.Normal(loc[:, 0], 0.7),
        "vectors": lambda loc: dist.Normal(loc, 0.7).to_event(1),
        "student": lambda loc: dist.StudentT(3.0, loc[:, 0]),
    }
    ours = make.get(name, lambda loc: Normals(loc, covs))
    theirs = make.get(name, lambda loc: dist.MultivariateNormal(loc, covs))
    loc, weights = jax.random.normal(keys[0], (3, dim)), jnp.array([0.2, 0.5, 0.3])
    value = jax.random.normal(keys[2], (7, *ours(loc).event_shape))
    one = lambda loc: Mixture(dist.Categorical(weights), ours(loc).expand((7, 3)))
    other = lambda loc: dist.MixtureSameFamily(dist.Categorical(weights), theirs(loc).expand((7, 3)))
    shape_of = lambda value: jax.eval_shape(lambda loc: one(loc).log_prob(value), loc).shape
    assert shape_of(value) == shape_of(value[0]) == (7,)
    assert jax.eval_shape(lambda loc: one(loc).sample(keys[3]), loc).shape == value.shape
    sums = (jax.value_and_grad(lambda x, d=d: d(x).log_prob(value).sum()) for d in (one, other))
    for a, b in zip(*(jax.jit(total)(loc) for total in sums), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


LOG_NORMAL = dist.LogNormal(0.3, 0.8)
WEIGHTS = dist.Categorical(probs=jnp.array([0.3, 0.7]))
S = scipy.stats
#: Of NumPyro, and the same of SciPy.
NUMBERS = {
    "beta": (dist.Beta(2.0, 3.0), S.beta(2, 3).cdf),
    "cauchy": (dist.Cauchy(1.0, 2.0), S.cauchy(1, 2).cdf),
    "exponential": (dist.Exponential(2.0), S.expon(scale=0.5).cdf),
    "gamma": (dist.Gamma(2.0, 1.5), S.gamma(2, scale=1 / 1.5).cdf),
    "gamma mixture": (
        dist.MixtureSameFamily(WEIGHTS, dist.Gamma(jnp.array([2.0, 5.0]), 1.0)).expand([4]),
        lambda y: 0.3 * S.gamma(2).cdf(y) + 0.7 * S.gamma(5).cdf(y),
    ),
    "half-normal": (dist.HalfNormal(2.0), S.halfnorm(scale=2).cdf),
    "inverse gamma": (dist.InverseGamma(3.0, 2.0), S.invgamma(3, scale=2).cdf),
    "levy": (dist.Levy(1.0, 2.0), S.levy(1, 2).cdf),
    "log-normal": (LOG_NORMAL.expand([3]), S.lognorm(0.8, scale=np.exp(0.3)).cdf),
    "log-uniform": (dist.LogUniform(1.0, 5.0), S.loguniform(1, 5).cdf),
    "mixture of supports": (
        dist.MixtureGeneral(
            WEIGHTS, [dist.Normal(0.0, 1.0), dist.Exponential(1.0)], support=dist.constraints.real
        ).expand([2]),
        lambda y: 0.3 * S.norm.cdf(y) + 0.7 * S.expon.cdf(y),
    ),
    "pareto": (dist.Pareto(2.0, 1.5), S.pareto(1.5, scale=2).cdf),
    "poisson": (dist.Poisson(2.0), S.poisson(2).cdf),
    "shifted": (
        dist.TransformedDistribution(LOG_NORMAL, dist.transforms.AffineTransform(2.0, -1.0)),
        lambda y: S.lognorm(0.8, scale=np.exp(0.3)).sf(2 - y),
    ),
    "truncated": (dist.TruncatedNormal(0.0, 1.0, low=-0.5, high=0.5), S.truncnorm(-0.5, 0.5).cdf),
    "uniform integers": (dist.DiscreteUniform(1, 3), S.randint(1, 4).cdf),
    "weibull": (dist.Weibull(2.0, 1.5), S.weibull_min(1.5, scale=2).cdf),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_distribution_function_is_0_below_the_support_and_1_above_it(name):
    d, exact = NUMBERS[name]
    y = np.array([-1e38, -2e19, -2.5, -0.3, 0.0, 1e-9, 0.4, 1.0, 2.0, 2.7, 6.0, 2e19, 1e38], np.float32)
    found = np.asarray(jax.jit(lambda y: cdf(d, y))(y))
    np.testing.assert_allclose(found, exact(y.astype(float)), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("size", [None, 1e-3, 0.1, 1.0, 10.0, 1e4, 1e6])
@pytest.mark.parametrize("mean", [1e-3, 1.0, 20.0, 1e4, 1e6])
def test_large_counts_and_concentrations_lose_nothing_in_32_bits(mean, size):
    """Of numbers of the size y log(y), 32 bits would lose a nat at a million."""
    mean = float(np.float32(mean))
    size = size and float(np.float32(size))
    spread = np.sqrt(mean + (mean**2 / size if size else 0))
    y = np.unique(np.maximum(np.round(mean + spread * np.array([-2, -1, 0, 1, 2, 4])), [0, 1, 0, 0, 0, 0]))
    y = y.astype(np.float32)
    d = NegativeBinomial2(mean, size) if size else Poisson(mean)
    law = scipy.stats.nbinom(size, size / (size + mean)) if size else scipy.stats.poisson(mean)
    np.testing.assert_allclose(d.log_prob(y), law.logpmf(y.astype(float)), rtol=1e-5, atol=1e-4)
    at = jax.vmap(
        jax.grad(lambda mean, y: (NegativeBinomial2(mean, size) if size else Poisson(mean)).log_prob(y)), (None, 0)
    )
    slope = y / mean - ((y + size) / (size + mean) if size else 1)
    np.testing.assert_allclose(at(mean, y), slope, rtol=1e-3, atol=1e-4 * spread / mean + 1e-5 / mean)


def test_counts_without_overdispersion_do_not_fit_better_than_any_distribution_can():
    y = np.random.default_rng(0).poisson(1e4, 200)
    model = jl.models.mixture(1, jl.models.emissions.NegativeBinomial())
    score = jl.fit(model, {"y": y}, jl.EM(restarts=1), seed=0).best().score()
    np.testing.assert_allclose(score, scipy.stats.poisson(y.mean()).logpmf(y).mean(), atol=0.01)
