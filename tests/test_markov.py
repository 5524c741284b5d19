"""Laws of the Markov core, held against all paths enumerated, dynamax and hmmlearn."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from often import often

from jaxlatent import InputError
from jaxlatent._compat.versions import FORMER_XLA
from jaxlatent.latent import markov

METHODS = ("sequential", "associative")
smooth, filtered, log_normalizer = (
    jax.jit(f, static_argnames="method") for f in (markov.smooth, markov.filtered, markov.log_normalizer)
)
value_and_grad = jax.jit(jax.value_and_grad(markov.log_normalizer, (0, 1, 2)), static_argnames="method")
most_likely_states, sample_states = jax.jit(markov.most_likely_states), jax.jit(markov.sample_states)
#: Float32, sums of a few dozen terms.
CLOSE = {"rtol": 2e-5, "atol": 2e-5}


def problem(seed, states, steps, *, varying=False, zeros=False, leading=()):
    """A random chain and log likelihoods; ``zeros`` forbids a start, a transition and an observation."""
    rng = np.random.default_rng(seed)
    rows = (steps - 1, states) if varying else (states,)
    initial, transition = rng.dirichlet(np.ones(states)), rng.dirichlet(np.ones(states), rows)
    likelihoods = rng.normal(size=(*leading, steps, states)) * 3
    if zeros:
        initial[0], transition[..., 0, 1], likelihoods[..., 1, 2] = 0, 0, -np.inf
        initial /= initial.sum()
        transition /= transition.sum(-1, keepdims=True)
    return tuple(jnp.asarray(x, jnp.float32) for x in (initial, transition, likelihoods))


CASES = {
    "plain": problem(0, 3, 5),
    "two states, two steps": problem(1, 2, 2),
    "one state": problem(2, 1, 4),
    "one step": problem(3, 3, 1),
    "varying transitions": problem(4, 3, 5, varying=True),
    "one step, varying": problem(7, 3, 1, varying=True),
    "zero probabilities": problem(5, 3, 5, zeros=True),
    "zeros that vary": problem(6, 3, 5, varying=True, zeros=True),
}
cases = pytest.mark.parametrize("name", often(CASES, {"plain", "one state", "one step", "zeros that vary"}))
methods = pytest.mark.parametrize("method", METHODS)


def enumerate_paths(initial, transition, likelihoods):
    """All paths ``(paths, T)`` and the probability of each together with the observations; in JAX for its derivatives, else in NumPy."""
    steps, states = likelihoods.shape
    paths = np.array(list(itertools.product(range(states), repeat=steps)))
    if not isinstance(initial, jax.core.Tracer):
        initial, transition, likelihoods = (np.asarray(x) for x in (initial, transition, likelihoods))
    odds = (jnp if isinstance(initial, jax.core.Tracer) else np).exp(likelihoods)
    probs = initial[paths[:, 0]] * odds[0, paths[:, 0]]
    for t in range(1, steps):
        matrix = transition if transition.ndim == 2 else transition[t - 1]
        probs = probs * matrix[paths[:, t - 1], paths[:, t]] * odds[t, paths[:, t]]
    return paths, probs


def by_enumeration(initial, transition, likelihoods):
    return jnp.log(jnp.sum(enumerate_paths(initial, transition, likelihoods)[1]))


by_enumeration_and_grad = jax.jit(jax.value_and_grad(by_enumeration, (0, 1, 2)))


@methods
@cases
def test_value_and_gradient_equal_the_sum_over_all_paths(name, method):
    case = CASES[name]
    value, gradient = value_and_grad(*case, method=method)
    expected, slopes = by_enumeration_and_grad(*case)
    np.testing.assert_allclose(value, expected, **CLOSE)
    for ours, theirs in zip(gradient, slopes, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", often(["plain", "varying transitions"], {"plain"}))
def test_the_hessian_equals_that_of_the_sum_over_all_paths(name):
    case = CASES[name]
    theirs = jax.jit(jax.hessian(by_enumeration, (0, 1, 2)))(*case)
    forwards = jax.jit(jax.hessian(log_normalizer, (0, 1, 2)))
    backwards = jax.jit(jax.jacrev(jax.grad(log_normalizer, (0, 1, 2)), (0, 1, 2)))
    for ours in (forwards(*case), backwards(*case)):
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)


#: What a program knows when it is compiled. XLA aborts where a kernel of a loop loses an argument to what it knows of it.
KNOWN = {
    "nothing": set(),
    "the matrix": {"transition"},
    "that nothing is missing": {"mask"},
    "everything": {"initial", "transition", "likelihoods", "mask"},
}


@pytest.mark.parametrize("varying", [False, True])
@pytest.mark.parametrize("name", often(KNOWN, {"that nothing is missing", "everything"}))
def test_what_a_program_knows_beforehand_does_not_matter(name, varying):
    chain = problem(8, 2, 4, varying=varying, leading=(3,))
    arguments = dict(zip(("initial", "transition", "likelihoods"), chain, strict=True)) | {
        "mask": jnp.ones((3, 4), bool)
    }
    given = {key: value for key, value in arguments.items() if key not in KNOWN[name]}

    @jax.jit
    def both(given):
        initial, transition, likelihoods, mask = (given.get(key, value) for key, value in arguments.items())
        loss = lambda *x: markov.log_normalizer(*x, mask, "sequential").sum()
        return jax.value_and_grad(loss, (0, 1, 2))(initial, transition, likelihoods)

    initial, transition, likelihoods, mask = arguments.values()
    loss = lambda *x: log_normalizer(*x, mask, "associative").sum()
    expected = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(initial, transition, likelihoods)
    for a, b in zip(jax.tree.leaves(both(given)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("states", "few"), [(16, True), (17, False)])
def test_a_chain_of_few_states_is_one_kernel_and_one_of_many_agrees(states, few):
    one = few and FORMER_XLA
    case = problem(9, states, 6, leading=(2,))
    values = [jax.jit(log_normalizer, static_argnames="method")(*case, method=method) for method in METHODS]
    np.testing.assert_allclose(*values, **CLOSE)
    marked = lambda f: 'xla_cpu_small_call = "true"' in jax.jit(f).lower(*case).as_text()
    value = lambda *x: markov.log_normalizer(*x, method="sequential").sum()
    assert marked(markov.smooth) == marked(jax.grad(value)) == one
    assert not marked(jax.jacrev(jax.grad(value)))


@methods
@cases
def test_posteriors_equal_the_shares_of_all_paths(name, method):
    case = CASES[name]
    paths, probs = enumerate_paths(*case)
    steps, states = case[2].shape
    probs = probs / probs.sum()
    here = paths[:, :, None] == np.arange(states)
    smoothed = smooth(*case, method=method)
    np.testing.assert_allclose(smoothed.probs, np.einsum("p,ptk->tk", probs, here), **CLOSE)
    pairs = np.einsum("p,pti,ptj->tij", probs, here[:, :-1], here[:, 1:])
    expected = pairs if case[1].ndim == 3 else pairs.sum(0)
    np.testing.assert_allclose(smoothed.transitions, expected, **CLOSE)
    for t in range(steps):
        until = (case[0], case[1] if case[1].ndim == 2 else case[1][:t], case[2][: t + 1])
        last, weights = enumerate_paths(*until)
        share = [weights[last[:, t] == k].sum() / weights.sum() for k in range(states)]
        np.testing.assert_allclose(filtered(*case, method=method).probs[t], share, **CLOSE)


@cases
def test_the_most_likely_path_is_the_best_of_all(name):
    case = CASES[name]
    paths, probs = enumerate_paths(*case)
    path, log_prob = most_likely_states(*case)
    np.testing.assert_array_equal(path, paths[np.argmax(probs)])
    np.testing.assert_allclose(log_prob, np.log(probs.max()), **CLOSE)


@pytest.mark.parametrize("name", ["plain", "varying transitions", "zero probabilities"])
def test_drawn_paths_come_as_often_as_they_should(name):
    case, draws = CASES[name], 20_000
    probs = enumerate_paths(*case)[1]
    probs = probs / probs.sum()
    drawn = np.asarray(
        jax.jit(jax.vmap(lambda k: markov.sample_states(k, *case)))(jax.random.split(jax.random.key(1), draws))
    )
    powers = case[2].shape[1] ** np.arange(drawn.shape[1])[::-1]
    counts = np.bincount(drawn @ powers, minlength=len(probs))
    assert not counts[probs == 0].any()
    error = np.sqrt(draws * probs * (1 - probs)) + 1
    assert (
        np.abs(counts - draws * probs).max() < (5 * error).max() and (np.abs(counts - draws * probs) < 5 * error).all()
    )


def test_simulated_chains_follow_the_matrix():
    initial, transition, _ = problem(7, 3, 2)
    paths = np.asarray(
        jax.jit(jax.vmap(lambda k: markov.simulate_states(k, initial, transition, 3)))(
            jax.random.split(jax.random.key(2), 20_000)
        )
    )
    np.testing.assert_allclose(np.bincount(paths[:, 0]) / 20_000, initial, atol=0.018)
    for i in range(3):
        left = paths[:, 1:][paths[:, :-1] == i]
        error = 5 * np.sqrt(0.25 / len(left))
        np.testing.assert_allclose(np.bincount(left, minlength=3) / len(left), transition[i], atol=error)


# --- against other libraries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("varying", [False, True], ids=["stationary", "varying"])
def test_agrees_with_dynamax(varying):
    from dynamax.hidden_markov_model.inference import hmm_filter, hmm_posterior_mode, hmm_two_filter_smoother

    case = problem(8, 4, 60, varying=varying)
    theirs, ours = hmm_two_filter_smoother(*case), smooth(*case)
    np.testing.assert_allclose(ours.log_normalizer, theirs.marginal_loglik, rtol=1e-5)
    np.testing.assert_allclose(ours.probs, theirs.smoothed_probs, atol=2e-5)
    np.testing.assert_array_equal(most_likely_states(*case)[0], hmm_posterior_mode(*case))
    theirs = jax.jit(jax.grad(lambda *case: hmm_filter(*case).marginal_loglik, (0, 1, 2)))(*case)
    for a, b in zip(value_and_grad(*case)[1], theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_agrees_with_hmmlearn():
    hmm = pytest.importorskip("hmmlearn.hmm")
    rng = np.random.default_rng(0)
    initial, transition, _ = problem(10, 3, 2)
    y = rng.normal(size=(200, 1)) * 3
    theirs = hmm.GaussianHMM(3, "spherical", implementation="scaling")
    theirs.startprob_, theirs.transmat_ = np.asarray(initial, float), np.asarray(transition, float)
    theirs.startprob_ /= theirs.startprob_.sum()
    theirs.transmat_ /= theirs.transmat_.sum(1, keepdims=True)
    theirs.means_, theirs.covars_ = np.array([[-2.0], [0.0], [2.0]]), np.ones(3)
    ll = jnp.asarray(-0.5 * (y - theirs.means_[:, 0]) ** 2 - 0.5 * np.log(2 * np.pi), jnp.float32)
    np.testing.assert_allclose(log_normalizer(initial, transition, ll), theirs.score(y), rtol=1e-5)
    np.testing.assert_allclose(smooth(initial, transition, ll).probs, theirs.predict_proba(y), atol=2e-5)
    np.testing.assert_array_equal(most_likely_states(initial, transition, ll)[0], theirs.predict(y))


# --- many sequences and masks -----------------------------------------------------------------------------------------


@methods
@pytest.mark.parametrize("varying", [False, True], ids=["stationary", "varying"])
def test_a_batch_equals_a_loop(method, varying):
    initial, transition, ll = problem(11, 3, 7, varying=varying, leading=(2, 4))
    every = smooth(initial, transition, ll, method=method)
    total = jax.jit(jax.value_and_grad(lambda x: log_normalizer(initial, transition, x, method=method).sum()))
    value, gradient = total(ll)
    np.testing.assert_allclose(value, every.log_normalizer.sum(), rtol=1e-6)
    for i, j in np.ndindex(2, 4):
        one = smooth(initial, transition, ll[i, j], method=method)
        for a, b in zip(every, one, strict=True):
            np.testing.assert_allclose(a[i, j], b, **CLOSE)
        np.testing.assert_allclose(gradient[i, j], one.probs, **CLOSE)


@pytest.mark.parametrize(
    ("mapped", "masked"),
    [("itl", False), ("i", False), ("t", False), ("l", False), ("itm", True), ("m", True), ("tlm", True)],
)
def test_lanes_together_equal_a_loop_over_lanes(mapped, masked):
    """Of initial probabilities, transitions, log likelihoods and mask, some are the lanes' own; in two axes, as of an engine."""
    lanes, leading = (2, 3), (4,)
    rng = np.random.default_rng(17)
    own = lambda letter: lanes if letter in mapped else ()
    arguments = (
        rng.dirichlet(np.ones(3), own("i")),
        rng.dirichlet(np.ones(3), (*own("t"), 3)),
        rng.normal(size=(*own("l"), *leading, 6, 3)),
        np.arange(6) < rng.integers(0, 7, (*own("m"), *leading, 1)) if masked else None,
    )
    arguments = tuple(
        None if x is None else jnp.asarray(x, bool if x.dtype == bool else jnp.float32) for x in arguments
    )

    def one(initial, transition, ll, mask):
        total = lambda *chain: jnp.sum(jnp.sin(markov.log_normalizer(*chain, mask)))
        curve = jax.hessian(total, 1)(initial, transition, ll)
        return markov.smooth(initial, transition, ll, mask), jax.grad(total, (0, 1, 2))(initial, transition, ll), curve

    axes = tuple(0 if letter in mapped and x is not None else None for letter, x in zip("itlm", arguments, strict=True))
    alone = jax.jit(one)
    for a, *each in zip(
        jax.tree.leaves(jax.jit(jax.vmap(jax.vmap(one, axes), axes))(*arguments)),
        *(
            jax.tree.leaves(alone(*(x if axis is None else x[lane] for x, axis in zip(arguments, axes, strict=True))))
            for lane in np.ndindex(*lanes)
        ),
        strict=True,
    ):
        np.testing.assert_allclose(a.reshape(6, *a.shape[2:]), np.stack(each), rtol=2e-4, atol=5e-5)


