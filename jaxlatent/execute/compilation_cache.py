"""`enable_compilation_cache`: compiled programs on the disk, for later processes."""

import hashlib
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from jaxlatent.errors import StoreError

#: Bytes that the default folder may have when a process begins, and that are left of more.
_MOST, _LEFT = 2**30, 2**29


def enable_compilation_cache(folder: str | os.PathLike[str] | None = None) -> Path:
    """Keep compiled programs on the disk, so that a later process with the same models and shapes need not compile them.

    The ``jaxlatent`` command does so by itself. Where JAX has a folder already, by ``JAX_COMPILATION_CACHE_DIR`` or a setting of the
    user's, that one is used.

    Args:
        folder: of the programs; created if missing. By default one for this kind of processor in the user's folder for caches, such as
            ``~/.cache/jaxlatent``, of which only the half used last is kept when it has grown beyond a gibibyte.

    Returns:
        The folder in use.

    Raises:
        StoreError: if the folder cannot be made or written to.
    """
    known: str | None = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if folder is None and known is not None:
        return Path(known)
    path = Path("jaxlatent") if folder is None else Path(folder)
    try:
        path = _default() if folder is None else path
        path.mkdir(parents=True, exist_ok=True)
        if folder is None:
            _shrink(path)
        accessible = os.access(path, os.R_OK | os.W_OK | os.X_OK)
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody's home is known
        raise _unusable(path, str(error)) from error
    if not accessible:
        raise _unusable(path, "no permission to write")
    jax.config.update("jax_compilation_cache_dir", str(path))
    # Most programs compile in less than JAX's limit of a second; together they take many.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    compilation_cache.reset_cache()
    return path


def _default() -> Path:
    """A folder of this kind of processor, as programs have the instructions of the one that compiled them."""
    given = os.environ.get("XDG_CACHE_HOME")
    own = Path("Library/Caches" if sys.platform == "darwin" else ".cache")
    home = Path(given) if given else Path.home() / own
    try:
        flags = next(
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Features"))
        )
    except (OSError, StopIteration):
        flags = platform.processor()
    kind = hashlib.sha256(flags.encode()).hexdigest()[:8]
    return home / "jaxlatent" / f"{platform.machine()}-{kind}"


def _shrink(path: Path) -> None:
    """Delete the programs that were not used for longest."""
    files = []
    for file in path.iterdir():
        # Another process may delete files, too.
        with suppress(FileNotFoundError):
            files.append((file, file.stat()))
    size = sum(found.st_size for _, found in files)
    if size <= _MOST:
        return
    for file, found in sorted(files, key=lambda each: max(each[1].st_atime, each[1].st_mtime)):
        file.unlink(missing_ok=True)
        size -= found.st_size
        if size <= _LEFT:
            return


def _unusable(path: Path, why: str) -> StoreError:
    return StoreError(
        "enable_compilation_cache(folder)",
        got=f"{path}: {why}",
        expected="a folder that can be written to",
        remedy="give another folder, or set XDG_CACHE_HOME.",
    )
