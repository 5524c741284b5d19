"""A check that all processes of a joint fit received the same model, data, engine and seed."""

import zlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxlatent.engines.base import Engine, settings
from jaxlatent.errors import InputError
from jaxlatent.execute.grid import on_host
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.store.manifest import PLAIN
from jaxlatent.typing import Key


def require_agreement(devices: Sequence[Any], posterior: Posterior, key: Key, engine: Engine, segment: int) -> None:
    """Compare the inputs of all processes by a checksum; inputs that differ would be mixed, or leave processes waiting for each other.

    Of the model its name and parameters count, of the engine its numbers and words; functions cannot be compared.

    Raises:
        InputError: in every process, if their inputs differ.
    """
    if len({device.process_index for device in devices}) == 1:
        return
    plain = {name: value for name, value in settings(engine).items() if type(value) in PLAIN}
    program = (posterior.density.label, posterior.density.names, posterior.dim, type(engine).__name__, plain, segment)
    checksum = zlib.crc32(repr(program).encode())
    for x in map(np.asarray, jax.tree.leaves((posterior, jax.random.key_data(key)))):
        checksum = zlib.crc32(x.tobytes(), zlib.crc32(f"{x.shape} {x.dtype}".encode(), checksum))
    each = NamedSharding(Mesh(np.asarray(devices), "device"), PartitionSpec("device"))
    own = np.asarray([checksum], np.uint32)
    if np.unique(on_host(jax.make_array_from_callback((len(devices),), each, lambda _: own))).size > 1:
        raise InputError(
            "fit(devices=...) of several processes",
            got="a model, data, a seed or settings that are not the same in all of them",
            expected="the same call in every process",
            remedy="give each the whole batch; or leave `devices` out, and each fits its own data on its own devices.",
        )
