"""A Zarr hierarchy whose root document decides what counts.

Arrays have their full length from the start and are filled from the front. The consolidated metadata in the root document tell readers how
much of them is there, and writing this one document, which file systems and object stores do atomically, is the commit: a process killed at
any moment leaves the commit before. (Not one whose machine loses power: nothing is forced out of the caches of the operating system.)
Arrays that are not listed in the root document are for the package alone.
"""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlatent.errors import StoreError, require

if TYPE_CHECKING:
    import zarr

#: Version of the format, raised when older code could not read what newer code writes.
FORMAT = 2
#: Bytes of a chunk above which the leading axis is split.
_CHUNK = 2**27
_ROOT = "zarr.json"
#: A chunk that is missing is then a chunk that was lost.
_CONFIG: Any = {"write_empty_chunks": True}


class Files:
    """A store that is open for reading, or for writing by this process.

    Args:
        path: as the user gave it.
        group: without consolidated metadata, so that arrays have their full length.
        document: the root document of the last commit; None before the first.
    """

    def __init__(self, path: str, group: "zarr.Group", document: dict[str, Any] | None) -> None:
        self.path, self._group = path, group
        self._document = document
        self._listed: dict[str, Any] = (
            deepcopy(document.get("consolidated_metadata", {}).get("metadata", {})) if document else {}
        )
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._writer: str | None = None

    @property
    def committed(self) -> dict[str, Any]:
        """What the last commit says of the run."""
        assert self._document is not None
        committed: dict[str, Any] = self._document["attributes"]["jaxlatent"]
        return committed

    def add(
        self, name: str, shape: tuple[int, ...], dtype: Any, dims: tuple[str, ...] | None, chunks: tuple[int, ...]
    ) -> "zarr.Array[Any]":
        """A new array; unlisted without ``dims``. An unlisted array of this name is replaced."""
        from zarr.codecs import Crc32cCodec, ZstdCodec

        dtype = np.dtype(dtype)
        text = dtype.kind in "OUT"
        size = int(np.prod(chunks, dtype=np.int64)) * (1 if text else dtype.itemsize)
        chunks = (max(1, chunks[0] // -(-size // _CHUNK)), *chunks[1:]) if chunks else chunks
        with explained(self.path):
            if "/" in name:
                self._add_group(name.rpartition("/")[0], listed=dims is not None)
            array = self._group.create_array(
                name,
                shape=shape,
                chunks=tuple(max(1, length) for length in chunks),
                dtype=str if text else dtype,
                fill_value=np.nan if dtype.kind == "f" else "" if text else 0,
                dimension_names=dims,
                # A checksum of each chunk, which compressed noise would not show to be damaged.
                compressors=[ZstdCodec(level=1), Crc32cCodec()],
                overwrite=True,
                config=_CONFIG,
            )
        self._arrays[name] = array
        if dims is not None:
            self._listed[name] = array.metadata.to_dict()
        return array

    def _add_group(self, name: str, listed: bool) -> None:
        if name not in self._group:
            self._group.create_group(name)
        if listed and name not in self._listed:
            self._listed[name] = {"attributes": {}, "zarr_format": 3, "node_type": "group"}

    def forget(self, group: str) -> None:
        """Take the arrays of a group off the list, from the next commit on; those of the root with ""."""
        arrays = [name for name, entry in self._listed.items() if entry["node_type"] == "array"]
        for name in arrays:
            if name.rpartition("/")[0] == group:
                del self._listed[name]
        self._listed.pop(group, None)

    def __contains__(self, name: str) -> bool:
        return name in self._listed

    def __getitem__(self, name: str) -> "zarr.Array[Any]":
        """An array at its full length."""
        import zarr

        if name not in self._arrays:
            with explained(self.path):
                array = self._group[name]
            assert isinstance(array, zarr.Array)
            self._arrays[name] = array.with_config(_CONFIG)
        return self._arrays[name]

    def lengthen(self, dim: str, length: int) -> None:
        """Make room along a dimension of the listed arrays."""
        for name, metadata in self._listed.items():
            dims = metadata.get("dimension_names") or ()
            if dim in dims:
                array, axis = self[name], dims.index(dim)
                if array.shape[axis] < length:
                    with explained(self.path):
                        array.resize((*array.shape[:axis], length, *array.shape[axis + 1 :]))
                if name.rpartition("/")[2] == dim:
                    array[:] = np.arange(length)

    def commit(self, run: Mapping[str, Any], lengths: Mapping[str, int]) -> None:
        """Make everything written so far count.

        Args:
            run: what `committed` returns from now on.
            lengths: of dimensions that are shorter than their arrays.

        Raises:
            StoreError: if another process has written to the store since the last commit, or on failures of the disk.
        """
        self.claim()
        listed = deepcopy(self._listed)
        for metadata in listed.values():
            dims = metadata.get("dimension_names") or ()
            if dims:
                metadata["shape"] = [lengths.get(d, n) for d, n in zip(dims, metadata["shape"], strict=True)]
        document = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"jaxlatent": {**run, "format": FORMAT, "writer": self._writer}},
            "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": listed},
        }
        with explained(self.path):
            _write(self._group, json.dumps(document).encode())
        self._document = document

    def claim(self) -> None:
        """Become the writer at first; after the first commit be sure, before anything is written, to be still the only one.

        Raises:
            StoreError: if another process has written to the store since.
        """
        if self._writer is None:
            self._writer = uuid.uuid4().hex
        last = None if self._document is None else self.committed["writer"]
        document = _root_document(self.path, self._group)
        if last != (None if document is None else document["attributes"]["jaxlatent"]["writer"]):
            raise StoreError(
                f"store {self.path!r}",
                got="another process that writes to it since this run began",
                expected="one writer",
                remedy="let the other one finish, or give this run a path of its own.",
            )


