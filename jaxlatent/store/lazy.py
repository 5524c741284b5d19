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
        index = tuple(axis if isinstance(axis, int) else slice(axis.start, axis.stop, axis.step) for axis in self.axes)
        return np.asarray(self.array[index])


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
        self._parts = {name: _Part(array, tuple(map(range, array.shape))) for name, array in arrays.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        part = self._parts[name]
        with explained(self._path):
            missing = part.array.nchunks - part.array.nchunks_initialized
            if missing > 0:
                raise StoreError(
                    f"store {self._path!r}, {part.array.path!r}",
                    got=f"{missing} of {part.array.nchunks} chunks missing",
                    expected="all chunks, as they were written",
                    remedy="copy them from a backup, or fit again; other arrays can still be read.",
                )
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
