"""Label switching: matches against brute force over all orders, and what relabelling must undo and must leave alone."""

from itertools import permutations, product

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from jaxlatent.diagnostics import rhat
from jaxlatent.diagnostics.relabelling import (
    assign,
    assignment,
    match_parameters,
    match_states,
    permute,
    permute_states,
    relabel,
)
from jaxlatent.errors import InputError
from jaxlatent.latent import markov

AXES = {"weights": (0,), "means": (0,), "transition_matrix": (0, 1)}


def random_orders(rng, lead, size):
    return rng.permuted(np.broadcast_to(np.arange(size), (*lead, size)), axis=-1)


def value(rng, size, dim=2):
    """Parameters of one hidden Markov model; the states lie apart."""
    return {
        "weights": rng.dirichlet(np.full(size, 5.0)),
        "means": 10 * rng.permutation(size)[:, None] + rng.normal(size=(size, dim)),
        "transition_matrix": rng.dirichlet(np.full(size, 5.0), size),
        "noise": rng.gamma(3.0, size=()),
    }


def draws(rng, lead, size, spread=0.3):
    """Draws around one value, all in the same order."""
    center = value(rng, size)
    noise = lambda v: np.exp(spread * rng.normal(size=(*lead, *v.shape)))
    params = {name: v * noise(v) for name, v in center.items()}
    params["transition_matrix"] /= params["transition_matrix"].sum(-1, keepdims=True)
    params["means"] = center["means"] + spread * rng.normal(size=(*lead, *center["means"].shape))
    return params


# assignment


@pytest.mark.parametrize("size", range(1, 9))
def test_assignment_agrees_with_scipy(size):
    cost = np.random.default_rng(size).normal(size=(3, 50, size, size))
    perm = assign(cost)
    assert perm.shape == (3, 50, size) and np.issubdtype(perm.dtype, np.integer)
    for index in np.ndindex(3, 50):
        np.testing.assert_array_equal(perm[index], linear_sum_assignment(cost[index])[1])


@pytest.mark.parametrize("size", [3, 4, 6])
def test_assignment_is_the_cheapest_of_all_orders(size):
    cost = np.random.default_rng(size).integers(0, 10, size=(size, size))
    total = lambda perm: cost[np.arange(size), np.asarray(perm)].sum()
    assert total(assign(cost)) == min(map(total, permutations(range(size))))


def test_assignment_goes_block_by_block(monkeypatch):
    cost = np.random.default_rng(0).normal(size=(50, 3, 3))
    whole = assign(cost)
    monkeypatch.setattr(assignment, "_BLOCK", 7)
    np.testing.assert_array_equal(assign(cost), whole)
    assert assign(cost[:0]).shape == (0, 3)


@pytest.mark.parametrize("size", [2, 5])
def test_no_preference_keeps_the_order(size):
    np.testing.assert_array_equal(assign(np.zeros((size, size))), np.arange(size))


# paths of states


@pytest.mark.parametrize("size", [3, 4])
def test_states_agree_on_as_many_steps_as_any_order_allows(size):
    rng = np.random.default_rng(size)
    reference = rng.integers(-1, size, 40)
    states = rng.integers(-1, size, (5, 2, 40))
    mask = rng.random(40) < 0.7
    perm = match_states(states, reference, size, mask)
    assert perm.shape == (5, 2, size)
    agreement = lambda path, order: (permute_states(path, np.array(order)) == reference)[mask & (path >= 0)].sum()
    for index in np.ndindex(5, 2):
        every = [agreement(states[index], order) for order in permutations(range(size))]
        assert agreement(states[index], perm[index]) == max(every) > min(every)


def test_states_renamed_at_random_are_recovered():
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 4, (3, 50))
    orders = random_orders(rng, (6,), 4)
    states = np.stack([order[reference] for order in orders])
    states[:, 1, 10:20] = -1
    perm = match_states(states, reference, 4)
    np.testing.assert_array_equal(perm, orders)
    renamed = permute_states(states, perm)
    np.testing.assert_array_equal(renamed[states >= 0], np.broadcast_to(reference, states.shape)[states >= 0])
    assert (renamed[states < 0] == -1).all() and renamed.dtype == states.dtype


