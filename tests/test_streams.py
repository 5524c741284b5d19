"""No two uses of random numbers share a key: every key that reaches a generator, of every engine and every verb, is seen once.

Keys are of a kind of their own: threefry, but it writes down each key it draws numbers from and each it makes other keys of. A key must
not serve for both: the numbers drawn from it are made of the keys that it makes.
"""

import ast
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from jax.extend.random import define_prng_impl

import jaxlatent as jl
from jaxlatent import keys

DRAWN: list[tuple[int, ...]] = []
PARENTS: list[tuple[int, ...]] = []
THREEFRY = jax.random.key_impl(jax.random.key(0))


def written_down(key, page):
    """The key as one of threefry, once it has been written down."""
    jax.debug.callback(lambda key: page.append(tuple(np.ravel(key).tolist())), key)
    return jax.random.wrap_key_data(key, impl=THREEFRY)


def bits(key, width, shape):
    return jax.random.bits(written_down(key, DRAWN), shape, f"uint{width}")


RECORDING = define_prng_impl(
    key_shape=(2,),
    seed=lambda seed: jax.random.key_data(jax.random.key(seed)),
    split=lambda key, shape: jax.random.key_data(jax.random.split(written_down(key, PARENTS), shape)),
    fold_in=lambda key, data: jax.random.key_data(jax.random.fold_in(written_down(key, PARENTS), data)),
    random_bits=bits,
    name="recording",
    tag="rec",
)


@pytest.fixture(autouse=True)
def empty_pages():
    DRAWN.clear()
    PARENTS.clear()


def check_pages(least):
    jax.effects_barrier()
    assert len(DRAWN) >= least, f"{len(DRAWN)} keys were drawn from: what was meant to run did not"
    twice = {key: count for key, count in Counter(DRAWN).items() if count > 1}
    assert not twice, f"{len(twice)} of {len(set(DRAWN))} keys were drawn from more than once"
    both = set(DRAWN) & set(PARENTS)
    assert not both, f"{len(both)} keys were drawn from and made others"


LINE = jl.Model(
    {"slope": dist.Normal(0.0, 1.0)},
    lambda p, d: {"y": dist.Normal(p.slope * d.x, 1.0).expand([4])},
)
XY = {"x": np.arange(4.0, dtype=np.float32), "y": np.array([0.1, 0.9, 2.2, 2.8], np.float32)}
STATES = jl.models.hmm(2, jl.models.emissions.Gaussian())

ENGINES = {
    "NUTS": (LINE, jl.NUTS(chains=1, warmup=5, draws=5)),
    "ChEES": (LINE, jl.ChEES(chains=2, warmup=5, draws=5)),
    "ADVI": (LINE, jl.ADVI(max_iter=4, draws=25)),
    "DADVI": (LINE, jl.DADVI(max_iter=4, draws=25)),
    "Pathfinder": (LINE, jl.Pathfinder(paths=1, max_iter=4, draws=25)),
    "Laplace": (LINE, jl.Laplace(max_iter=4, draws=25)),
    "Optimize": (LINE, jl.Optimize(optimizer=optax.adam(0.1), batch_size=1, validation=0.25, max_iter=8)),
    "EM": (STATES, jl.EM(restarts=1, e_step="draw", max_iter=3)),
}
#: Keys drawn from at least: a start, steps, an outcome, predictions.
FEWEST = {"NUTS": 20, "ChEES": 40, "ADVI": 30, "DADVI": 28, "Pathfinder": 28, "Laplace": 28, "Optimize": 10, "EM": 9}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.filterwarnings("ignore:.*k-hat")
def test_no_key_is_used_twice_by_a_fit_and_what_follows_from_it(name):
    """Each with the same seed."""
    model, engine = ENGINES[name]
    key = jax.random.key(0, impl=RECORDING)
    result = jl.fit(model, XY, engine, key)
    result.predict(key)
    result.conditional().sample(key)
    if name == "EM":
        result.sample_states(key)
        result.forecast(2, key)
        model.sample(3, key, result.best().params)
    else:
        jl.sample_prior(model, XY, 3, key)
    check_pages(FEWEST[name])


def test_no_key_is_used_twice_by_a_cross_validation():
    """Nor by a fit with its seed. Lanes that wait for others draw again, and drop it; so none waits here."""
    key, engine = jax.random.key(0, impl=RECORDING), jl.Optimize(restarts=2, max_iter=3)
    jl.fit(LINE, XY, engine, key)
    jl.cross_validate(LINE, XY, engine, key, by="row", folds=2)
    check_pages(2 + 1 + 4)


def test_no_key_is_used_twice_by_bootstraps_and_a_likelihood_ratio_test():
    """Nor by a fit with their seed; the two kinds of bootstrap begin with the same fit, and have a seed each."""
    key, engine = jax.random.key(0, impl=RECORDING), jl.Optimize(max_iter=3)
    larger = jl.Model({**LINE.prior, "rest": dist.Normal(0.0, 1.0)}, LINE.likelihood)
    jl.fit(LINE, XY, engine, key)
    jl.bootstrap(LINE, XY, engine, key, replicates=2)
    jl.bootstrap(LINE, XY, engine, jax.random.key(1, impl=RECORDING), replicates=2, kind="units")
    jl.likelihood_ratio_test(LINE, larger, XY, engine, key, replicates=2)
    check_pages(1 + (1 + 2) + (1 + 1) + (1 + 2 + 2 + 3))


def test_keys_of_a_fit_differ_and_depend_on_nothing_but_their_place():
    key = jax.random.key(3)
    few, many = keys.streams(key, np.arange(2), 3), keys.streams(key, np.arange(5), 4)
    data = np.concatenate([jax.random.key_data(x).reshape(-1, 2) for x in many])
    assert len(np.unique(data, axis=0)) == len(data) == 5 + 4 * 5 * 4
    for one, other in zip(few, many, strict=True):
        cut = other[tuple(map(slice, one.shape))]
        np.testing.assert_array_equal(jax.random.key_data(one), jax.random.key_data(cut))


def test_rows_held_out_are_the_same_for_all_lanes_and_others_for_another_seed():
    engine = jl.Optimize(restarts=2, validation=0.5)
    posterior = jl.condition(LINE, XY)
    orders = {tuple(map(int, engine.shared(posterior, jax.random.key(i)))) for i in range(20)}
    assert len(orders) > 10
    order = jnp.asarray([2, 0, 1, 3])
    starts = [engine.init(posterior, jax.random.key(i), jnp.zeros(1), order).rows for i in range(2)]
    assert all(rows.held.tolist() == [2, 0] and rows.training.tolist() == [1, 3] for rows in starts)


@pytest.mark.filterwarnings("ignore:.*k-hat")
def test_run_has_the_streams_of_fit():
    """Of one dataset: start, steps and outcome, to rounding."""
    engine = ENGINES["ADVI"][1]
    out = jl.run(jl.condition(LINE, XY), engine, jax.random.key(3))
    np.testing.assert_allclose(out.positions, jl.fit(LINE, XY, engine, 3).positions, rtol=1e-3, atol=1e-4)


def test_a_seed_in_words_makes_the_key_again():
    assert keys.seed_in_words(3) == 3
    for impl in ("threefry2x32", "rbg"):
        key = jax.random.key(5, impl=impl)
        name, _, data = keys.seed_in_words(key).split(" ", 2)
        again = jax.random.wrap_key_data(jnp.array(ast.literal_eval(data), jnp.uint32), impl=name)
        assert again == key
