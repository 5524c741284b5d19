"""One output as a column ``(N, 1)``, as scikit-learn and Flax users hold it, gives the answers of the vector ``(N,)``."""

import numpy as np
import pytest
from often import often

import jaxlatent as jl
from jaxlatent.models import emissions, mixture_density_network, mixture_of_experts, regression_mixture

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 1))
Y = np.where(RNG.random(60) < 0.5, 2 * X[:, 0] + 3, -X[:, 0]) + 0.3 * RNG.normal(size=60)
SEEN = RNG.random(60) < 0.8
NEW = {"x": X[:7], "y": Y[:7]}
MODELS = {
    "experts": (mixture_of_experts(2, 1), jl.EM(restarts=2, max_iter=20), Y),
    "regressions": (regression_mixture(2, 1), jl.EM(restarts=2, max_iter=20), Y),
    "choices": (mixture_of_experts(2, 1, emissions.BernoulliRegression(1)), jl.EM(restarts=2, max_iter=20), Y > 1),
    "network": (mixture_density_network(2, 1, hidden=(3,)), jl.Optimize(restarts=2, max_iter=20), Y),
}


def column(data):
    y = data["y"]
    return {**data, "y": jl.Masked(y.values[:, None], y.mask[:, None]) if isinstance(y, jl.Masked) else y[:, None]}


@pytest.mark.parametrize("name", often(list(MODELS), ["choices", "network"]))
def test_a_column_gives_the_answers_of_a_vector(name):
    model, engine, y = MODELS[name]
    data, new = {"x": X, "y": jl.Masked(y, SEEN)}, {**NEW, "y": y[:7]}
    one, two = (jl.fit(model, given, engine, seed=0) for given in (data, column(data)))
    assert two.predict(seed=1)["y"].shape == (2, 60, 1)
    same = lambda a, b: np.testing.assert_allclose(a, np.reshape(b, np.shape(a)), rtol=2e-3, atol=1e-4)
    for each in one.params:
        same(one.params[each], two.params[each])
    same(one.objective, two.objective)
    same(one.score(), two.score())
    same(one.score(new), two.score(column(new)))
    same(one.smooth()["y"], two.smooth()["y"])
    same(one.best().smooth(new)["y"], two.best().smooth(column(new))["y"])
    np.testing.assert_array_equal(one.most_likely_states()["y"].ravel(), two.most_likely_states()["y"].ravel())
    same(one.criteria()["bic"], two.criteria()["bic"])
    a, b = one.best().conditional(new), two.best().conditional(column(new))
    assert b.mean().shape == (7, 1)
    same(a.mean(), b.mean())
    same(a.log_score(), b.log_score())
    if name != "choices":
        same(a.quantile([0.1, 0.9]), b.quantile([0.1, 0.9]))
        same(a.pit(), b.pit())
    # New inputs alone say nothing of a column.
    assert two.predict(seed=1, data={"x": X[:7]})["y"].shape == (2, 7)


def test_a_column_is_held_out_as_a_vector_is():
    model, engine, _ = MODELS["experts"]
    one, two = (
        jl.cross_validate(model, given, engine, seed=0, by="row", folds=2)
        for given in ({"x": X, "y": Y}, {"x": X, "y": Y[:, None]})
    )
    np.testing.assert_allclose(one.scores, two.scores, rtol=2e-3, atol=1e-3)


@pytest.mark.slow
def test_columns_of_unequal_datasets():
    model, engine, _ = MODELS["experts"]
    batches = [jl.batch([{"x": X, "y": y}, {"x": X[:40], "y": y[:40]}]) for y in (Y, Y[:, None])]
    one, two = (jl.fit(model, given, engine, seed=0) for given in batches)
    np.testing.assert_allclose(one.objective, two.objective, rtol=1e-3)
    alone = jl.fit(model, {"x": X[:40], "y": Y[:40, None]}, engine, seed=0)
    np.testing.assert_allclose(alone.best().score(), two[1].best().score(), rtol=1e-2)