def test_masked_steps_do_not_count():
    reference = np.array([0, 0, 1, 1, 0, 0, 0, 0])
    states = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(match_states(states, reference, 2, reference[::-1] == reference), [0, 1])
    np.testing.assert_array_equal(match_states(states, reference, 2, np.arange(8) < 4), [1, 0])


def test_states_and_parameters_are_permuted_alike():
    rng = np.random.default_rng(1)
    means, states, perm = rng.normal(size=(5, 3)), rng.integers(0, 3, (5, 20)), random_orders(rng, (5,), 3)
    renamed = permute_states(states, perm)
    ordered = permute({"means": means}, perm, {"means": (0,)})["means"]
    np.testing.assert_array_equal(
        np.take_along_axis(ordered, renamed, 1),
        np.take_along_axis(means, states, 1),
    )
    assert (renamed != states).any()


# parameters


def entries(params):
    """What decides the match, ``(N, K, F)``: values of single labels, and diagonals of transition matrices."""
    stay = np.diagonal(params["transition_matrix"], axis1=-2, axis2=-1)
    return np.concatenate([params["weights"][..., None], params["means"], stay[..., None]], -1)


def in_order(x, perm):
    return np.take_along_axis(x, perm[..., None], -2)


@pytest.mark.parametrize("size", [3, 4])
def test_parameters_match_as_brute_force_does(size):
    """No order of any draw is nearer to the reference, in units of the spread about it."""
    rng = np.random.default_rng(size)
    params = {name: rng.normal(size=(20, size, *rest)) for name, rest in [("weights", ()), ("means", (2,))]}
    params["transition_matrix"] = rng.normal(size=(20, size, size))
    reference = {name: rng.normal(size=v.shape[1:]) for name, v in params.items()}
    perm = match_parameters(params, reference, AXES)
    x, target = entries(params), entries(reference)
    spread = np.sqrt(np.square(in_order(x, perm) - target).mean((0, 1)))
    distance = lambda draw, order: np.square((x[draw][list(order)] - target) / spread).sum()
    for draw in range(20):
        best = min(permutations(range(size)), key=lambda order: distance(draw, order))
        np.testing.assert_array_equal(perm[draw], best)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3, 4)], ids=["one", "restarts", "datasets, chains, draws"])
def test_permuted_parameters_are_recovered(lead):
    rng = np.random.default_rng(2)
    params = draws(rng, lead, 4)
    reference = {name: v.mean(tuple(range(len(lead)))) for name, v in params.items()} if lead else params
    orders = random_orders(rng, lead, 4)
    switched = permute(params, orders, AXES)
    perm = match_parameters(switched, reference, AXES)
    np.testing.assert_array_equal(perm, np.argsort(orders, -1))
    for name, found in permute(switched, perm, AXES).items():
        np.testing.assert_array_equal(found, params[name])


def test_units_and_offsets_do_not_matter():
    rng = np.random.default_rng(3)
    params = {"a": rng.normal(size=(200, 3)), "b": rng.normal(size=(200, 3, 2))}
    reference = {"a": rng.normal(size=3), "b": rng.normal(size=(3, 2))}
    axes = {"a": (0,), "b": (0,)}
    perm = match_parameters(params, reference, axes)
    change = lambda p: {"a": 1e6 + 1e-3 * p["a"], "b": p["b"] * np.array([1e5, 1e-5])}
    np.testing.assert_array_equal(match_parameters(change(params), change(reference), axes), perm)
    assert (perm != match_parameters({"a": params["a"]}, {"a": reference["a"]}, {"a": (0,)})).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_of_a_constant_does_not_decide(dtype):
    """Equal weights, written as softmax leaves them: the means decide alone."""
    rng = np.random.default_rng(4)
    means = np.array([[-0.3, 0.3]]) + rng.normal(size=(100, 2))
    nearly = lambda bit: (0.5 * (1 + np.finfo(dtype).eps * bit)).astype(dtype)
    weights = nearly(rng.integers(0, 2, (100, 2)))
    axes, reference = (
        {"means": (0,), "weights": (0,)},
        {"means": np.array([-1, 1]), "weights": nearly(np.array([1, 0]))},
    )
    perm = match_parameters({"means": means.astype(dtype), "weights": weights}, reference, axes)
    np.testing.assert_array_equal(perm, np.argsort(means, -1))


# permuting


