"""The grid of datasets × lanes and its sharding over the devices of one or several processes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxlatent.execute.devices import own_devices
from jaxlatent.typing import PyTree, SamePyTree

_AXES = ("dataset", "lane")


class Grid(NamedTuple):
    """A grid of datasets × lanes, sharded over a device mesh and filled up to multiples of its sides.

    Fillers repeat the last dataset or lane. Random streams depend on the index in the grid only, so neither the number of
    devices nor the filling changes a stream.

    Attributes:
        mesh: of the devices in use, ``(dataset, lane)``.
        datasets, lanes: without fillers.
    """

    mesh: Mesh
    datasets: int
    lanes: int

    @property
    def filled(self) -> tuple[int, int]:
        """(datasets, lanes) with fillers."""
        datasets, lanes = self.mesh.devices.shape
        return -(-self.datasets // datasets) * datasets, -(-self.lanes // lanes) * lanes

    def spec(self, leading: int) -> PartitionSpec:
        """The partition spec of arrays that lead with ``(dataset, lane)`` (2), ``dataset`` (1) or neither (0)."""
        return PartitionSpec(*_AXES[:leading])

    def constrain(self, tree: SamePyTree, leading: int) -> SamePyTree:
        """Constrain the sharding of ``tree`` to `spec` inside jit, without weak types (`drop_weak_types`)."""
        sharding = NamedSharding(self.mesh, self.spec(leading))
        laid: SamePyTree = jax.tree.map(lambda x: jax.lax.with_sharding_constraint(_drop_weak_type(x), sharding), tree)
        return laid

    def fill(self, tree: PyTree, leading: int = 1) -> PyTree:
        """Add fillers to a tree that leads with ``dataset`` (1) or ``(dataset, lane)`` (2)."""
        for axis, (own, filled) in enumerate(zip(self[1:3], self.filled, strict=True)):
            if axis < leading and filled > own:
                rows = np.minimum(np.arange(filled), own - 1)
                tree = jax.tree.map(lambda x, rows=rows, axis=axis: jnp.take(jnp.asarray(x), rows, axis), tree)
        return tree

    def put(self, tree: PyTree, leading: int) -> PyTree:
        """Put ``tree``, the same in every process, on the devices, sharded by `spec`."""
        sharding = NamedSharding(self.mesh, self.spec(leading))
        if _spans_processes(tree):
            return jax.jit(_unchanged, out_shardings=sharding)(tree)
        return jax.tree.map(lambda x: _place(_drop_weak_type(jax.device_put(x)), sharding), tree)

    def fetch(self, tree: PyTree) -> PyTree:
        """A tree that leads with ``(dataset, lane)``, on the host of every process and without fillers."""
        return jax.tree.map(lambda x: x[: self.datasets, : self.lanes], on_host(tree))


def on_host(tree: PyTree) -> PyTree:
    """Arrays on the host of every process, gathered from other processes where needed; keys stay on a device of the process."""
    if remote := _spans_processes(tree):
        replicated = NamedSharding(remote[0].sharding.mesh, PartitionSpec())
        tree = jax.jit(_unchanged, out_shardings=replicated)(tree)
    return jax.tree.map(_to_numpy, tree)


def make_grid(datasets: int, lanes: int, devices: Sequence[Any], whole: bool = False) -> Grid:
    """Choose the mesh with the least work per device; among equals the one with fewest devices, then with most rows.

    Devices that are left over are spread over the list, so that every process has some in use. Where there are too few lanes for that,
    each process fits all of them itself, on its own devices.

    Args:
        datasets: number of datasets.
        lanes: lanes per dataset.
        devices: available devices; each process that has some calls this alike.
        whole: whether to keep the lanes of a dataset on one device.
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
        return make_grid(datasets, lanes, own_devices(devices), whole)
    return Grid(Mesh(np.asarray(used).reshape(sides), _AXES), datasets, lanes)


def _needed(count: int, share: int) -> int:
    """The number of devices for ``count`` items, ``share`` on each."""
    return -(-count // share)


def _place(x: jax.Array, sharding: NamedSharding) -> jax.Array:
    """``jax.device_put``, also for devices of other processes.

    There JAX would send all of ``x`` to every process to compare it, count NaN as a difference, and refuse keys; so each process hands its
    own devices their parts.
    """
    if sharding.is_fully_addressable:
        placed: jax.Array = jax.device_put(x, sharding)
        return placed
    return jax.make_array_from_callback(x.shape, sharding, lambda part: x[part])


def _spans_processes(tree: PyTree) -> list[Any]:
    """The arrays of which other processes hold parts."""
    return [x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array) and not x.is_fully_addressable]


def _unchanged(tree: PyTree) -> PyTree:
    return tree


def _to_numpy(x: Any) -> Any:
    if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return np.asarray(x)
    return jax.random.wrap_key_data(jnp.asarray(np.asarray(jax.random.key_data(x))), impl=jax.random.key_impl(x))


def drop_weak_types(tree: SamePyTree) -> SamePyTree:
    """The same without weak types, which the first operation loses: programs would be compiled for both."""
    strong: SamePyTree = jax.tree.map(_drop_weak_type, tree)
    return strong


def _drop_weak_type(x: jax.Array) -> jax.Array:
    if not jax.typeof(x).weak_type:
        return x
    strong: jax.Array = jax.lax.convert_element_type(x, x.dtype)
    return strong
