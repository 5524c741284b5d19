"""`open_run` and `resume`: read a stored run, and go on with it."""

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast

import jax
import numpy as np

from jaxlatent.data.arrays import on_device
from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, StoreError, require
from jaxlatent.execute.complete import run_job
from jaxlatent.execute.conditioning import conditioned_for, part_of
from jaxlatent.execute.job import Job
from jaxlatent.execute.parts import one_by_one
from jaxlatent.execute.quarantine import Quarantine
from jaxlatent.execute.stopping import until as Until
from jaxlatent.model.model import Model
from jaxlatent.model.recipes import model_of
from jaxlatent.posterior.condition import unguided
from jaxlatent.posterior.guides import guided
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.joining import joined
from jaxlatent.results.opening import opened
from jaxlatent.results.result import Result
from jaxlatent.results.stored import data_of, forget_end
from jaxlatent.store.files import Files, open_files
from jaxlatent.store.manifest import (
    differences_of,
    engine_of,
    identity,
    key_of,
    length_of,
    part_identity,
    require_same,
    resembling,
)
from jaxlatent.store.shards import Shard, as_shard, part_path
from jaxlatent.typing import Data, Key


def open_run(
    path: str | os.PathLike[str],
    model: Model | Posterior | None = None,
    data: Data | Batch | None = None,
    *,
    engine: Engine | None = None,
) -> Result:
    """Read a run that `jaxlatent.fit` stores or has stored, finished or not, or a result that was saved.

    Draws are read when they are asked for, as of the last commit before the call. Lanes of a run that has not ended have the status
    UNFINISHED.

    Args:
        path: of the store.
        model: the model of the run, for everything that evaluates it (``predict``, ``score``, ``smooth``); or its posterior. A ready
            family need not be given: the store knows the call that made it.
        data: of the run; those in the store by default.
        engine: of the run, for ``result.engine``; by default made from the settings in the store, with defaults for those that are not
            numbers or words (an Optax optimiser).

    Raises:
        StoreError: if there is no store, one that cannot be read, or no draw yet.
        InputError: for another model or other data.
    """
    return _opened(open_files(path), model, data, engine)


def _opened(files: Files, model: Model | Posterior | None, data: Data | Batch | None, engine: Engine | None) -> Result:
    if "shards" in files.committed:
        return _joined_shards(files, model, data, engine)
    model, data = _of_shard(files, model, data)
    same = files.committed["identity"]
    posterior, made = None, resembling(files.path, same["engine"]) if engine is None else engine
    if model is not None:
        posterior = _same_posterior(files, model, data, made, engine is None)
    elif (family := model_of(files.committed.get("recipe"))) is not None:
        with suppress(InputError):  # in another precision, or by another version, it is not the model of the run
            posterior = _same_posterior(files, family, data, made, engine is None)
    return opened(files, posterior, made)


def _same_posterior(
    files: Files, model: Model | Posterior, data: Data | Batch | None, engine: Engine, made: bool
) -> Posterior:
    """The posterior of a run; an error if it is another one. An engine that was ``made`` from the store is not compared."""
    same = files.committed["identity"]
    posterior = guided(_given(files, model, data))
    given = {**identity(posterior, engine, None), "seed": same["seed"]}
    require_same(files.path, same, {**given, "engine": same["engine"]} if made else given)
    return posterior


def _joined_shards(
    root: Files, model: Model | Posterior | None, data: Data | Batch | None, engine: Engine | None
) -> Result:
    """The result of the shards that are there; tells which are not."""
    results, missing = [], []
    count = root.committed["shards"]
    parts, there = parts_in(root), []
    for i in range(count):
        try:
            files = open_files(part_path(root.path, i, count))
            results.append(_opened(files, model, data, engine))
            there.append(i)
        except StoreError as problem:
            missing.append(f"shard {i} ({problem.got})")
        else:
            _require_part(root, files, i, parts)
    if not results:
        raise StoreError(
            f"store {root.path!r}",
            got=", ".join(missing),
            expected="at least one shard with draws or points",
            remedy="wait for them, or run them: jl.fit(..., store=path, shard=(i, n)), jl.resume(path, model, shard=(i, n)).",
        )
    if missing:
        warnings.warn(f"store {root.path!r}: the result is without {', '.join(missing)}.", stacklevel=4)
    return joined(root.path, results, np.concatenate([parts[i] for i in there]).tolist() if parts else None)