def test_permute_takes_both_axes_of_a_transition_matrix():
    rng = np.random.default_rng(5)
    params, perm = draws(rng, (2, 5), 3), random_orders(rng, (2, 5), 3)
    ordered = permute(params, perm, AXES)
    for index in np.ndindex(2, 5):
        order = perm[index]
        np.testing.assert_array_equal(ordered["means"][index], params["means"][index][order])
        np.testing.assert_array_equal(
            ordered["transition_matrix"][index], params["transition_matrix"][index][np.ix_(order, order)]
        )
    np.testing.assert_array_equal(ordered["noise"], params["noise"])


def test_one_order_for_each_dataset_serves_its_draws():
    rng = np.random.default_rng(6)
    params, perm = draws(rng, (3, 4), 3), random_orders(rng, (3,), 3)
    everywhere = np.broadcast_to(perm[:, None], (3, 4, 3))
    for name, found in permute(params, perm[:, None], AXES).items():
        np.testing.assert_array_equal(found, permute(params, everywhere, AXES)[name])


def test_permuting_keeps_the_likelihood_of_a_hidden_markov_model():
    rng = np.random.default_rng(7)
    params = {
        "initial": rng.dirichlet(np.ones(3)),
        "transition": rng.dirichlet(np.ones(3), 3),
        "log_likelihoods": rng.normal(size=(30, 3)),
    }
    axes = {"initial": (0,), "transition": (0, 1), "log_likelihoods": (1,)}
    log_likelihood = lambda p: float(markov.log_normalizer(*(jnp.asarray(p[name]) for name in axes)))
    before = log_likelihood(params)
    for order in list(permutations(range(3)))[1:]:
        assert log_likelihood(permute(params, np.array(order), axes)) == pytest.approx(before, abs=1e-4)
        rows_only = permute(params, np.array(order), axes | {"transition": (0,)})
        assert abs(log_likelihood(rows_only) - before) > 0.01


# aligning draws


@pytest.mark.parametrize(("size", "lead"), [(2, (4, 100)), (3, (2, 50)), (4, (20,)), (6, (3, 2, 10))])
def test_relabelling_recovers_draws_up_to_one_order(size, lead):
    rng = np.random.default_rng(size)
    params, orders = draws(rng, lead, size), random_orders(rng, lead, size)
    result = relabel(permute(params, orders, AXES), AXES, leading=len(lead))
    assert result.converged and result.permutations.shape == (*lead, size)
    overall = np.take_along_axis(orders, result.permutations, -1).reshape(-1, size)
    assert (overall == overall[0]).all()
    one = overall[0].reshape(*[1] * len(lead), size)
    for name, found in permute(params, one, AXES).items():
        np.testing.assert_array_equal(result.params[name], found)


def test_rhat_is_repaired():
    """Two components, switched in two of four chains."""
    rng = np.random.default_rng(8)
    means = np.array([-1.2, 1.2]) + rng.normal(size=(4, 1000, 2))
    weights = np.clip(np.array([0.3, 0.7]) + 0.05 * rng.normal(size=(4, 1000, 2)), 0.01, 0.99)
    axes = {"means": (0,), "weights": (0,)}
    switch = np.array([[0, 1], [1, 0], [0, 1], [1, 0]])[:, None]
    switched = permute({"means": means, "weights": weights}, switch, axes)
    result = relabel(switched, axes)
    for name in axes:
        assert (np.asarray(rhat(switched[name])) > 1.5).all()
        assert (np.asarray(rhat(result.params[name])) < 1.01).all()


def log_spread(x):
    """Of aligned draws ``(N, K, F)`` about the mean of each label: what relabelling makes small."""
    return np.log(np.square(x - x.mean(0)).mean((0, 1))).sum() / 2


@pytest.mark.parametrize("seed", range(5))
def test_no_alignment_of_a_few_draws_is_better(seed):
    """Every combination of orders of six draws; overlapping labels, so that the answer is not obvious."""
    rng = np.random.default_rng(seed)
    x = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]) + rng.normal(size=(6, 3, 2))
    x = in_order(x, random_orders(rng, (6,), 3))
    orders = np.array(list(permutations(range(3))))
    each = x[:, orders]
    every = [
        log_spread(np.stack([x[0], *(each[draw + 1, order] for draw, order in enumerate(rest))]))
        for rest in product(range(6), repeat=5)
    ]
    found = log_spread(relabel({"x": x}, {"x": (0,)}, leading=1).params["x"])
    assert found <= min(every) + 1e-9 < np.median(every)


