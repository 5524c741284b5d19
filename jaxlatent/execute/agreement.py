"""A check that processes that fit together were given the same data, seed and settings."""

import zlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxlatent.errors import InputError
from jaxlatent.execute.grid import on_host
from jaxlatent.typing import Key, PyTree


def require_agreement(devices: Sequence[Any], data: PyTree, key: Key, *settings: int) -> None:
    """Compare the inputs of all processes by a checksum; inputs that differ would be mixed, or leave processes waiting for each other.

    Raises:
        InputError: in each of them, if it is not the same.
    """
    if len({device.process_index for device in devices}) == 1:
        return
    checksum = 0
    for x in map(np.asarray, jax.tree.leaves((data, jax.random.key_data(key), settings))):
        checksum = zlib.crc32(x.tobytes(), zlib.crc32(f"{x.shape} {x.dtype}".encode(), checksum))
    each = NamedSharding(Mesh(np.asarray(devices), "device"), PartitionSpec("device"))
    own = np.asarray([checksum], np.uint32)
    if np.unique(on_host(jax.make_array_from_callback((len(devices),), each, lambda _: own))).size > 1:
        raise InputError(
            "fit(devices=...) of several processes",
            got="data, a seed or settings that are not the same in all of them",
            expected="the same call in every process",
            remedy="give each the whole batch; or leave `devices` out, and each fits its own data on its own devices.",
        )