@methods
@pytest.mark.parametrize("padding", [0.0, 1e30, np.nan, -np.inf])
def test_padded_equals_unpadded(method, padding):
    initial, transition, ll = problem(12, 3, 5)
    padded = jnp.concatenate([ll, jnp.full((4, 3), padding)])
    mask = jnp.arange(9) < 5
    value, gradient = value_and_grad(initial, transition, padded, mask, method)
    expected, slopes = value_and_grad(initial, transition, ll, method=method)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient[2], np.pad(slopes[2], ((0, 4), (0, 0))), **CLOSE)
    for a, b in zip(gradient[:2], slopes[:2], strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)
    ours, theirs = smooth(initial, transition, padded, mask, method), smooth(initial, transition, ll)
    np.testing.assert_allclose(ours.transitions, theirs.transitions, **CLOSE)
    np.testing.assert_allclose(ours.probs, np.pad(theirs.probs, ((0, 4), (0, 0))), **CLOSE)
    known, ahead = filtered(initial, transition, padded, mask, method).probs, filtered(initial, transition, ll).probs
    for _ in range(4):
        ahead = jnp.concatenate([ahead, ahead[-1:] @ transition])
    np.testing.assert_allclose(known, ahead, **CLOSE)
    path, log_prob = most_likely_states(initial, transition, padded, mask)
    best, best_log_prob = most_likely_states(initial, transition, ll)
    np.testing.assert_array_equal(path, [*best, -1, -1, -1, -1])
    np.testing.assert_allclose(log_prob, best_log_prob, rtol=1e-6)
    drawn = sample_states(jax.random.key(0), initial, transition, padded, mask)
    assert (drawn[5:] == -1).all() and (drawn[:5] >= 0).all()