def test_every_round_narrows_the_labels():
    rng = np.random.default_rng(10)
    x = 1.5 * rng.normal(size=(4, 3)) + rng.normal(size=(2, 100, 4, 3))
    x = in_order(x, random_orders(rng, (2, 100), 4))
    last = relabel({"x": x}, {"x": (0,)})
    rounds = [relabel({"x": x}, {"x": (0,)}, max_iter=i) for i in range(1, last.iterations + 1)]
    spreads = [log_spread(r.params["x"].reshape(-1, 4, 3)) for r in rounds]
    assert last.iterations > 2 and (np.diff(spreads[:-1]) < 0).all() and spreads[-1] == spreads[-2]
    assert [r.converged for r in rounds] == [False] * (last.iterations - 1) + [True]


@pytest.mark.parametrize("count", [10, 1000])
@pytest.mark.parametrize("size", [3, 6])
def test_noise_does_not_hide_what_separates(size, count):
    """Eight entries that say nothing about labels beside one that says all."""
    rng = np.random.default_rng(size)
    center = np.concatenate([10.0 * rng.permutation(size)[:, None], np.zeros((size, 8))], -1)
    x = center + np.concatenate([0.3 * rng.normal(size=(count, size, 1)), rng.normal(size=(count, size, 8))], -1)
    orders = random_orders(rng, (count,), size)
    switched = {"x": in_order(x, orders)}
    for reference in (center, x[0]):  # the truth, and a draw as noisy as the others
        perm = match_parameters(switched, {"x": reference}, {"x": (0,)})
        np.testing.assert_array_equal(perm, np.argsort(orders, -1))
    overall = np.take_along_axis(orders, relabel(switched, {"x": (0,)}, leading=1).permutations, -1)
    assert (overall == overall[0]).all()


def test_the_order_of_labels_that_came_in_does_not_matter():
    """Starts are chosen without regard to it, so the draws end aligned the same way, up to one order of all."""
    rng = np.random.default_rng(11)
    params = draws(rng, (2, 50), 3, spread=1.0)
    one = relabel(params, AXES)
    orders = random_orders(rng, (2, 50), 3)
    other = relabel(permute(params, orders, AXES), AXES)
    overall = np.take_along_axis(orders, other.permutations, -1)
    same = np.array([np.array_equal(one.permutations, overall[..., list(order)]) for order in permutations(range(3))])
    assert same.sum() == 1


def test_names_decide_and_everything_is_permuted():
    rng = np.random.default_rng(12)
    params = draws(rng, (2, 50), 3)
    params["weights"] = rng.random((2, 50, 3))
    orders = random_orders(rng, (2, 50), 3)
    switched = permute(params, orders, AXES)
    switched["transition_matrix"][0, 0, 0, 0] = np.nan  # decides nothing
    result = relabel(switched, AXES, names=["means"], pivot=(1, 7))
    overall = np.take_along_axis(orders, result.permutations, -1)
    assert (overall == overall[0, 0]).all()
    np.testing.assert_array_equal(result.params["weights"], params["weights"][..., overall[0, 0]])
    assert (relabel(switched, AXES, names=["weights"]).permutations != result.permutations).any()


def test_the_pivot_keeps_its_order():
    rng = np.random.default_rng(13)
    params = permute(draws(rng, (2, 20), 4), random_orders(rng, (2, 20), 4), AXES)
    for pivot in [(0, 0), (1, 19)]:
        result = relabel(params, AXES, pivot=pivot)
        np.testing.assert_array_equal(result.permutations[pivot], np.arange(4))
        np.testing.assert_array_equal(result.params["means"], permute(params, result.permutations, AXES)["means"])


# bad input


def good():
    return draws(np.random.default_rng(14), (2, 3), 3)


