"""How far the run of a study has come, without its data and models."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jaxlatent as jl
from jaxlatent import models
from jaxlatent.cli import runs
from jaxlatent.cli.study.models import FAMILIES
from jaxlatent.cli.study.place import Place
from jaxlatent.cli.study.study import folder_of, options_in
from jaxlatent.cli.study.values import settings_of
from jaxlatent.status import in_words
from jaxlatent.store.files import found

#: Of a store, the document whose writing is a commit.
_COMMIT = "zarr.json"


def lines_of(path: Path, tables: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a study is of, and how far each of its stores is, in words.

    Args:
        path: of the study file.
        tables: its sections.
    """
    folder = folder_of(path, options_in(tables, Place(str(path))).store)
    lines = [("study", str(path)), ("folder", str(folder))]
    return [*lines, *((name, _state(folder / name)) for name in stores_of(tables))]


def unfinished(path: Path, tables: Mapping[str, Any]) -> dict[str, str]:
    """The stores of a study that are not finished, and how far they are."""
    return {name: text for name, text in lines_of(path, tables)[2:] if not text.startswith("finished")}


def stores_of(tables: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the stores of a study in its folder: those of the candidates of a choice, "folds" or "fit"."""
    model = tables.get("model", {})
    candidates: Any = tables.get("select", {}).get("candidates")
    if str(model.get("family")) in FAMILIES:
        candidates = model.get(next(iter(settings_of(getattr(models, model["family"])))))
    if isinstance(candidates, list):
        return tuple(map(str, candidates))
    return ("folds",) if "cross_validate" in tables else ("fit",)


def _state(store: Path) -> str:
    try:
        return _progress(store)
    except jl.StoreError as problem:
        return f"cannot be read: {problem.got}"


def _progress(store: Path) -> str:
    if found(store) is None:
        return "not begun"
    lines = dict(runs.lines_of(str(store)))
    if "shards" in lines:
        count = lines.pop("shards")
        if set(lines.values()) == {"finished"}:
            return f"finished: {count} shards"
        return "; ".join(f"{name}: {text}" for name, text in lines.items())
    state = lines["state"]
    if state == "finished":
        return f"finished: {in_words(jl.open(store).status)}"
    ago: Callable[[float], str] = lambda seconds: f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"{state}, committed {ago(time.time() - (store / _COMMIT).stat().st_mtime)} ago"
