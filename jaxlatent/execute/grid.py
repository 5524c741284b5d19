"""How a grid of datasets × lanes lies on devices."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxlatent.typing import PyTree

_NAME = "grid"


class Grid(NamedTuple):
    """A grid of datasets × lanes, one axis of it spread over devices and filled up to a multiple of their number.

    Filling repeats the last dataset or lane; random streams depend on the index in the grid only, so neither the number of
    devices nor the filling changes a stream.

    Attributes:
        mesh: of the devices in use.
        datasets, lanes: asked for.
        axis: the one that is spread: 0 datasets, 1 lanes.
    """

    mesh: Mesh
    datasets: int
    lanes: int
    axis: int

    @property
    def filled(self) -> tuple[int, int]:
        """(datasets, lanes) on the devices."""
        counts = [self.datasets, self.lanes]
        devices = self.mesh.size
        counts[self.axis] = -(-counts[self.axis] // devices) * devices
        return counts[0], counts[1]

    def spec(self, leading: int) -> PartitionSpec:
        """The spec of arrays that lead with ``(dataset, lane)`` (2), ``dataset`` (1) or neither (0)."""
        if leading > self.axis:
            return PartitionSpec(*([None] * self.axis), _NAME)
        return PartitionSpec()

    def constrain(self, tree: PyTree, leading: int) -> PyTree:
        """Inside jit: lay ``tree`` out as `spec` says, and drop weak types, so that every caller hands over the same."""
        sharding = NamedSharding(self.mesh, self.spec(leading))
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(_strong(x), sharding), tree)

    def fill(self, tree: PyTree) -> PyTree:
        """Data that lead with ``dataset``, repeated up to the filled number."""
        if self.filled[0] == self.datasets:
            return tree
        rows = np.minimum(np.arange(self.filled[0]), self.datasets - 1)
        return jax.tree.map(lambda x: jnp.asarray(x)[rows], tree)

    def put(self, tree: PyTree, leading: int) -> PyTree:
        """Lay ``tree`` out over the devices."""
        sharding = NamedSharding(self.mesh, self.spec(leading))
        return jax.tree.map(lambda x: jax.device_put(_strong(jnp.asarray(x)), sharding), tree)


def lay_out(datasets: int, lanes: int, devices: Sequence[Any]) -> Grid:
    """Spread datasets if there are enough of them for the devices, otherwise the longer axis."""
    axis = 0 if datasets >= min(len(devices), lanes) else 1
    used = min(len(devices), (datasets, lanes)[axis])
    # Fewer devices do as well when they carry the same longest share.
    share = -(-(datasets, lanes)[axis] // used)
    used = -(-(datasets, lanes)[axis] // share)
    return Grid(Mesh(np.asarray(list(devices)[:used]), (_NAME,)), datasets, lanes, axis)


def _strong(x: jax.Array) -> jax.Array:
    return jax.lax.convert_element_type(x, x.dtype) if jax.typeof(x).weak_type else x