@methods
def test_a_gap_is_summed_over(method):
    initial, transition, ll = problem(13, 3, 5)
    mask = jnp.array([True, False, True, False, True])
    gaps = jnp.where(mask[:, None], ll, jnp.nan)
    value, (*_, gradient) = value_and_grad(initial, transition, gaps, mask, method)
    np.testing.assert_allclose(value, by_enumeration(initial, transition, jnp.where(mask[:, None], ll, 0.0)), **CLOSE)
    assert not gradient[~mask].any() and np.isfinite(gradient).all()
    two = transition @ transition
    shorter = log_normalizer(initial, jnp.stack([two, two]), ll[mask], method=method)
    np.testing.assert_allclose(value, shorter, **CLOSE)


@methods
def test_a_sequence_that_was_never_seen_adds_nothing(method):
    case = problem(14, 3, 5)
    mask = jnp.zeros(5, bool)
    value, gradient = value_and_grad(*case, mask, method)
    assert value == 0 and not any(np.any(g) for g in gradient)
    assert not np.any(smooth(*case, mask, method).transitions)
    np.testing.assert_array_equal(most_likely_states(*case, mask)[0], np.full(5, -1))


# --- accuracy ---------------------------------------------------------------------------------------------------------


@methods
def test_impossible_observations_have_probability_zero_and_a_finite_gradient(method):
    initial, transition, ll = problem(15, 3, 6)
    value, gradient = value_and_grad(initial, transition, ll.at[2].set(-jnp.inf), method=method)
    assert value == -np.inf and all(np.isfinite(g).all() for g in gradient)