def address(path: Any) -> str:
    """A path as text.

    Raises:
        InputError: for anything else, or no text.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
    require(bool(text), "store", got=path, expected="a path, or an address that fsspec knows, such as 'runs/x.zarr'")
    return str(text)


def create(path: str | os.PathLike[str]) -> Files:
    """A new store.

    Raises:
        StoreError: where something is already there, or where nothing can be written.
    """
    path = address(path)
    group, document = _begun(path)
    if document is not None:
        raise _occupied(path, document)
    if group is None and (other := _other_than_zarr(path)):
        raise _foreign(path, other)
    if group is not None and "jaxlatent" not in group.attrs and (dict(group.attrs) or list(group.members())):
        raise _foreign(path, "a Zarr hierarchy of another program")
    return Files(path, _made(path), None)


def _other_than_zarr(path: str) -> str:
    """What is at a path of this machine that is no Zarr group, in words; empty if nothing."""
    if os.path.isdir(path):
        return "a folder with other files" if os.listdir(path) else ""
    return "a file" if os.path.exists(path) else ""


def found(path: str | os.PathLike[str]) -> Files | None:
    """A store, to write on; None where nothing has been committed."""
    path = address(path)
    document = _begun(path)[1]
    return None if document is None else Files(path, _made(path), document)


def prepare(path: str | os.PathLike[str], count: int, run: Mapping[str, Any]) -> dict[str, Any]:
    """Make the store that shards share, whichever process comes first.

    Args:
        path: of the store.
        count: number of shards.
        run: its description, if it is not there yet.

    Returns:
        The description that is there now.

    Raises:
        StoreError: where something else is already there, or where nothing can be written.
    """
    path = address(path)
    _, document = _begun(path)
    if document is None:
        document = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"jaxlatent": {**run, "shards": count, "format": FORMAT}},
        }
        with explained(path):
            _write(_made(path), json.dumps(document).encode())
    there: dict[str, Any] = document["attributes"]["jaxlatent"]
    if there.get("shards") != count:
        raise _occupied(path, document)
    return there


def _begun(path: str) -> tuple["zarr.Group | None", dict[str, Any] | None]:
    """The group at ``path`` and its root document; None where there is none."""
    import zarr
    from zarr.errors import ContainsArrayError

    with explained(path):
        try:
            group = zarr.open_group(path, mode="r", use_consolidated=False)
        except FileNotFoundError:
            return None, None
        except ContainsArrayError:
            raise _foreign(path, "a Zarr array of another program") from None
    return group, _root_document(path, group)


def _made(path: str) -> "zarr.Group":
    import zarr

    # By this mark, what a run leaves that ends before its first commit is told from the files of another program.
    mark: Any = {"jaxlatent": {"format": FORMAT}}
    with explained(path):
        return zarr.open_group(path, mode="a", zarr_format=3, use_consolidated=False, attributes=mark)


def open_files(path: str | os.PathLike[str], writable: bool = False) -> Files:
    """An existing store.

    Raises:
        StoreError: where there is none, or one that this version cannot read.
    """
    path = address(path)
    group, document = _begun(path)
    if group is None:
        raise StoreError(
            f"store {path!r}",
            got=_other_than_zarr(path) or "nothing there",
            expected="a store that jl.fit(..., store=...) or result.save(...) has written",
            remedy="check the path.",
        )
    if document is None:
        raise StoreError(
            f"store {path!r}",
            got="a Zarr hierarchy without a commit of jaxlatent",
            expected="a store that jl.fit(..., store=...) or result.save(...) has written",
            remedy="check the path; a run that ended before its first commit holds nothing: fit again, into the same path.",
        )
    return Files(path, _made(path) if writable else group, document)


def committed_group(path: str) -> "zarr.Group":
    """The listed arrays as of the last commit, for reading."""
    import zarr

    with explained(path):
        return zarr.open_group(path, mode="r", use_consolidated=True)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn failures of the disk and of damaged chunks into a `StoreError`."""
    try:
        yield
    except (OSError, ImportError, KeyError, RuntimeError, ValueError) as problem:
        got, expected, remedy = _explanation(problem)
        raise StoreError(f"store {path!r}", got=got, expected=expected, remedy=remedy) from problem


