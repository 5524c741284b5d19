"""`Lazy`: arrays on disk, each read whenever it is asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxlatent.errors import StoreError
from jaxlatent.store.files import explained

if TYPE_CHECKING:
    import zarr


class _Part(NamedTuple):
    """A part of an array: along each axis an index, or a range of them."""

    array: "zarr.Array[Any]"
    axes: tuple[int | range, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.axes if isinstance(axis, range))

    def at(self, index: tuple[int | slice, ...]) -> "_Part":
        """A part of this part, by basic indexing."""
        chosen = iter(index)
        return _Part(
            self.array,
            tuple(axis[next(chosen, slice(None))] if isinstance(axis, range) else axis for axis in self.axes),
        )

    def read(self) -> np.ndarray:
        """What is there, if none of it is lost."""
        missing = self.array.nchunks - self.array.nchunks_initialized
        if missing > 0:
            raise StoreError(
                f"store {self.array.store_path}",
                got=f"{missing} of {self.array.nchunks} chunks missing",
                expected="all chunks, as they were written",
                remedy="copy them from a backup, or fit again; other arrays can still be read.",
            )
        index = tuple(axis if isinstance(axis, int) else slice(axis.start, axis.stop, axis.step) for axis in self.axes)
        return np.asarray(self.array[index])


class _Rows(NamedTuple):
    """The rows of several parts; along other axes the shorter ones end with NaN (integers: 0).

    Attributes:
        parts: of an array along its first axis.
        order: where each row is, when the parts stand one after the other.
    """

    parts: "tuple[_Part | _Rows, ...]"
    order: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        first, *rest = zip(*(part.shape for part in self.parts), strict=True)
        return (sum(first), *map(max, rest))

    def at(self, index: tuple[int | slice, ...]) -> "_Part | _Rows":
        """One row of these rows, or the same part of all of them."""
        row, *rest = index or (slice(None),)
        if row == slice(None):
            return _Rows(tuple(part.at((row, *rest)) for part in self.parts), self.order)
        assert isinstance(row, int)
        row = int(self.order[row])
        for part in self.parts:
            if row < part.shape[0]:
                return part.at((row, *rest))
            row -= part.shape[0]
        raise IndexError(index)

    def read(self) -> np.ndarray:
        """All of them."""
        rows: np.ndarray = stacked([part.read() for part in self.parts])[self.order]
        return rows


def stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays one after the other along the first axis; along others the shorter ones end with NaN (integers: 0)."""
    longest = np.max([array.shape[1:] for array in arrays], 0)
    fill = np.nan if arrays[0].dtype.kind == "f" else 0
    pads = ([(0, 0), *((0, int(most - had)) for had, most in zip(x.shape[1:], longest, strict=True))] for x in arrays)
    return np.concatenate([np.pad(x, pad, constant_values=fill) for x, pad in zip(arrays, pads, strict=True)])


@jax.tree_util.register_pytree_with_keys_class
class Lazy(Mapping[str, np.ndarray]):
    """Arrays on disk by name, read whenever they are asked for, as of the commit at which the store was opened.

    As a pytree it is a dict of the arrays, all of them read.

    Args:
        path: of the store.
        arrays: in the order of iteration.
    """

    def __init__(self, path: str, arrays: Mapping[str, "zarr.Array[Any]"]) -> None:
        self._path = path
        self._parts: dict[str, _Part | _Rows] = {
            name: _Part(array, tuple(map(range, array.shape))) for name, array in arrays.items()
        }

    def __getitem__(self, name: str) -> np.ndarray:
        part = self._parts[name]
        with explained(self._path):
            return part.read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        return f"Lazy({self._path!r}, {', '.join(f'{name} {self.shape(name)}' for name in self)})"

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without reading it."""
        return self._parts[name].shape

    @classmethod
    def joined(cls, path: str, parts: "Sequence[Lazy]", order: np.ndarray) -> "Lazy":
        """Arrays joined by name along their first axis, those that all parts have.

        Args:
            path: for messages.
            parts: in turn.
            order: where each row is, when the parts are concatenated.
        """
        whole = cls(path, {})
        common = [name for name in parts[0] if all(name in one for one in parts)]
        whole._parts = {name: _Rows(tuple(one._parts[name] for one in parts), order) for name in common}
        return whole

    def at(
        self, index: tuple[int | slice, ...], fits: Callable[[tuple[int, ...]], bool] = lambda shape: True
    ) -> "Lazy":
        """The part at ``index`` of every array whose shape ``fits``, unread."""
        part = Lazy(self._path, {})
        part._parts = {name: own.at(index) if fits(own.shape) else own for name, own in self._parts.items()}
        return part

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, np.ndarray]], tuple[str, ...]]:
        """All arrays, read."""
        return [(jax.tree_util.DictKey(name), self[name]) for name in self], tuple(self)

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], arrays: Sequence[Any]) -> Any:
        """A dict."""
        return dict(zip(names, arrays, strict=True))
