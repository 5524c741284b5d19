"""Writing a page: as a whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxlatent.errors import InputError, StoreError


def prepare(path: Any) -> Path:
    """The file that a page is to be, checked before any work; its folder is made where there is none.

    Raises:
        InputError: for what is no path of a file on this machine that a browser opens as HTML.
        StoreError: where the folder cannot be made.
    """
    given = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
    if not isinstance(given, str) or "://" in given or Path(given).suffix.lower() not in (".html", ".htm"):
        raise InputError(
            "report(path)",
            got=repr(path),
            expected="the path of a file on this machine that ends in .html",
            remedy="give for instance 'runs/study.html'.",
        )
    # A link stays a link to the file that is written.
    file = Path(os.path.realpath(given))
    if file.is_dir():
        raise InputError("report(path)", got=f"a folder, {given!r}", expected="a file", remedy="name a file in it.")
    with _explained(given):
        file.parent.mkdir(parents=True, exist_ok=True)
    return file


def write(file: Path, page: str) -> None:
    """Write a page in place of what is there; on any failure what is there stays.

    Raises:
        StoreError: on failures of the disk.
    """
    beside = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        with _explained(str(file)):
            with open(beside, "x", encoding="utf-8", newline="\n") as stream:
                stream.write(page)
            os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise StoreError(
            f"page {path!r}",
            got=f"{type(problem).__name__}: {problem}",
            expected="a folder that this process may write to, on a disk that takes all of the page",
            remedy="choose another path, ask for permission, or free space; a page that was there before still is.",
        ) from problem
