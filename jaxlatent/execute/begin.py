"""`begin_job`: put a job on the devices, and start its lanes or take them from a store."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxlatent.engines.base import Engine, settings
from jaxlatent.errors import StoreError, require
from jaxlatent.execute import programs
from jaxlatent.execute.agreement import require_agreement
from jaxlatent.execute.devices import own_devices
from jaxlatent.execute.grid import Grid, make_grid
from jaxlatent.execute.job import Job
from jaxlatent.execute.padding import derived_reads_rows, pad_rows
from jaxlatent.execute.session import Session, session_like, to_devices
from jaxlatent.execute.sinks import Disk, Memory
from jaxlatent.execute.starts import find_starts
from jaxlatent.execute.stopping import Monitor
from jaxlatent.keys import Streams
from jaxlatent.posterior.guides import find_guides
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results import stored
from jaxlatent.results.provenance import provenance
from jaxlatent.results.result import Result
from jaxlatent.store.bits import unpack
from jaxlatent.store.files import Files, explained
from jaxlatent.store.manifest import engine_identity


class Begun(NamedTuple):
    """A job that can run.

    Attributes:
        grid: of datasets and lanes.
        given: the posterior of the result.
        posterior, naming: on the devices, that to fit and that which names records.
        session: where it begins.
        sink: of the records.
        monitor: of the datasets that run.
        early: whether there is nothing left to do.
    """

    grid: Grid
    given: Posterior
    posterior: Posterior
    naming: Posterior
    session: Session
    sink: Memory | Disk
    monitor: Monitor
    early: bool


def begin_job(job: Job, init: Mapping[str, Any] | Result | None = None, resumed: bool = False) -> Begun:
    """Start the lanes, or take them from the last commit of the store; with a store the state is committed.

    Args:
        job: what to run.
        init: see `jaxlatent.fit`.
        resumed: whether to go on from the last commit.
    """
    engine, files, quarantine = job.engine, job.files, job.quarantine
    devices = devices_of(job)
    require_agreement(devices, job.given.nameless, job.key, engine, job.segment)
    count = 1 if quarantine.names is None else len(quarantine.names)
    grid = make_grid(count, engine.lanes, devices, whole=engine.crosses)
    stages, compile_key = engine.schedule(job.segment), engine.compile_key()
    room = sum(stage.steps for stage in stages if stage.keep)
    given, posterior, naming = _on_devices(grid, job)
    keys = programs.keys_of(grid, job.key, grid.fill(job.datasets.astype(np.int32)))
    starts = None if resumed else find_starts(grid, posterior, keys.start, init, quarantine, job.datasets, job.whole)
    if quarantine.bad.any():
        if not resumed:
            warnings.warn(str(quarantine), stacklevel=5)
        posterior = grid.put(quarantine.replace_bad(posterior), 1)
        starts = None if starts is None else grid.put(quarantine.replace_bad(starts), 2)
    early, monitor = False, Monitor(job.until, ~quarantine.bad, room)
    if starts is None:
        assert files is not None
        session = _stored_session(grid, compile_key, files, posterior, keys)
        early = bool(files.committed["early"])
        if job.until is not None:
            for draws in stored.positions_of(files, job.segment):
                monitor.update(draws)
    else:
        session = programs.begin(grid, compile_key, posterior, keys, starts)
    sink: Memory | Disk = Memory()
    if files is not None:
        run = _lengthened(files, engine, given) if resumed else _described(job, given)
        total = sum(stage.steps for stage in stages)
        sink = Disk(grid, files, {**run, "state": "running", "total": total}, room)
        sink.close(session, early)
    return Begun(grid, given, posterior, naming, session, sink, monitor, early)


def devices_of(job: Job) -> Sequence[jax.Device]:
    """The devices of a job, after the checks that depend on them and on the engine."""
    devices = jax.local_devices() if job.devices is None else job.devices
    own = own_devices(devices)
    require(bool(own), "fit(devices=...)", got=devices, expected="at least one JAX device of this process, or None")
    require(
        job.files is None or len(own) == len(devices),
        "fit(store=..., devices=...)",
        got=devices,
        expected="devices of this process",
        remedy="let each process fit its own datasets: shard=(jax.process_index(), jax.process_count()), without `devices`.",
    )
    return devices


def _on_devices(grid: Grid, job: Job) -> tuple[Posterior, Posterior, Posterior]:
    """The posterior of the result; on the devices, padded, the posterior to fit and that which names records."""
    given, single = job.given, job.quarantine.names is None
    unpadded = _add_dataset_axis(given.nameless) if single else given.nameless
    padded = unpadded if job.engine.by_rows else pad_rows(unpadded)
    if isinstance(given.density, ModelDensity) and not given.guides:
        guides = find_guides(padded, batched=True)
        padded, unpadded = replace(padded, guides=guides), replace(unpadded, guides=guides)
        given = replace(given, guides=jax.tree.map(lambda x: x[0], guides) if single else guides)
    posterior = grid.put(grid.fill(padded), 1)
    naming = grid.put(grid.fill(unpadded), 1) if derived_reads_rows(unpadded, padded) else posterior
    return given, posterior, naming


def _described(job: Job, given: Posterior) -> dict[str, Any]:
    """The description of a run that begins, whose data are written."""
    assert job.files is not None
    quarantine = job.quarantine
    run = stored.about(given, job.engine, job.key, job.coords, quarantine.problems)
    rule = None if job.until is None else asdict(job.until)
    origin = provenance(settings(job.engine), type(job.engine).__name__, job.seed, jax.local_devices()[:1], {}, {})
    run |= {
        "segment": job.segment,
        "datasets": job.datasets.tolist(),
        "whole": job.whole,
        "until": rule,
        "status of problems": quarantine.status.tolist(),
        "provenance": asdict(origin),
    }
    if isinstance(given.density, ModelDensity):
        stored.write_data(job.files, run, given.data)
    return run


def _lengthened(files: Files, engine: Engine, given: Posterior) -> dict[str, Any]:
    """The description of a run that goes on, perhaps for longer."""
    one = given.nameless if given.names is None else given.one(0)
    same = {**files.committed["identity"], "engine": engine_identity(engine, one)}
    return {**files.committed, "identity": same}


def _stored_session(grid: Grid, engine: Engine, files: Files, posterior: Posterior, keys: Streams) -> Session:
    """The session of the last commit, on the devices."""
    structure = session_like(grid, engine, posterior, keys)
    with explained(files.path):
        packed = np.asarray(files[f"session/{files.committed['slot']}"][:])
    try:
        return to_devices(grid, unpack(packed, structure))
    except ValueError as problem:
        raise StoreError(
            f"store {files.path!r}",
            got=f"the state of a run of another version: {problem}",
            expected=f"that of {type(engine).__name__} in this version",
            remedy="go on with the versions that began it, which `jaxlatent status` tells; jl.open(path) reads its draws.",
        ) from None


@jax.jit
def _add_dataset_axis(posterior: Posterior) -> Posterior:
    """The posterior of one dataset as a batch of one."""
    batch: Posterior = jax.tree.map(lambda x: x[None], posterior)
    return batch