@methods
def test_a_state_out_of_reach_may_be_far_more_likely(method):
    # From state 0 there is no way to state 1, which would explain the data 10,000 nats better.
    initial, transition = jnp.array([1.0, 0.0]), jnp.array([[1.0, 0.0], [0.5, 0.5]])
    ll = jnp.stack([jnp.full(6, -1e4), jnp.zeros(6)], -1)
    value, gradient = value_and_grad(initial, transition, ll, method=method)
    np.testing.assert_allclose(value, -6e4, rtol=1e-6)
    assert all(np.isfinite(g).all() for g in gradient)


@pytest.mark.parametrize("method", often(METHODS, {"sequential"}))
def test_float32_stays_accurate_over_100_000_steps(method):
    initial, transition, ll = problem(16, 3, 100_000)
    a, exact = np.asarray(initial, float), 0.0
    matrix = np.asarray(transition, float)
    for t, b in enumerate(np.exp(np.asarray(ll, float))):
        a = (a if t == 0 else a @ matrix) * b
        exact += np.log(a.sum())
        a /= a.sum()
    value, (*_, gradient) = value_and_grad(initial, transition, ll, method=method)
    np.testing.assert_allclose(value, exact, rtol=3e-6)
    np.testing.assert_allclose(gradient.sum(1), 1.0, atol=1e-4)


