"""Aligned labels: permuted fits come back, what follows from them is permuted too, the log joint stays; what cannot be is refused."""

from dataclasses import replace
from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.diagnostics import match_states, permute, permute_states
from jaxlatent.models import InputDriven, emissions, gaussian_mixture, hmm
from jaxlatent.results.label_axes import label_axes

#: Both axes of the labels in parameters of three kinds: with one label axis, with two, and with two and an input behind.
MODEL = hmm(3, emissions.Gaussian(), InputDriven(1))
AXES = {
    "initial_probs": (0,),
    "transition_weights": (0, 1),
    "transition_biases": (0, 1),
    "means": (0,),
    "covs": (0,),
}


def series(seed, lengths=(60, 40)):
    """Three overlapping states; gaps."""
    rng = np.random.default_rng(seed)
    y, u = [], []
    for length in lengths:
        states = np.repeat(rng.integers(0, 3, length // 5), 5)
        values = rng.normal(np.array([-2.0, 0.0, 2.0])[states], 1.0)
        y.append(jl.Masked(values, rng.random(length) > 0.1))
        u.append(rng.normal(size=(length, 1)))
    return {"y": y, "u": u}


DATA = jl.batch({name: series(i) for i, name in enumerate("abc")})


@pytest.fixture(scope="module")
def points():
    return jl.fit(MODEL, DATA, jl.EM(restarts=3, max_iter=30), seed=0)


@pytest.fixture(scope="module")
def draws(points):
    """Two chains of 25 draws around the best points, as if they had been sampled."""
    rng = np.random.default_rng(0)
    params = {}
    for name, value in points.best().params.items():
        noise = np.exp(0.1 * rng.normal(size=(3, 2, 25, *value.shape[1:]))).astype(value.dtype)
        params[name] = value[:, None, None] * noise
    params["initial_probs"] /= params["initial_probs"].sum(-1, keepdims=True)
    lanes = {"objective": points.objective[:, :2], "status": points.status[:, :2], "trace": None}
    return located(replace(points, engine=jl.NUTS(chains=2, draws=25), params=params, statistics={}, **lanes))


def located(result):
    """The same with the positions of its parameters."""
    unconstrain = jax.vmap(lambda posterior, params: posterior.unconstrain(params), (None, 0))
    for _ in range(result.has_draws):
        unconstrain = jax.vmap(unconstrain, (None, 0))
    params = {name: jnp.asarray(value) for name, value in result.params.items()}
    position = jax.jit(jax.vmap(unconstrain))(result.posterior.nameless, params)
    return replace(result, unconstrained={"position": np.asarray(position)})


def shuffled(result, seed=0):
    """The same with an order of its own for each lane and draw, and the orders ``(..., 3)``."""
    lead = result.positions.shape[:-1]
    orders = np.random.default_rng(seed).permuted(np.broadcast_to(np.arange(3), (*lead, 3)), axis=-1)
    return located(replace(result, params=permute(result.params, orders, AXES))), orders


def log_joint(result):
    """The log density of all positions, ``(dataset, lane, draw?)``, of the constrained values."""
    f = lambda posterior, x: posterior.log_density(x, jacobian=False)
    f = jax.vmap(f, (None, 0))
    f = jax.vmap(f, (None, 0)) if result.has_draws else f
    return np.asarray(jax.jit(jax.vmap(f))(result.posterior.nameless, jnp.asarray(result.positions)))


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(params=["points", "draws"])
def fit(request):
    return request.getfixturevalue(request.param)


def test_a_permuted_fit_comes_back_to_the_last_bit(fit):
    # Aligned first, so that the reference decides alone; its own lanes and draws have one order then.
    fit = fit.align(fit)
    other, orders = shuffled(fit)
    back = other.align(fit)
    same(back.params, fit.params)
    np.testing.assert_array_equal(back.objective, fit.objective)
    np.testing.assert_allclose(back.positions, fit.positions, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(log_joint(back), log_joint(fit), rtol=1e-4, atol=1e-2)
    still = (orders == np.arange(3)).all(-1)
    np.testing.assert_array_equal(back.positions[still], other.positions[still])
    assert not still.all()


def test_what_follows_is_permuted_too(fit, tmp_path):
    fit = fit.align(fit)
    other, orders = shuffled(fit)
    probs, columns = fit.smooth()["y"], np.expand_dims(orders, (-3, -2))
    np.testing.assert_allclose(other.smooth()["y"], np.take_along_axis(probs, columns, -1), atol=1e-4)
    np.testing.assert_array_equal(
        other.most_likely_states()["y"], permute_states(fit.most_likely_states()["y"], orders)
    )
    back = other.align(fit)
    np.testing.assert_allclose(back.smooth()["y"], probs, atol=1e-4)
    np.testing.assert_array_equal(back.most_likely_states()["y"], fit.most_likely_states()["y"])
    same(back.predict(seed=1), fit.predict(seed=1))
    same(back.sample_states(seed=1), fit.sample_states(seed=1))
    np.testing.assert_allclose(back.score(), other.score(), rtol=1e-5)
    back.save(tmp_path / "aligned.zarr")
    read = jl.open(tmp_path / "aligned.zarr", MODEL)
    same(dict(read.params), back.params)
    np.testing.assert_array_equal(read.statistics["agreement"], back.statistics["agreement"])
    same(read.align(fit).params, back.params)


def test_no_order_agrees_more(points):
    """Enumerated: the expected number of observed steps in the same state, under the fit and the reference."""
    one = points["b"]
    reference = points["a"].best()
    seen = np.asarray(DATA.data["y"].mask)[1]
    other = replace(reference, posterior=one.posterior).smooth()["y"][seen]
    aligned, probs = one.align(reference), one.smooth()["y"]
    for lane in range(3):
        share = {order: np.mean((probs[lane][seen][:, order] * other).sum(-1)) for order in permutations(range(3))}
        order = max(share, key=share.get)
        np.testing.assert_array_equal(aligned.params["means"][lane], one.params["means"][lane][list(order)])
        np.testing.assert_allclose(aligned.statistics["agreement"][lane], share[order], atol=1e-4)


def test_a_batch_is_a_loop(fit):
    reference = fit["a"].best().params
    reference = {name: value.mean((0, 1)) if fit.has_draws else value for name, value in reference.items()}
    together, each = fit.align(reference), {name: fit[name].align(reference) for name in "abc"}
    for name in "abc":
        same(together[name].params, each[name].params)
        np.testing.assert_allclose(together[name].positions, each[name].positions, rtol=1e-5, atol=1e-5)
    by_name = fit.align(fit)
    for name in "abc":
        same(by_name[name].params, fit[name].align(fit[name]).params)
    some = fit.select(["c", "a"]).align(fit)
    same(some["a"].params, by_name["a"].params)
    assert some.names == ("c", "a")


def test_best_points_and_one_dataset_are_aligned_alike(points):
    reference = points["c"]
    best = points.best().align(reference)
    assert best.leading == ("dataset",) and best.statistics["agreement"].shape == (3,)
    same(best.params, points.align(reference).best().params)
    same(points["a"].best().align(reference).params, best["a"].params)


def test_lanes_that_failed_stay_as_they_are(points):
    bad = {**series(1), "u": [np.full((60, 1), np.nan), np.zeros((40, 1))]}
    with pytest.warns(UserWarning, match="quarantined"):
        data = jl.batch({"a": series(0), "bad": bad, "c": series(2)})
        fit = jl.fit(MODEL, data, jl.EM(restarts=3, max_iter=30), seed=0, on_bad_data="quarantine")
    aligned = fit.align(points["b"])
    assert aligned.quarantined == fit.quarantined and np.isnan(aligned.params["means"][1]).all()
    assert np.isnan(aligned.statistics["agreement"][1]).all()
    np.testing.assert_allclose(aligned["a"].params["means"], points.align(points["b"]).params["means"][0])
    with pytest.raises(jl.InputError, match="only failed lanes"):
        points["a"].align(fit["bad"])
    renamed = replace(fit, names=("a", "b", "c"), quarantined={})
    with pytest.raises(jl.InputError, match=r"whose lanes all failed for 'b'"):
        points.align(renamed)
    same(fit.align(fit).params, aligned.align(fit).params)


def test_draws_that_are_missing_stay_so(draws):
    """A dataset that stopped early, and a chain that failed."""
    reference = draws["a"]
    gone = np.zeros((3, 2, 25), bool)
    gone[0, :, 20:], gone[2, 1] = True, True
    blanked = lambda x: np.where(gone.reshape(gone.shape + (1,) * (x.ndim - 3)), np.nan, x)
    fewer = replace(
        draws,
        params={name: blanked(x) for name, x in draws.params.items()},
        unconstrained={"position": blanked(draws.positions)},
        objective=np.where([[0, 0], [0, 0], [0, 1]], np.nan, draws.objective),
    )
    aligned, whole = fewer.align(reference), draws.align(reference)
    for name, value in aligned.params.items():
        np.testing.assert_array_equal(value, blanked(whole.params[name]))
    np.testing.assert_array_equal(np.isnan(aligned.statistics["agreement"]), gone)
    np.testing.assert_array_equal(np.isnan(aligned.positions).any(-1), gone)


# --- other models -----------------------------------------------------------------------------------------------------


def by_hand(prior, dims=None):
    """A mixture of three, and log scales of three groups that are no components."""
    return jl.Model(
        {
            "means": prior,
            "effects": dist.Normal(0.1 * jnp.arange(3.0), 1.0).to_event(1),
            "weights": dist.Dirichlet(jnp.ones(3)),
        },
        lambda p, d: {
            "y": dist.MixtureSameFamily(
                dist.Categorical(p.weights), dist.Normal(p.means, jnp.exp(p.effects[d.group])[:, None])
            )
        },
        derived=lambda p, d: {"total": p.means * p.weights},
        dims=dims or {},
    )


GROUPS = {"y": np.random.default_rng(0).normal([-4.0, 0.0, 4.0], 1.0, (20, 3)).ravel(), "group": np.arange(60) // 3 % 3}
NAMED = {"means": ("component",), "weights": ("component",), "effects": ("group",)}
SYMMETRIC = dist.Normal(0.0, 5.0).expand([3]).to_event(1)


@pytest.fixture(scope="module")
def modes():
    """Of a model by hand, with standard errors."""
    return jl.fit(by_hand(SYMMETRIC, NAMED), GROUPS, jl.Optimize(objective="mle", restarts=2), seed=0)


def of_model(fit, model, **params):
    """Points of another model that has the same parameters, or fewer."""
    posterior = jl.condition(model, GROUPS)
    params = {name: fit.params[name] if name not in params else params[name] for name in posterior.density.names}
    position = np.asarray(jax.vmap(posterior.unconstrain)({name: jnp.asarray(x) for name, x in params.items()}))
    return replace(fit, posterior=posterior, params=params, derived={}, unconstrained={"position": position})


def test_named_dimensions_say_what_is_permuted_and_derived_quantities_and_standard_errors_follow(modes):
    fit = modes.best()
    order = np.argsort(fit.params["means"])[::-1]
    other = fit.align({"means": fit.params["means"][order], "weights": fit.params["weights"][order]})
    np.testing.assert_array_equal(other.params["means"], fit.params["means"][order])
    np.testing.assert_array_equal(other.params["effects"], fit.params["effects"])
    np.testing.assert_allclose(other.derived["total"], fit.derived["total"][order], rtol=1e-5)
    for name, columns in [("means", order), ("weights", order), ("effects", np.arange(3))]:
        expected = fit.standard_errors((name,))[name][columns]
        np.testing.assert_allclose(other.standard_errors((name,))[name], expected, rtol=1e-2, err_msg=name)


def test_labels_that_are_not_exchangeable_are_refused(modes):
    held = jl.Masked(np.array([-4.0, 0.0, 0.0]), np.array([True, False, False]))
    fixed = jl.fix(by_hand(SYMMETRIC, NAMED), means=held)
    cases = [
        ("prior of 'means'", jl.ordered(dist.Normal(0.0, 5.0).expand([3])), {"means": np.sort(modes.params["means"])}),
        ("prior of 'means'", dist.Normal(jnp.array([-4.0, 0.0, 4.0]), 1.0).to_event(1), {}),
    ]
    fits = [(words, of_model(modes, by_hand(prior, NAMED), **params)) for words, prior, params in cases]
    fits.append(("prior of 'effects'", of_model(modes, by_hand(SYMMETRIC))))
    fits.append(("prior of 'means'", of_model(modes, fixed)))
    fits.append(
        ("likelihood of 'y'", of_model(modes, jl.fix(by_hand(SYMMETRIC, NAMED), means=np.array([-4.0, 0.0, 4.0]))))
    )
    for words, fit in fits:
        with pytest.raises(jl.InputError, match="exchangeable") as caught:
            fit.align(fit)
        assert words in caught.value.got, caught.value


def test_what_does_not_fit_is_named(points, modes):
    one = points["a"].best()
    without = {name: value for name, value in one.params.items() if name != "means"}
    two = replace(one, params={name: value[(slice(2),) * len(AXES[name])] for name, value in one.params.items()})
    plain = jl.Model(
        {name: dist.Normal(0.0, 1.0).expand([3]).to_event(1) for name in ("means", "effects", "weights")},
        lambda p, d: {"y": dist.Normal(p.means[d.group], 1.0)},
    )
    nothing = replace(modes.best(), posterior=jl.condition(plain, GROUPS))
    cases = [
        (lambda: points.align(two), ["'initial_probs'", "(2,)", "(3,)", "3 labels"]),
        (lambda: points.align(without), ["'means'", "a reference with"]),
        (lambda: points.align({**one.params, "means": np.full(3, np.nan)}), ["'means'", "not finite"]),
        (lambda: points["a"].align(points), ["'a'", "a fit of one dataset", "other[name]"]),
        (lambda: points.align(points.select(["a", "c"])), ["'a' and 'c'", "other[name]"]),
        (lambda: nothing.align(one), ["without latent labels", "no labels to change"]),
    ]
    for call, words in cases:
        with pytest.raises(jl.InputError) as caught:
            call()
        assert [word for word in words if word not in str(caught.value)] == [], caught.value


def test_label_axes():
    shapes = {"transition_matrix": (3, 3), "means": (3, 3), "shared": (3, 3), "noise": ()}
    assert label_axes(shapes, {}, 3) == {"transition_matrix": (0, 1), "means": (0,), "shared": (0,)}
    dims = {"transition_matrix": ("state", "next_state"), "means": ("state", "feature")}
    assert label_axes(shapes, dims, 3) == {"transition_matrix": (0, 1), "means": (0,)}
    assert label_axes({"noise": ()}, {}, 3) == {}
    # Of a covariance for all components no axis is theirs, though both have their length.
    tied = gaussian_mixture(2, 2, "tied")
    shapes = {"mixture_weights": (2,), "covs": (2, 2), "means": (2, 2)}
    assert label_axes(shapes, tied.dims, 2) == {"mixture_weights": (0,), "means": (0,)}


# --- a study ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_animals_get_the_states_of_all_animals_together():
    """Twelve animals with weights of their own; the pooled fit knows them only together. One of twelve may differ."""
    rng = np.random.default_rng(0)
    weights, biases = np.array([[5.0, 0.5], [0.5, 0.0], [0.5, 0.0]]), np.array([0.0, 2.5, -2.5])
    animals, truth = {}, {}
    for name in range(12):
        w, b = weights + 0.3 * rng.normal(size=(3, 2)), biases + 0.3 * rng.normal(size=3)
        states = np.repeat(rng.integers(0, 3, (2, 8)), 20, 1)
        x = rng.normal(size=(2, 160, 2))
        y = rng.random((2, 160)) < 1 / (1 + np.exp(-(np.sum(w[states] * x, -1) + b[states])))
        animals[name], truth[name] = {"x": x, "y": y.astype(int)}, states
    model = hmm(3, emissions.BernoulliRegression(2))
    together = {key: np.concatenate([data[key] for data in animals.values()]) for key in ("x", "y")}
    pooled = jl.fit(model, together, jl.EM(restarts=4), seed=0)
    fits = jl.fit(model, jl.batch(animals), jl.EM(restarts=3), seed=1)
    states = np.stack(list(truth.values()))
    order = match_states(pooled.best().smooth()["y"].argmax(-1), states.reshape(24, 160), 3)

    def right(fit):
        paths = fit.best().smooth()["y"].argmax(-1)
        return sum(np.array_equal(match_states(path, own, 3), order) for path, own in zip(paths, states, strict=True))

    assert right(fits) < 8 < 11 <= right(fits.align(pooled))
