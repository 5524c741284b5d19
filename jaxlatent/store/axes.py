"""Names of the axes of arrays, and their labels, as xarray wants them."""

from collections.abc import Mapping, Sequence
from typing import Any

Dims = Mapping[str, tuple[str, ...]]


def axes_of(
    shapes: Mapping[str, tuple[int, ...]], leading: tuple[str, ...], dims: Dims, coords: Mapping[str, Sequence[Any]]
) -> tuple[dict[str, tuple[str, ...]], dict[str, list[Any]]]:
    """The names of the axes of each variable, and the labels of each axis.

    Args:
        shapes: by variable; each leads with the axes ``leading``.
        leading: names of these axes.
        dims: names of the other axes by variable, by default ``name_dim_0``, ``name_dim_1``, ...; a dimension with the name of a
            variable is renamed to ``name_dim``.
        coords: labels by dimension, by default 0, 1, ...
    """
    axes: dict[str, tuple[str, ...]] = {}
    used: dict[str, tuple[str, int]] = {}
    for name, shape in shapes.items():
        own = shape[len(leading) :]
        names = dims.get(name) or tuple(f"{name}_dim_{i}" for i in range(len(own)))
        # In xarray a variable with the name of a dimension is its coordinate.
        axes[name] = (*leading, *(f"{dim}_dim" if dim in shapes else dim for dim in names))
        used.update(zip(axes[name], zip((*leading, *names), shape, strict=True), strict=True))
    return axes, {axis: list(coords.get(dim, range(length))) for axis, (dim, length) in used.items()}