def _explanation(problem: Exception) -> tuple[str, str, str]:
    said = f"{type(problem).__name__}: {problem}"
    if isinstance(problem, PermissionError):
        return said, "a path that this process may read and write", "choose another path, or ask for permission."
    if "Protocol not known" in said:
        return said, "a path, or an address that fsspec knows, such as 's3://bucket/x.zarr'", "correct the address."
    if isinstance(problem, ImportError):
        return said, "a package that reads this kind of address", "install it."
    if isinstance(problem, FileExistsError | NotADirectoryError | FileNotFoundError):
        return said, "a path where a folder can be made", "choose another path."
    if isinstance(problem, OSError):
        return (
            said,
            "a disk that takes all of it",
            "free space or mend the disk, then go on from the last commit: jl.resume(path, model).",
        )
    return (
        said,
        "chunks as they were written",
        "the file is damaged: copy it from a backup, or fit again; other arrays can still be read.",
    )


def _occupied(path: str, document: dict[str, Any]) -> StoreError:
    run = document["attributes"]["jaxlatent"]
    what, again = "a run that can be resumed", "jl.resume(path, model)"
    if "parts" in run:
        what = f"a store of {run['shards']} parts"
    elif "shards" in run:
        what, again = f"a store of {run['shards']} shards", f"one of them, shard=(i, {run['shards']})"
    elif run["state"] == "finished":
        what = "a finished run"
    return StoreError(
        f"store {path!r}",
        got=what,
        expected="a path where nothing is yet",
        remedy=f"go on with {again}, read it with jl.open(path), or choose another path.",
    )


def _foreign(path: str, what: str) -> StoreError:
    return StoreError(
        f"store {path!r}",
        got=what,
        expected="a path where nothing is yet, or a store of jaxlatent",
        remedy="choose another path.",
    )


def _root_document(path: str, group: "zarr.Group") -> dict[str, Any] | None:
    """The root document; None if jaxlatent has not committed one."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    with explained(path):
        found = sync(group.store.get(_root_key(group), default_buffer_prototype()))
        document: dict[str, Any] = json.loads(found.to_bytes()) if found is not None else {}
    run = document.get("attributes", {}).get("jaxlatent")
    if run is None:
        return None
    if run.get("format") != FORMAT:
        raise StoreError(
            f"store {path!r}",
            got=f"format {run.get('format')!r}, written by jaxlatent {run.get('provenance', {}).get('versions', {}).get('jaxlatent')}",
            expected=f"format {FORMAT}",
            remedy="read it with the version that wrote it, or its arrays with xarray.open_datatree(path, engine='zarr').",
        )
    # Neither a run nor shards: the mark of a store that has begun.
    return document if "writer" in run or "shards" in run else None


def _write(group: "zarr.Group", content: bytes) -> None:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    sync(group.store.set(_root_key(group), default_buffer_prototype().buffer.from_bytes(content)))


def _root_key(group: "zarr.Group") -> str:
    return f"{group.path}/{_ROOT}" if group.path else _ROOT