def broken(name, index, entry=np.nan):
    params = good()
    params[name][index] = entry
    return params


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: relabel(good(), {"mean": (0,)}), ["'mean'", "did you mean 'means'"]),
        (lambda: relabel(good(), {}), ["axes", "no parameters"]),
        (lambda: relabel(good(), {"means": (2,)}), ["'means'", "(2,)", "(2, 3, 3, 2)"]),
        (lambda: relabel(good(), {"means": (-1,)}), ["'means'", "(-1,)"]),
        (lambda: relabel(good(), {"means": 0}), ["'means'", "tuple"]),
        (lambda: relabel(good(), {"means": ()}), ["'means'", "()"]),
        (lambda: relabel(good(), {"transition_matrix": (0, 0)}), ["'transition_matrix'", "(0, 0)"]),
        (lambda: relabel(good(), {"noise": (0,)}), ["'noise'"]),
        (lambda: relabel(good(), {"weights": (0,), "means": (1,)}), ["3 ('weights' axis 0)", "2 ('means' axis 1)"]),
        (lambda: relabel(good(), AXES, names=["mean"]), ["names", "did you mean 'means'"]),
        (lambda: relabel(good(), AXES, names=["noise"]), ["names", "'noise'"]),
        (lambda: relabel(good(), AXES, names=[]), ["names", "at least one"]),
        (lambda: relabel(good(), AXES, max_iter=0), ["max_iter", "0"]),
        (lambda: relabel(good(), AXES, pivot=(0, 3)), ["pivot", "(0, 3)", "(2, 3)"]),
        (lambda: relabel(good(), AXES, pivot=(0,)), ["pivot", "(0,)"]),
        (lambda: relabel(broken("means", (0, 1, 2, 0)), AXES), ["'means'", "1 of 36"]),
        (lambda: relabel(broken("weights", (0, 1), np.inf), AXES), ["'weights'", "3 of 18"]),
        (lambda: relabel(good() | {"weights": np.ones((2, 4, 3))}, AXES), ["(2, 4) ('weights')", "(2, 3) ('means')"]),
        (lambda: relabel({"means": np.ones((0, 5, 3))}, {"means": (0,)}), ["(0, 5) ('means')", "empty"]),
        (lambda: match_parameters(good(), {"means": np.ones((3, 2))}, AXES), ["reference", "'weights'"]),
        (
            lambda: match_parameters(good(), {"means": np.ones((4, 2))}, {"means": (0,)}),
            ["reference 'means'", "(4, 2)", "(2, 3, 3, 2)"],
        ),
        (
            lambda: match_parameters(good(), {"means": np.full((3, 2), np.nan)}, {"means": (0,)}),
            ["'means'", "6 of 6"],
        ),
        (
            lambda: match_parameters(
                good() | {"weights": np.ones((2, 3))},
                {n: v[0, 0] for n, v in good().items()} | {"weights": np.ones(3)},
                AXES,
            ),
            ["(2,) ('weights')", "(2, 3) ('means')"],
        ),
        (lambda: permute(good(), np.zeros((2, 3, 3), int), AXES), ["perm", "not permutations"]),
        (lambda: permute(good(), np.ones((2, 3, 3)) * np.arange(3), AXES), ["perm", "float64"]),
        (lambda: permute(good(), np.arange(3), AXES), ["axes", "numbers of labels"]),
        (lambda: permute(good(), np.arange(4)[None, None], AXES), ["perm", "(1, 1, 4)", "(2, 3, 3)"]),
        (lambda: permute(good(), np.tile(np.arange(3), (2, 2, 1)), AXES), ["perm", "(2, 2, 3)", "(2, 3, 3)"]),
        (lambda: permute_states(np.array([0, 3]), np.arange(3)), ["states", "0 to 3", "0 to 2"]),
        (lambda: permute_states(np.zeros((2, 5), int), np.tile(np.arange(3), (3, 1))), ["perm", "(3, 3)", "(2, 5)"]),
        (lambda: match_states(np.array([0, 3]), np.array([0, 1]), 3), ["match_states(states)", "0 to 3"]),
        (lambda: match_states(np.array([0, 1]), np.array([0, -2]), 3), ["match_states(reference)", "-2"]),
        (lambda: match_states(np.array([0.0, 1.0]), np.array([0, 1]), 3), ["match_states(states)", "float64"]),
        (lambda: match_states(np.array([0, 1]), np.array([0, 1, 1]), 3), ["reference", "(3,)", "(2,)"]),
        (lambda: match_states(np.array([0, 1]), np.array([0, 1]), 3, np.ones(3, bool)), ["mask", "(3,)", "(2,)"]),
        (lambda: assign(np.ones((3, 2))), ["cost", "(3, 2)"]),
        (lambda: assign(np.full((2, 2), np.nan)), ["cost", "4 of 4"]),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(InputError) as caught:
        call()
    assert [word for word in words if word not in str(caught.value)] == []
