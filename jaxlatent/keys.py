"""Random keys: one key per purpose, dataset and lane, derived from a seed.

A key is folded with its purpose before any counter (dataset, lane, step), so that no two uses share a stream, neither within a fit nor
between different functions called with the same seed.
"""

from enum import IntEnum, unique
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.errors import InputError, brief, require
from jaxlatent.typing import AnyArray, Key

#: Far from the small integers that users fold into their own keys.
_FIRST = 0x6A6C0000


@unique
class Purpose(IntEnum):
    """The purpose of random numbers: five within a fit, then one for each function that takes a seed."""

    START = _FIRST
    SHARED = _FIRST + 1
    INIT = _FIRST + 2
    STEP = _FIRST + 3
    FINISH = _FIRST + 4
    SAMPLE_PRIOR = _FIRST + 5
    PREDICT = _FIRST + 6
    SAMPLE = _FIRST + 7
    SAMPLE_STATES = _FIRST + 8
    FORECAST = _FIRST + 9
    CALIBRATE = _FIRST + 10
    COMPARE = _FIRST + 11
    CHECK = _FIRST + 12
    CROSS_VALIDATE = _FIRST + 13
    BOOTSTRAP = _FIRST + 14
    LIKELIHOOD_RATIO_TEST = _FIRST + 15
    SPLIT_AND_MERGE = _FIRST + 16
    SIMULATE = _FIRST + 17
    PIT = _FIRST + 18


class Streams(NamedTuple):
    """The keys of a fit, of shape ``(dataset, lane)``.

    Attributes:
        shared: for the shared state of a dataset, ``(dataset,)``.
        start: for starting positions.
        init: for initial states.
        step: for steps, which fold in a counter.
        finish: for outcomes.
    """

    shared: Key
    start: Key
    init: Key
    step: Key
    finish: Key


def as_key(seed: int | Key, what: str = "fit") -> Key:
    """A typed JAX key from an int or a typed key; ``what`` names the caller in messages."""
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        require(
            -(2**63) <= seed < 2**63,
            f"{what}(seed=...)",
            got=seed,
            expected="an int of 64 bits",
            remedy="take a smaller one.",
        )
        return jax.random.key(int(seed))
    if isinstance(seed, jax.Array) and jnp.issubdtype(seed.dtype, jax.dtypes.prng_key) and seed.shape == ():
        return seed
    raise InputError(
        f"{what}(seed=...)",
        got=f"{type(seed).__name__} {seed!r}" if np.ndim(seed) == 0 else brief(seed),
        expected="an int or a typed JAX key",
        remedy="pass an int, or jax.random.key(0) instead of jax.random.PRNGKey(0).",
    )


def seed_in_words(seed: int | Key) -> int | str:
    """An int as it is; of a typed key its data, from which `jax.random.wrap_key_data` makes it again."""
    if isinstance(seed, int | np.integer):
        return int(seed)
    return f"{jax.random.key_impl(seed)} key {np.asarray(jax.random.key_data(seed)).tolist()}"


def key_for(purpose: Purpose, seed: int | Key) -> Key:
    """The key of one purpose, from an int or a typed JAX key."""
    return jax.random.fold_in(as_key(seed, purpose.name.lower()), purpose)


def streams(key: Key, datasets: AnyArray, lanes: int) -> Streams:
    """The keys of a fit, folded with purpose, dataset index and lane index; they do not depend on which others there are.

    Args:
        key: from the seed.
        datasets: their indices in the whole batch, ``(dataset,)``.
        lanes: number of lanes.
    """
    # One call for all purposes: each call of `jax.random` adds a copy of its rounds to the program.
    fold = jnp.vectorize(jax.random.fold_in)
    purposes = jnp.array([Purpose.SHARED, Purpose.START, Purpose.INIT, Purpose.STEP, Purpose.FINISH])
    by_dataset = fold(fold(key, purposes)[:, None], datasets)
    return Streams(by_dataset[0], *fold(by_dataset[1:, :, None], jnp.arange(lanes)))