def _require_part(root: Files, files: Files, i: int, parts: Sequence[np.ndarray]) -> None:
    """Raise `StoreError` where the i-th part is of another run than its store, such as one that was copied there."""
    whole, found = root.committed.get("identity"), files.committed["identity"]
    if whole is None:  # a former version wrote it
        return
    rows = parts[i] if parts else Shard(i, root.committed["shards"]).of(len(whole["names of datasets"]))
    differences = differences_of(part_identity(whole, found, rows.tolist()), found)
    if differences:
        raise StoreError(
            f"store {files.path!r}",
            got="; ".join(differences),
            expected=f"a part of the run in {root.path!r}",
            remedy="delete this part and fit it as the others, or put it back where it was.",
        )


def parts_in(root: Files) -> list[np.ndarray]:
    """The datasets of each part of a store that one fit wrote; none where each shard is a fit of its own."""
    return [np.array(part) for part in root.committed.get("parts", ())]


def _of_shard(
    files: Files, model: Model | Posterior | None, data: Data | Batch | None
) -> tuple[Model | Posterior | None, Data | Batch | None]:
    """The part of a model's data, or of a posterior, that belongs to the shard in ``files``; unchanged where they are that part."""
    run = files.committed
    names = run["identity"]["names of datasets"]
    whole = data.names if isinstance(data, Batch) else model.names if isinstance(model, Posterior) else None
    if model is None or whole is None or list(whole) == names or len(whole) != run["whole"]:
        return model, data
    return part_of(model, data, run["datasets"])


def resume(
    path: str | os.PathLike[str],
    model: Model | Posterior,
    data: Data | Batch | None = None,
    *,
    draws: int | None = None,
    max_iter: int | None = None,
    engine: Engine | None = None,
    devices: Sequence[jax.Device] | None = None,
    progress: bool | None = None,
    shard: tuple[int, int] | None = None,
) -> Result:
    """Go on with a run that `jaxlatent.fit` stored, from its last commit, warm-up included.

    On the same devices and versions the result is bitwise that of a run that was never interrupted. A run that has ended is returned as
    `jaxlatent.open` does, or goes on with more ``draws`` or a larger ``max_iter``.

    Args:
        path: of the store.
        model: the model of the run; or its posterior.
        data: of the run; those in the store by default.
        draws: of each chain in all, at least as many as before; of engines that sample.
        max_iter: in all, at least as many as before; of engines that optimise.
        engine: of the run, where its settings are not numbers and words (an Optax optimiser).
        devices: see `jaxlatent.fit`. On other numbers of devices than before, results agree to rounding.
        progress: see `jaxlatent.fit`.
        shard: which of the parts of a store; see `jaxlatent.fit`. Any process may go on with any part that no other one writes.

    Raises:
        StoreError: if there is no store, or one that cannot be read or written.
        InputError: for another model, other data or settings, naming what differs.
    """
    files = open_files(path if shard is None else as_shard(shard).path(path), writable=True)
    if parts := parts_in(files):
        paths = [part_path(files.path, i, len(parts)) for i in range(len(parts))]
        again = partial(_resume, model=model, data=data, draws=draws, max_iter=max_iter, engine=engine)
        names = files.committed.get("identity", {}).get("names of datasets", range(sum(map(len, parts))))
        fit_part = lambda i: again(open_files(paths[i], writable=True), devices=devices, progress=progress)
        return one_by_one(files.path, parts, names, fit_part)
    return _resume(files, model, data, draws, max_iter, engine, devices, progress)[0]


def _resume(
    files: Files,
    model: Model | Posterior,
    data: Data | Batch | None,
    draws: int | None,
    max_iter: int | None,
    engine: Engine | None,
    devices: Sequence[jax.Device] | None,
    progress: bool | None,
) -> tuple[Result, bool]:
    run = files.committed
    if "shards" in run:
        raise InputError(
            f"resume({files.path!r})",
            got=f"a store of {run['shards']} shards",
            expected="one of them",
            remedy=f"name it: shard=(i, {run['shards']}).",
        )
    model, data = cast(tuple[Any, Any], _of_shard(files, model, data))
    engine = engine_of(files.path, run["identity"]["engine"]) if engine is None else engine
    longer = _lengthened(engine, draws=draws, max_iter=max_iter)
    return resume_from(files, _given(files, model, data), longer, None, devices=devices, progress=progress)


