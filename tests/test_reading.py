"""Numbers as people have them arrive as they are, or are refused; none is changed in silence."""

import warnings
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import jaxlatent as jl
from jaxlatent.data.arrays import as_data

ONE, TWO, THREE = (np.arange(float(n)) for n in (5, 3, 4))


def read(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return as_data({"y": value})["y"]


@pytest.mark.parametrize(
    "value, kind",
    [
        *(
            (np.array([1, 250], dtype), "i")
            for dtype in (np.uint8, np.uint16, np.uint32, np.uint64, np.int16, np.int64)
        ),
        *((np.array([1.0, 250.0], dtype), "f") for dtype in (np.float16, np.float32, np.float64, np.longdouble)),
        (jnp.array([1.0, 250.0], jnp.bfloat16), "f"),
        (np.array([1, 250], object), "i"),
        (np.array([1, 250.0], object), "f"),
        ([Fraction(1), Decimal(250)], "f"),
        (pd.Series([1, 250]), "i"),
        (pd.Series([1, 250], dtype="Int64"), "i"),
        (pd.Series([1.0, 250.0], dtype="Float64"), "f"),
        (np.ma.array([1, 250], mask=False), "i"),
        (range(1, 251, 249), "i"),
    ],
)
def test_numbers_of_any_width_arrive_in_jax_s_own(value, kind, x32):
    array = read(value)
    np.testing.assert_array_equal(array, [1, 250])
    assert array.dtype == (jnp.result_type(int) if kind == "i" else jnp.result_type(float))


def test_booleans_stay_booleans():
    for value in ([True, False], pd.Series([True, False], dtype="boolean"), np.array([True, False], object)):
        assert read(value).dtype == (bool if not isinstance(value, np.ndarray) else jnp.result_type(int))


@pytest.mark.parametrize(
    "value, words",
    [
        (np.array([2**32 + 1, 2]), "4294967297, which does not fit 32 bits"),
        (np.array([-(2**40)]), "does not fit 32 bits"),
        ([2**70, 1], "does not fit 64 bits"),
        (np.array([2**63], np.uint64), "np.unique"),
        (np.array([1e39]), "infinite in 32 bits"),
        (np.array(["a"]), "np.unique"),
        (np.array([1j]), "real and imaginary"),
        (np.array(["2020-01-01"], "datetime64[D]"), "since an origin"),
        ([datetime(2020, 1, 1)], "since an origin"),
        (np.array([3], "timedelta64[h]"), "np.timedelta64"),
        (pd.Series(["u", "v"], dtype="category"), "cat.codes"),
        (pd.Series([1, None], dtype="Int64"), "jl.Masked"),
        (np.array([None, 1.0]), "1 of 2 values missing"),
        (np.array([np.nan, 1.0]), "impute"),
        ({1.0, 2.0}, "numbers"),
    ],
)
def test_what_would_change_is_refused(value, words, x32):
    with pytest.raises(jl.InputError, match=words):
        read(value)


def test_numbers_that_need_64_bits_have_them(x64):
    assert read(np.array([2**32 + 1]))[0] == 2**32 + 1
    stamps = 1.7e9 + 60.0 * np.arange(100)
    np.testing.assert_array_equal(read(stamps), stamps)


@pytest.mark.parametrize("rows", [100, 50_000])
def test_floats_that_lose_their_differences_are_told(rows, x32):
    with pytest.warns(UserWarning, match="data 'y': .* Subtract an origin"):
        as_data({"y": 1.7e9 + 60.0 * np.arange(rows)})


@pytest.mark.parametrize("value", [np.arange(1990.0, 2020), np.full(3, 0.1), np.linspace(1e4, 1e4 + 9, 500), ONE[:0]])
def test_floats_that_keep_them_are_not(value):
    read(value)


def test_masks_of_numpy_say_the_same():
    y = read(np.ma.masked_equal([1, 999, 2], 999))
    np.testing.assert_array_equal(y.values, [1, 0, 2])
    np.testing.assert_array_equal(y.mask, [True, False, True])
    rows = read(np.ma.array(np.ones((2, 3)), mask=[[1, 1, 1], [0, 0, 0]]))
    np.testing.assert_array_equal(rows.mask, [False, True])
    ragged = read([np.ma.masked_equal([1.0, 9.0], 9.0), TWO])
    np.testing.assert_array_equal(ragged.mask, [[True, False, False], [True, True, True]])
    assert read(jl.Masked(np.array([2**40, 1]), np.array([False, True]))).values[1] == 1


@pytest.mark.parametrize(
    "y, x",
    [
        ([ONE, TWO], [TWO, ONE]),
        ([ONE, TWO, ONE], [ONE, TWO[:2], ONE]),
        ([ONE, TWO], [ONE, TWO, TWO]),
        ([ONE, TWO], [TWO, TWO[:1]]),
    ],
    ids=["another order", "a step short", "a sequence more", "two steps short"],
)
def test_ragged_entries_agree_sequence_by_sequence(y, x):
    with pytest.raises(jl.InputError, match=r"data 'x'.*\n.*lengths"):
        as_data({"y": y, "x": x})


def test_arrays_of_arrays_are_sequences():
    assert read(np.array([ONE, TWO], object)).mask.shape == (2, 5)


def test_inputs_may_lack_a_step_everywhere():
    assert as_data({"y": [ONE, TWO], "u": [THREE, TWO[:2]]})["u"].shape == (2, 4)


def test_rows_agree_dataset_by_dataset():
    with pytest.raises(jl.InputError, match="dataset 'b', 'x'"):
        jl.batch({"a": {"y": ONE, "x": ONE}, "b": {"y": TWO, "x": THREE}}).checked()
    jl.batch([{"y": ONE, "groups": TWO}, {"y": TWO, "groups": TWO[:2]}]).checked()
