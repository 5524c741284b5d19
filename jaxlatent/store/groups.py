"""Named arrays in the groups of a store, under ArviZ's names, and reading them back when they are asked for."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxlatent.store.axes import Dims, axes_of
from jaxlatent.store.files import Files, committed_group, explained

if TYPE_CHECKING:
    import zarr


class Labels(NamedTuple):
    """Names of the axes of a run.

    Attributes:
        dims: of variables, without the leading axes.
        coords: labels by dimension, those of ``dataset`` included.
    """

    dims: Dims
    coords: Mapping[str, Sequence[Any]]


def write(files: Files, labels: Labels, group: str, values: Mapping[str, np.ndarray], leading: tuple[str, ...]) -> None:
    """Write whole variables.

    Args:
        files: the store.
        labels: of all variables.
        group: "" for the root.
        values: by name, each leading with the axes ``leading``.
        leading: names of these axes.
    """
    for name, array in _arrays(files, labels, group, values, leading, {}).items():
        with explained(files.path):
            array[...] = values[name]


def append(
    files: Files,
    labels: Labels,
    group: str,
    values: Mapping[str, np.ndarray],
    leading: tuple[str, ...],
    at: int,
    room: int,
) -> None:
    """Write a part of variables, from ``at`` on along the last of their leading axes, for which there is ``room`` in all."""
    rows = next(iter(values.values())).shape[len(leading) - 1] if values else 0
    whole = (slice(None),) * (len(leading) - 1)
    for name, array in _arrays(files, labels, group, values, leading, {leading[-1]: (room, rows)}).items():
        with explained(files.path):
            array[(*whole, slice(at, at + rows))] = values[name]


def _arrays(
    files: Files,
    labels: Labels,
    group: str,
    values: Mapping[str, np.ndarray],
    leading: tuple[str, ...],
    growing: Mapping[str, tuple[int, int]],
) -> dict[str, Any]:
    """The arrays of variables, made where they are missing; ``growing`` has the whole length and that of a chunk of axes that grow."""
    path: Callable[[str], str] = lambda name: f"{group}/{variable(name)}" if group else variable(name)
    if any(path(name) not in files for name in values):
        axes, ticks = axes_of(
            {name: value.shape for name, value in values.items()}, leading, labels.dims, labels.coords
        )
        for axis, given in ticks.items():
            if path(axis) not in files:
                tick = _tick(range(growing[axis][0]) if axis in growing else given)
                files.add(path(axis), tick.shape, tick.dtype, (axis,), tick.shape)[:] = tick
        for name, value in values.items():
            if path(name) not in files:
                lengths = dict(zip(axes[name], value.shape, strict=True))
                shape = tuple(growing[axis][0] if axis in growing else length for axis, length in lengths.items())
                chunk = tuple(growing[axis][1] if axis in growing else length for axis, length in lengths.items())
                files.add(path(name), shape, value.dtype, axes[name], chunk)
    return {name: files[path(name)] for name in values}


def variable(name: str) -> str:
    """The name of a variable in a store, where a slash separates groups."""
    return name.replace("/", ".")


def _tick(labels: Sequence[Any]) -> np.ndarray:
    ticks = np.asarray(labels)
    return (
        ticks
        if ticks.dtype.kind in "iufb" and ticks.ndim == 1
        else np.asarray([str(label) for label in labels], object)
    )


def read(files: Files) -> dict[str, dict[str, "zarr.Array[Any]"]]:
    """The variables of each group as of the last commit, those of the root under "", without coordinates and unread."""
    import zarr

    found: dict[str, dict[str, zarr.Array[Any]]] = {}
    for path, array in committed_group(files.path).members(max_depth=None):
        group, _, name = path.rpartition("/")
        if isinstance(array, zarr.Array) and array.metadata.to_dict().get("dimension_names") != (name,):
            found.setdefault(group, {})[name] = array
    return found