def resume_from(
    files: Files,
    given: Posterior,
    engine: Engine,
    key: Key | None,
    *,
    devices: Sequence[jax.Device] | None,
    progress: bool | None,
) -> tuple[Result, bool]:
    """Go on with a stored run.

    Args:
        files: the store, to write on.
        given: the posterior, without guides.
        engine: of the run, perhaps with more draws or iterations.
        key: of the run; that in the store by default.
        devices, progress: see `jaxlatent.fit`.

    Raises:
        InputError: where something differs, or the engine makes fewer steps.

    Returns:
        The result, and whether Ctrl-C ended it early.
    """
    run = files.committed
    if "slot" not in run:
        raise InputError(
            f"resume({files.path!r})",
            got="a result that was saved after its fit",
            expected="a run that was stored as it went, with jl.fit(..., store=...)",
            remedy="read it with jl.open(path, model).",
        )
    same = run["identity"]
    key = key_of(same["seed"]) if key is None else key
    posterior = guided(given)
    require_same(files.path, same, identity(posterior, engine, key))
    name = length_of(engine)
    # An engine of another package may have no such setting.
    had, length = same["engine"]["settings"].get(name, 0), getattr(engine, name, 0)
    require(length >= had, f"resume({name}=...)", got=length, expected=f"at least {had}, as many as before")
    if run["state"] == "finished" and (run["early"] or length == had):
        return opened(files, posterior, engine), False
    forget_end(files)
    total = sum(stage.steps for stage in engine.schedule(run["segment"]) if stage.keep)
    for dim in ("draw", "iteration"):
        files.lengthen(dim, total)
    until = None if run["until"] is None else Until(**run["until"])
    seed, coords, segment = run["provenance"]["seed"], run["coords"], run["segment"]
    datasets = np.array(run["datasets"])
    job = Job(
        given,
        _quarantine(run),
        engine,
        key,
        seed,
        coords,
        devices,
        segment,
        until,
        progress,
        files,
        datasets,
        run["whole"],
    )
    return run_job(job, resumed=True)


def _lengthened(engine: Engine, **lengths: int | None) -> Engine:
    """The engine with more draws or iterations."""
    own = length_of(engine)
    for name, length in lengths.items():
        if length is None:
            continue
        require(
            name == own,
            f"resume({name}=...)",
            got=length,
            expected=f"nothing: more of a run by {type(engine).__name__} is a larger {own}",
            remedy=f"give {own}=... instead.",
        )
        engine = replace(cast(Any, engine), **{name: length})
    return engine


def _quarantine(run: Mapping[str, Any]) -> Quarantine:
    """The quarantine of the datasets of a run, which was decided when it began."""
    names = run["identity"]["names of datasets"]
    quarantine = Quarantine(None if names is None else tuple(names), True, {})
    for i, text in run["problems"]:
        quarantine.status[i] = run["status of problems"][i]
        quarantine.problems[names[i]] = text
    return quarantine


def _given(files: Files, model: Model | Posterior, data: Data | Batch | None) -> Posterior:
    """The posterior of a run, without guides."""
    run = files.committed
    names = run["identity"]["names of datasets"]
    if isinstance(model, Posterior):
        return conditioned_for(model, data, {}, wanted=False)[0]
    if "entries" not in run:
        raise InputError(
            f"the run in {files.path!r}",
            got="a model",
            expected="the posterior that was fitted, since it is not that of a jl.Model",
            remedy="give it in place of the model.",
        )
    parameters = run["identity"]["model"]["parameters"]
    if list(model.prior) != parameters:
        raise InputError(
            f"the run in {files.path!r}",
            got=f"a model with parameters {list(model.prior)}",
            expected=f"its own model, with parameters {parameters}",
            remedy="give this model, or fit anew with another path.",
        )
    if data is not None:
        return conditioned_for(model, data, {}, wanted=names is not None)[0]
    kept = on_device(data_of(files))
    return unguided(model, kept if names is None else Batch(kept, tuple(names)))
