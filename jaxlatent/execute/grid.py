"""How a grid of datasets × lanes lies on devices, of this process or of several."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxlatent.execute.devices import own_devices
from jaxlatent.typing import PyTree

_AXES = ("dataset", "lane")


class Grid(NamedTuple):
    """A grid of datasets × lanes, both axes spread over a mesh of devices and filled up to multiples of its sides.

    Filling repeats the last dataset or lane; random streams depend on the index in the grid only, so neither the number of
    devices nor the filling changes a stream.

    Attributes:
        mesh: of the devices in use, ``(dataset, lane)``.
        datasets, lanes: asked for.
    """

    mesh: Mesh
    datasets: int
    lanes: int

    @property
    def filled(self) -> tuple[int, int]:
        """(datasets, lanes) on the devices."""
        datasets, lanes = self.mesh.devices.shape
        return -(-self.datasets // datasets) * datasets, -(-self.lanes // lanes) * lanes

    def spec(self, leading: int) -> PartitionSpec:
        """The spec of arrays that lead with ``(dataset, lane)`` (2), ``dataset`` (1) or neither (0)."""
        return PartitionSpec(*_AXES[:leading])

    def constrain(self, tree: PyTree, leading: int) -> PyTree:
        """Inside jit: lay ``tree`` out as `spec` says, and drop weak types, so that every caller hands over the same."""
        sharding = NamedSharding(self.mesh, self.spec(leading))
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(_strong(x), sharding), tree)

    def fill(self, tree: PyTree, leading: int = 1) -> PyTree:
        """What leads with ``dataset``, or with ``(dataset, lane)``, repeated up to the filled numbers."""
        for axis, (own, filled) in enumerate(zip(self[1:3], self.filled, strict=True)):
            if axis < leading and filled > own:
                rows = np.minimum(np.arange(filled), own - 1)
                tree = jax.tree.map(lambda x, rows=rows, axis=axis: jnp.take(jnp.asarray(x), rows, axis), tree)
        return tree

    def put(self, tree: PyTree, leading: int) -> PyTree:
        """Lay ``tree``, the same in every process, out over the devices."""
        sharding = NamedSharding(self.mesh, self.spec(leading))
        if _apart(tree):
            return jax.jit(_unchanged, out_shardings=sharding)(tree)
        return jax.tree.map(lambda x: _placed(_strong(jnp.asarray(x)), sharding), tree)

    def fetch(self, tree: PyTree) -> PyTree:
        """What leads with ``(dataset, lane)`` on the host of every process, fillers dropped."""
        return jax.tree.map(lambda x: x[: self.datasets, : self.lanes], on_host(tree))


def on_host(tree: PyTree) -> PyTree:
    """Arrays on the host of every process, wherever their parts lie; keys stay JAX's, on a device of the process."""
    apart = _apart(tree)
    if apart:
        everywhere = NamedSharding(apart[0].sharding.mesh, PartitionSpec())
        tree = jax.jit(_unchanged, out_shardings=everywhere)(tree)
    return jax.tree.map(_off, tree)


def lay_out(datasets: int, lanes: int, devices: Sequence[Any], whole: bool = False) -> Grid:
    """The mesh whose devices carry the smallest share of the grid; of several the one of fewest devices, and then of most rows.

    Devices that are left over are spread over the list, so that every process has some in use. Where there are too few lanes for that,
    each process fits all of them itself, on its own devices.

    Args:
        datasets: how many.
        lanes: of each.
        devices: to use; each process that has some calls this alike.
        whole: whether the lanes of a dataset stay together.
    """
    most = 1 if whole else lanes

    def cost(rows: int) -> tuple[int, int, int]:
        columns = min(len(devices) // rows, most)
        each = -(-datasets // rows), -(-lanes // columns)
        return each[0] * each[1], _needed(datasets, each[0]) * _needed(lanes, each[1]), -rows

    rows = min(range(1, min(len(devices), datasets) + 1), key=cost)
    columns = min(len(devices) // rows, most)
    sides = [_needed(count, -(-count // side)) for count, side in ((datasets, rows), (lanes, columns))]
    count = sides[0] * sides[1]
    used = [devices[i * len(devices) // count] for i in range(count)]
    if len({device.process_index for device in used}) < len({device.process_index for device in devices}):
        return lay_out(datasets, lanes, own_devices(devices), whole)
    return Grid(Mesh(np.asarray(used).reshape(sides), _AXES), datasets, lanes)


def _needed(count: int, share: int) -> int:
    """Devices for ``count``, of which each carries ``share``."""
    return -(-count // share)


def _placed(x: jax.Array, sharding: NamedSharding) -> jax.Array:
    """``x`` laid out. Of several processes each hands its devices their parts: JAX would send all of it to each to compare it, take NaN
    for a difference, and refuse keys.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    return jax.make_array_from_callback(x.shape, sharding, lambda part: x[part])


def _apart(tree: PyTree) -> list[Any]:
    """Arrays of which other processes hold parts."""
    return [x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array) and not x.is_fully_addressable]


def _unchanged(tree: PyTree) -> PyTree:
    return tree


def _off(x: Any) -> Any:
    if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return np.asarray(x)
    return jax.random.wrap_key_data(jnp.asarray(np.asarray(jax.random.key_data(x))), impl=jax.random.key_impl(x))


def _strong(x: jax.Array) -> jax.Array:
    return jax.lax.convert_element_type(x, x.dtype) if jax.typeof(x).weak_type else x