def test_the_most_likely_path_is_that_of_double_precision_over_20_000_steps():
    initial, transition, ll = problem(17, 3, 20_000)
    ll = ll - 50.0  # Observations in small units: their log likelihood is large beside what tells the states apart.
    with np.errstate(divide="ignore"):
        log_a = np.log(np.asarray(transition, float))
    best, come_from = np.log(np.asarray(initial, float)) + np.asarray(ll[0], float), []
    for b in np.asarray(ll[1:], float):
        through = best[:, None] + log_a
        come_from.append(through.argmax(0))
        best = through.max(0) + b
    exact = [int(best.argmax())]
    for origins in reversed(come_from):
        exact.append(int(origins[exact[-1]]))
    path, log_prob = most_likely_states(initial, transition, ll)
    assert np.mean(np.asarray(path) != exact[::-1]) < 1e-3  # paths that are equally likely up to rounding
    np.testing.assert_allclose(log_prob, best.max(), rtol=1e-6)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    "change, what",
    [
        ({"initial_probs": jnp.ones(4)}, "initial_probs"),
        ({"transition_matrix": jnp.ones((3, 4))}, "transition_matrix"),
        ({"transition_matrix": jnp.ones((6, 3, 3))}, "transition_matrix"),
        ({"mask": jnp.ones(4, bool)}, "mask"),
        ({"method": "parallel"}, "method"),
    ],
)
def test_shapes_that_do_not_fit_are_named(change, what):
    arguments = dict(zip(("initial_probs", "transition_matrix", "log_likelihoods"), CASES["plain"], strict=True))
    with pytest.raises(InputError, match=what):
        log_normalizer(**{**arguments, **change})
