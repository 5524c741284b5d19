"""Other data, given to a result, are held to the supports of their distributions, as those of a fit are."""

import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl

X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 2, 40)
MODEL = jl.models.mixture(2, jl.models.emissions.BernoulliRegression(2))


@pytest.fixture(scope="module")
def fitted():
    return jl.fit(MODEL, {"x": X, "y": Y}, jl.EM(restarts=2, max_iter=20), 0, progress=False)


@pytest.mark.parametrize("what", ["score", "smooth", "log_likelihood", "most_likely_states"])
@pytest.mark.parametrize("value", [3, -1, 0.5])
def test_values_outside_the_support(fitted, what, value):
    """A Bernoulli of NumPyro gives a number for each of these."""
    for result in (fitted, fitted.best()):
        with pytest.raises(jl.InputError, match=r"observation 'y'\n.*1 of 3 values outside the support.*\(1,\)"):
            getattr(result, what)({"x": X[:3], "y": [1, value, 0]})


def test_values_of_one_dataset(fitted):
    data = {"a": {"x": X, "y": Y}, "b": {"x": X, "y": 1 - Y}}
    many = jl.fit(MODEL, jl.batch(data), jl.EM(restarts=2, max_iter=20), 0, progress=False)
    with pytest.raises(jl.InputError, match="dataset 'b', observation 'y'"):
        many.score(jl.batch({**data, "b": {"x": X, "y": Y + 1}}))
    assert many.score(jl.batch(data)).shape == (2, 2)


def test_masked_values_count_not(fitted):
    y = np.ma.masked_array([1, 7, 0], [False, True, False])
    seen = fitted.score({"x": X[[0, 2]], "y": [1, 0]})
    np.testing.assert_allclose(fitted.score({"x": X[:3], "y": jl.Masked(y.data, ~y.mask)}), seen, rtol=1e-5)


def test_a_support_that_depends_on_parameters():
    """A value that some draws allow has a density of zero under others, which is no error."""
    model = jl.Model({"top": dist.Uniform(1.0, 10.0)}, lambda p, d: {"y": dist.Uniform(0.0, p.top)})
    data = {"y": np.array([0.5, 2.0, 3.0], np.float32)}
    result = jl.fit(model, data, jl.NUTS(chains=2, warmup=100, draws=50), 0, progress=False)
    between = {"y": np.array([np.median(result.params["top"])], np.float32)}
    score = result.score(between)
    assert np.isfinite(score).any() and not np.isfinite(score).all()
    with pytest.raises(jl.InputError, match="outside the support"):
        result.score({"y": np.array([-1.0], np.float32)})
