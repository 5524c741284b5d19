"""The folder of a run: its stores, and a copy of its study, from which it goes on wherever the folder is named.

Paths in the copy are relative to the folder, so that it can be moved together with its data.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxlatent.cli.study.place import Place
from jaxlatent.cli.study.toml import document
from jaxlatent.errors import did_you_mean

STUDY = "study.toml"
_HEAD = "# The study of this folder, as it was run: `jaxlatent resume` of the folder goes on with it.\n\n"
#: The root of a Zarr hierarchy.
_ZARR = "zarr.json"


def study_at(path: Path) -> Path:
    """The study file that a path means: itself, or the copy in the folder of a run.

    Raises:
        InputError: for a folder without one, such as a store that no study made.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        there = [one.name for one in path.parent.glob("*") if one.is_dir() or one.suffix == ".toml"]
        raise Place(str(path)).error(
            "nothing there", "a study file in TOML, or the folder of its run", did_you_mean(path.name, there)
        )
    if (path / STUDY).is_file():
        return path / STUDY
    place = Place(str(path))
    if (path / _ZARR).is_file():
        if (path.parent / STUDY).is_file():
            raise place.error("a store of a study", "the folder of the study", f"name {path.parent}.")
        raise place.error(
            "a store without a study, whose model is in nobody's file",
            "a study file, or the folder of its run",
            "go on with jl.resume(path, model) in Python, or with the `jaxlatent fit` that began it.",
        )
    raise place.error("a folder without a run", "a study file, or the folder of its run", "check the path.")


def is_store(path: Path) -> bool:
    """Whether a path is a store rather than a study or the folder of its run."""
    return (path / _ZARR).is_file() and not (path / STUDY).is_file()


def keep_study(folder: Path, origin: Path, tables: Mapping[str, Any]) -> Callable[[], None]:
    """Write the copy of a study; returns what puts back the one before.

    Args:
        folder: of the run, which is made.
        origin: the folder to which paths in ``tables`` are relative.
        tables: the sections of the study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / STUDY
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    path.write_text(_HEAD + document(_moved(tables, origin, folder)), encoding="utf-8")

    def restore() -> None:
        if before is None:
            path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
        else:
            path.write_text(before, encoding="utf-8")

    return restore


def _moved(tables: Mapping[str, Any], origin: Path, folder: Path) -> dict[str, Any]:
    """The sections with paths relative to ``folder``."""
    moved: Callable[[str], str] = lambda path: Path(os.path.relpath(origin / path, folder)).as_posix()
    made = {name: dict(table) for name, table in tables.items()}
    made["data"]["file"] = moved(made["data"]["file"])
    if re.search(r"\.py:\w+$", function := made["model"].get("function", "")):
        made["model"]["function"] = moved(function)
    fit = made.setdefault("fit", {})
    fit["store"] = "."
    if isinstance(fit.get("init"), str):
        fit["init"] = moved(fit["init"])
    return made
