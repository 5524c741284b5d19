"""Data: ragged sequences, masks, batches of unequal datasets."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.data.arrays import as_data

ONE, TWO = np.arange(3.0), np.arange(2.0)


def test_a_list_of_unequal_arrays_is_padded_and_masked():
    y = as_data({"y": [ONE, TWO]})["y"]
    np.testing.assert_array_equal(y.values, [[0, 1, 2], [0, 1, 0]])
    np.testing.assert_array_equal(y.mask, [[1, 1, 1], [1, 1, 0]])


def test_a_list_of_unequal_matrices_is_padded_and_masked():
    y = as_data({"y": [np.ones((3, 2)), np.ones((1, 2))]})["y"]
    assert y.values.shape == (2, 3, 2)
    np.testing.assert_array_equal(y.mask, [[1, 1, 1], [1, 0, 0]])


def test_equal_arrays_are_one_array():
    assert as_data({"y": [ONE, ONE]})["y"].shape == (2, 3)


def test_sequences_may_have_gaps_of_their_own():
    gappy = jl.Masked(np.array([1.0, np.nan, 3.0]), np.array([True, False, True]))
    y = as_data({"y": [gappy, TWO]})["y"]
    np.testing.assert_array_equal(y.values, [[1, 0, 3], [0, 1, 0]])
    np.testing.assert_array_equal(y.mask, [[1, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize(
    "value, what",
    [
        (jl.Masked(np.array([1.0, np.nan]), np.array([True, True])), "not finite"),
        (jl.Masked(ONE, np.array([1.0, 0.0, 1.0])), "mask"),
        (jl.Masked(ONE, np.ones(2, bool)), "mask"),
        ([ONE, np.array([1.0, np.inf])], "sequence 1"),
        ([np.ones((3, 2)), np.ones((2, 3))], "differ in length only"),
    ],
    ids=["a NaN that was seen", "a mask of numbers", "a mask of another length", "infinity", "other widths"],
)
def test_what_cannot_be_used_is_named(value, what):
    with pytest.raises(jl.InputError, match=what):
        as_data({"y": value})


def test_unequal_datasets_are_padded_and_keep_their_names():
    batch = jl.batch({"a": {"y": ONE, "n": 3}, "b": {"y": TWO, "n": 2}})
    np.testing.assert_array_equal(batch.data["y"].mask, [[1, 1, 1], [1, 1, 0]])
    np.testing.assert_array_equal(batch.data["n"], [3, 2])
    ragged = jl.batch([{"y": [ONE, TWO]}, {"y": [ONE]}, {"y": [TWO, TWO, TWO]}])
    np.testing.assert_array_equal(ragged.data["y"].mask.sum((1, 2)), [5, 3, 6])
    assert ragged.data["y"].values.shape == (3, 3, 3)


MEAN = jl.Model({"mu": dist.Normal(0.0, 10.0)}, lambda p, d: {"y": dist.Normal(p.mu + 0 * d.y, 1.0)})


def test_a_ragged_batch_equals_a_loop():
    datasets = [{"y": ONE}, {"y": TWO + 5}]
    many = jl.fit(MEAN, jl.batch(datasets), jl.Optimize(), seed=0)
    for i, data in enumerate(datasets):
        exact = data["y"].sum() / (len(data["y"]) + 0.01)
        np.testing.assert_allclose(many.params["mu"][i, 0], exact, rtol=1e-4)
        np.testing.assert_allclose(many.objective[i], jl.fit(MEAN, data, jl.Optimize(), seed=0).objective, rtol=1e-5)


@pytest.mark.slow
def test_masked_values_do_not_enter_criteria_or_files():
    data = {"y": jl.Masked(np.array([1.0, np.nan, 2.0, 0.5]), np.array([True, False, True, True]))}
    full = {"y": np.array([1.0, 2.0, 0.5])}
    engine = jl.Laplace(draws=200)
    gaps, plain = (jl.fit(MEAN, one, engine, seed=0) for one in (data, full))
    assert gaps.waic().n_observations == 3
    np.testing.assert_allclose(gaps.waic().elpd, plain.waic().elpd, rtol=1e-4)
    np.testing.assert_allclose(gaps.score().mean(), plain.score().mean(), rtol=1e-4)
    observed = gaps.to_arviz()["observed_data"]["y"].values
    np.testing.assert_array_equal(np.isnan(observed), [False, True, False, False])


def test_positions_of_masks_do_not_matter_to_the_model():
    mask = jnp.array([True, False, True])
    density = [
        jl.condition(MEAN, {"y": jl.Masked(np.array([1.0, bad, 2.0]), mask)}).log_density(jnp.ones(1))
        for bad in (0, np.nan)
    ]
    assert density[0] == density[1]


def test_what_becomes_of_the_users_arrays_changes_nothing():
    """Memory at a multiple of 64 bytes is what JAX would share rather than copy."""
    room = np.zeros(64 + 12, np.uint8)
    start = -room.ctypes.data % 64
    y = room[start : start + 12].view(np.float32)
    model = jl.Model({"mu": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand([3])})
    held = [jl.condition(model, {"y": y}).data["y"], jl.batch([{"y": y}]).data["y"][0]]
    y[:] = 7.0
    for one in held:
        np.testing.assert_array_equal(one, np.zeros(3))


def test_a_batch_ends_with_its_last_dataset():
    batch = jl.batch([{"y": np.arange(3.0)}, {"y": np.arange(3.0) + 1}])
    np.testing.assert_array_equal([one["y"] for one in batch], [[0, 1, 2], [1, 2, 3]])
    np.testing.assert_array_equal(batch[-1]["y"], [1, 2, 3])
    for place in (2, -3):
        with pytest.raises(IndexError, match=f"dataset {place} of a batch of 2"):
            batch[place]
