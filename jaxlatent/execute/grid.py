"""How a grid of datasets × lanes lies on devices, of this process or of several."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxlatent.typing import PyTree, SamePyTree

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

    def constrain(self, tree: SamePyTree, leading: int) -> SamePyTree:
        """Inside jit: lay ``tree`` out as `spec` says, and drop weak types, so that every caller hands over the same."""
        sharding = NamedSharding(self.mesh, self.spec(leading))
        laid: SamePyTree = jax.tree.map(lambda x: jax.lax.with_sharding_constraint(_strong(x), sharding), tree)
        return laid

    def fill(self, tree: PyTree, leading: int = 1) -> PyTree:
        """What leads with ``dataset``, or with ``(dataset, lane)``, repeated up to the filled numbers."""
        for axis, (own, filled) in enumerate(zip(self[1:3], self.filled, strict=True)):
            if axis < leading and filled > own:
                rows = np.minimum(np.arange(filled), own - 1)
                tree = jax.tree.map(lambda x, rows=rows, axis=axis: jnp.take(jnp.asarray(x), rows, axis), tree)
        return tree

    def put(self, tree: PyTree, leading: int) -> PyTree:
        """Lay ``tree`` out over the devices."""
        sharding = NamedSharding(self.mesh, self.spec(leading))
        return jax.tree.map(lambda x: jax.device_put(_strong(jnp.asarray(x)), sharding), tree)

    def fetch(self, tree: PyTree) -> PyTree:
        """What leads with ``(dataset, lane)`` on the host of every process, fillers dropped."""
        return jax.tree.map(lambda x: on_host(x)[: self.datasets, : self.lanes], tree)


def on_host(x: Any) -> np.ndarray:
    """An array on the host of every process, wherever its parts lie."""
    local = not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated
    return np.asarray(x) if local else np.asarray(process_allgather(x, tiled=True))


def lay_out(datasets: int, lanes: int, devices: Sequence[Any], whole: bool = False) -> Grid:
    """The mesh whose devices carry the smallest share of the grid; of several the one of fewest devices, and then of most rows.

    Args:
        datasets: how many.
        lanes: of each.
        devices: to use.
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
    used = np.asarray(list(devices)[: sides[0] * sides[1]])
    return Grid(Mesh(used.reshape(sides), _AXES), datasets, lanes)


def _needed(count: int, share: int) -> int:
    """Devices for ``count``, of which each carries ``share``."""
    return -(-count // share)


def _strong(x: jax.Array) -> jax.Array:
    return jax.lax.convert_element_type(x, x.dtype) if jax.typeof(x).weak_type else x
