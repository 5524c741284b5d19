"""`fit`: check, compile, run the stages with one host synchronisation per segment, and return a `Result`."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np

from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, require
from jaxlatent.execute.begin import begin_job, devices_of
from jaxlatent.execute.complete import run_job
from jaxlatent.execute.conditioning import conditioned_for, part_of
from jaxlatent.execute.job import Job
from jaxlatent.execute.parts import one_by_one, share
from jaxlatent.execute.plan import parts_for
from jaxlatent.execute.resume import parts_in, resume_from
from jaxlatent.execute.stopping import until as Until
from jaxlatent.keys import as_key
from jaxlatent.model.dims import carried_coords, coords_for
from jaxlatent.model.model import Model
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.result import Result
from jaxlatent.store.files import Files, address, create, found
from jaxlatent.store.shards import part_path, shard_of
from jaxlatent.typing import Data, Key


def fit(
    model: Model | Posterior,
    data: Data | Batch | None,
    engine: Engine,
    seed: int | Key,
    *,
    coords: Mapping[str, Sequence[Any]] | None = None,
    devices: Sequence[jax.Device] | None = None,
    init: Mapping[str, Any] | Result | None = None,
    progress: bool | None = None,
    segment: int = 250,
    until: Until | None = None,
    on_bad_data: Literal["raise", "quarantine"] = "raise",
    store: str | os.PathLike[str] | None = None,
    shard: tuple[int, int] | None = None,
    resume: bool = False,
    memory: int | float | str | None = None,
) -> Result:
    """Fit a model to one dataset, or to a batch of datasets, as one compiled program.

    Threads may call it concurrently. Spawn worker processes (``multiprocessing.get_context("spawn")``, joblib's loky): a process forked
    after JAX has started inherits locked locks, and hangs.

    Args:
        model: a `Model`, or a `Posterior` (then ``data`` is None).
        data: a dict, or a `jaxlatent.batch` of dicts, which makes every array of the result lead with ``dataset``.
        engine: an algorithm and its settings, such as ``NUTS(...)`` or ``EM(...)``; see `jaxlatent.engines`.
        seed: an int or a typed JAX key. Equal seeds, versions, shapes and devices give bitwise equal results, whatever the segment.
        coords: coordinate labels of named dimensions, for ArviZ; they come before those that data of `jaxlatent.table` and
            `jaxlatent.sequences`, or a PyMC model, carry. A store keeps those that are neither numbers nor text, such as dates, as text.
        devices: JAX devices; by default all of this process. See `jaxlatent.use_cpu_cores`. With the devices of several processes
            (``jax.devices()`` after ``jax.distributed.initialize()``) all of them make the same call, and each gets the whole result.
        init: where lanes start: named values, shared by all lanes or leading with ``lane`` or ``(dataset, lane)``; or a
            `Result`: its best point, or the last draw of each chain. Uniform(-2, 2) in unconstrained space by default.
        progress: None shows a live line on a terminal or in a notebook and nothing elsewhere; True prints lines elsewhere, one a minute;
            False shows nothing. They say what is done, how many iterations a lane makes in a second, divergences of kept draws, and the
            time that is left.
        segment: records between two synchronisations with the host.
        until: a rule to stop sampling early, see `jaxlatent.until`.
        on_bad_data: for a dataset of a batch that fails the checks (NaN, shapes, supports): "raise" an error before any work, or
            "quarantine" it: its lanes have that status and NaN, ``result.quarantined`` says why, and the others are fitted as without it.
            A dataset of a batch that passes the checks but has no finite log density is always quarantined.
        store: where to keep the run: a path or an address that fsspec knows, where nothing is yet. Draws and the state of the run are
            written there as it goes, and not kept in memory: the result reads them when asked. After a crash `jaxlatent.resume` goes
            on from the last commit, and `jaxlatent.open` reads what there is. Zarr; ``xarray.open_datatree(store, engine="zarr")``
            reads it too.
        shard: ``(i, n)`` fits the ``i``-th of ``n`` parts of the datasets of a batch, counted from 0, as one process or job of several that
            make the same call otherwise: ``(jax.process_index(), jax.process_count())``, or from the index of a SLURM array task. Each
            writes its part of the store, and `jaxlatent.open` joins them. Random streams are those of the whole batch.
        resume: whether to go on with the run that is in the store, if there is one, as `jaxlatent.resume` does: a script that is started
            again after a crash, or with more draws, then needs no change. Model, data, engine and seed must be those of the run, whose
            ``init``, ``until``, ``segment`` and ``coords`` stay as they were.
        memory: of each device, in bytes or as in "8GiB"; what is free by default. The datasets of a batch are fitted in as many groups, one
            after the other, as it takes to stay below, and datasets of very unequal lengths in groups of similar ones, where that saves
            more than it costs to compile; see `jaxlatent.plan`, which tells beforehand. In a store each group is a shard.

    Raises:
        InputError: before the engine is compiled, naming what is wrong with model, data or settings.
        StoreError: if the store cannot be written; before the engine is compiled where something is already there.
    """
    _check_engine(engine)
    require(segment >= 1, "fit(segment=...)", got=segment, expected="at least 1 record")
    require(
        on_bad_data in ("raise", "quarantine"),
        "fit(on_bad_data=...)",
        got=on_bad_data,
        expected="'raise' or 'quarantine'",
    )
    require(
        until is None or isinstance(until, Until),
        "fit(until=...)",
        got=until,
        expected="a stopping rule",
        remedy="write until=jl.until(ess=400, rhat=1.01).",
    )
    require(
        until is None or engine.kind == "chains",
        "fit(until=...)",
        got=engine,
        expected="an MCMC engine, such as NUTS; other engines have their own convergence checks",
        remedy="leave it out.",
    )
    require(
        store is not None or not resume, "fit(resume=True)", got=store, expected="a store", remedy="give store=path."
    )
    labels = coords_for(model, data, coords)
    own = model.density.coords if isinstance(model, Posterior) else carried_coords(data)
    names = data.names if isinstance(data, Batch) else model.names if isinstance(model, Posterior) else None
    whole = len(names or (None,))
    datasets = np.arange(whole)
    batch: Any = model if isinstance(model, Posterior) else data
    part = None if shard is None else shard_of(shard, names)
    if part is not None:
        datasets = part.of(whole)
        model, data = part_of(model, data, datasets)
    given, quarantine = conditioned_for(model, data, labels, on_bad_data == "quarantine", shard is None)
    labels = {**{dim: list(values) for dim, values in own.items()}, **labels}
    job = Job(
        given, quarantine, engine, as_key(seed), seed, labels, devices, segment, until, progress, None, datasets, whole
    )
    if store is not None and part is not None:
        share(store, part.count, job, batch)
        store = part.path(store)
    return _fit(job, init, store, resume, memory)


def _fit(
    job: Job,
    init: Mapping[str, Any] | Result | None,
    store: str | os.PathLike[str] | None,
    resume: bool,
    memory: int | float | str | None,
) -> Result:
    """Fit all datasets at once or in parts, or go on with them; see `fit` for the arguments."""
    devices_of(job)
    begun = found(store) if resume and store is not None else None
    if begun is not None and store is not None:
        if "shards" not in begun.committed:
            return _again(begun, job)[0]
        return _fit_stored_parts(job, init, store, parts_in(begun))
    files = None if store is None else create(store)
    parts = parts_for(job.given, job.engine, job.devices, memory, job.segment, store is not None)
    if len(parts) == 1:
        return run_job(job._replace(files=files), init)[0]
    if store is None:
        return one_by_one("", parts, job.quarantine.names or (), lambda i: run_job(job.part(parts[i]), init))
    return _fit_stored_parts(job, init, store, parts)


def _fit_stored_parts(
    job: Job, init: Mapping[str, Any] | Result | None, store: str | os.PathLike[str], parts: Sequence[np.ndarray]
) -> Result:
    """Fit the parts that are not finished, each in its own shard of the store."""
    share(store, len(parts), job, job.given, parts)
    path = address(store)
    # All begin first, since nobody could start the others as they were to start.
    for i, part in enumerate(parts):
        if found(part_path(path, i, len(parts))) is None:
            begin_job(job.part(part)._replace(files=create(part_path(path, i, len(parts)))), init)

    def fit_part(i: int) -> tuple[Result, bool]:
        files = found(part_path(path, i, len(parts)))
        assert files is not None
        return _again(files, job.part(parts[i]))

    return one_by_one(path, parts, job.quarantine.names or (), fit_part)


def _again(files: Files, job: Job) -> tuple[Result, bool]:
    return resume_from(files, job.given, job.engine, job.key, devices=job.devices, progress=job.progress)


def _check_engine(engine: Any) -> None:
    if isinstance(engine, type) or not isinstance(engine, Engine):
        raise InputError(
            "fit(engine)",
            got=f"the class {engine.__name__}" if isinstance(engine, type) else type(engine).__name__,
            expected="an engine with its settings: an object with every member of `jaxlatent.engines.base.Engine`",
            remedy="the order is fit(model, data, engine, seed)."
            if isinstance(engine, Mapping | Batch)
            else "pass jl.NUTS() or another engine, with parentheses.",
        )
