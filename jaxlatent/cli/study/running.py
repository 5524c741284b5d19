"""Run a study: choose, cross-validate or fit, into the folder of the run, from wherever it was left."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

import jaxlatent as jl
from jaxlatent.cli.study.data import roles_explained
from jaxlatent.cli.study.folder import STUDY, keep_study
from jaxlatent.cli.study.study import Study
from jaxlatent.errors import InputError, JaxlatentError
from jaxlatent.store.files import found
from jaxlatent.store.shards import part_path

#: What a study ends in.
Outcome = jl.Selection | jl.CrossValidation | jl.Result


def run(study: Study, shard: tuple[int, int] | None = None) -> Outcome:
    """Run a study, or go on with it; what is finished is only read.

    Args:
        study: that was read.
        shard: ``(i, n)``: the ``i``-th of ``n`` parts: of the candidates of a choice, of the datasets of a fit.

    Raises:
        InputError: as the functions that it calls, with the name of the file; for a shard of a cross-validation.
        StoreError: where the folder cannot be written.
    """
    call = _call(study, shard)
    keys = [f"{study.verb}.folds", f"{study.verb}.by", *(f"fit.{one.name}" for one in fields(study.options))]
    restore = keep_study(study.folder, study.path.parent, study.tables)
    try:
        with study.place.explained(keys), roles_explained(study.loaded.section, study.place.at("data")):
            return call()
    except JaxlatentError:
        restore()
        raise


def _call(study: Study, shard: tuple[int, int] | None) -> Callable[[], Outcome]:
    data, engine, seed = study.loaded.data, study.engine, study.options.seed
    assert seed is not None
    options = _options(study)
    candidates = study.models.candidates
    if candidates is not None:
        own = candidates if shard is None else _own(candidates, shard)
        return lambda: jl.select(
            study.models.build, own, data, engine, seed, store=study.folder, **study.held_out or {}, **options
        )
    model = study.models.build(None)
    if study.held_out is not None:
        if shard is not None:
            raise InputError(
                "--shard",
                got="a cross-validation",
                expected="a choice, whose candidates are shared out, or a fit, whose datasets are",
                remedy="leave it out: all folds are one program.",
            )
        held_out = study.held_out
        store = study.folder / "folds"
        return lambda: jl.cross_validate(model, data, engine, seed, store=store, **held_out, **options)
    path = study.folder / "fit"
    if shard is None and (joined := _shards(study, path)):
        return lambda: _joined(study, path, joined, model)
    return lambda: jl.fit(model, data, engine, seed, store=path, shard=shard, **options)


def _options(study: Study) -> dict[str, Any]:
    """Options of `jaxlatent.fit`."""
    given = study.options
    init: Any = given.init
    if isinstance(init, str):
        init = _earlier(study, study.path.parent / init)
    elif init is not None:
        init = {name: np.asarray(value) for name, value in init.items()}
    return {
        "resume": True,
        "progress": True,
        "init": init,
        "on_bad_data": given.on_bad_data,
        "memory": given.memory,
        "until": given.until,
        "segment": given.segment,
    }


def _earlier(study: Study, path: Path) -> Any:
    """The earlier run to start from: of every candidate its own."""
    place = study.place.at("fit.init")
    if not path.is_dir():
        raise place.error(f"{path}, which is not there", "the folder or store of an earlier run", "check the path.")

    def of(candidate: Any) -> jl.Result:
        with place.explained():
            return jl.open(path / str(candidate), study.models.build(candidate))

    if study.models.candidates is not None:
        for candidate in study.models.candidates:
            of(candidate)
        return of
    store = path / ("fit" if study.held_out is None else "folds") if (path / STUDY).is_file() else path
    with place.explained():
        return jl.open(store, study.models.build(None))


def _own(candidates: tuple[Any, ...], shard: tuple[int, int]) -> tuple[Any, ...]:
    index, count = shard
    if not 0 <= index < count <= len(candidates):
        raise InputError(
            "--shard",
            got=f"{index}/{count}",
            expected=f"0 <= I < N, and N at most the number of candidates, {len(candidates)}",
            remedy="count from 0, and use fewer.",
        )
    return candidates[index::count]


def _shards(study: Study, path: Path) -> int:
    """The number of shards that were fitted by themselves; 0 for none."""
    begun = found(path)
    alone = begun is not None and "shards" in begun.committed and "parts" not in begun.committed
    return int(begun.committed["shards"]) if begun is not None and alone else 0


def _joined(study: Study, path: Path, count: int, model: jl.Model) -> jl.Result:
    """The result of shards, all of which must be there."""
    for i in range(count):
        shard = found(part_path(path, i, count))
        if shard is None or shard.committed["state"] != "finished":
            raise InputError(
                f"{study.path}, shard {i} of {count}",
                got="not begun" if shard is None else "a run that has not ended",
                expected="every shard finished, to be joined",
                remedy=f"jaxlatent run {study.path} --shard {i}/{count}",
            )
    return jl.open(path, model, study.loaded.data, engine=study.engine)
