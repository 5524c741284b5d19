"""A fit whose arguments have been checked, and how it runs: compile, go through the stages, return the result."""

import time
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
from jaxlatent.execute.loop import compile_stages, run_stages
from jaxlatent.execute.outputs import named
from jaxlatent.execute.padding import derived_reads_rows, pad_rows
from jaxlatent.execute.progress import progress_line
from jaxlatent.execute.quarantine import Quarantine
from jaxlatent.execute.session import Session, session_like, to_devices
from jaxlatent.execute.sinks import Disk, Memory, thinned
from jaxlatent.execute.starts import find_starts
from jaxlatent.execute.stopping import Monitor
from jaxlatent.execute.stopping import until as Until
from jaxlatent.keys import Streams
from jaxlatent.posterior.guides import find_guides
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results import stored
from jaxlatent.results.opening import opened
from jaxlatent.results.provenance import provenance
from jaxlatent.results.result import Result
from jaxlatent.results.saving import write_data_groups
from jaxlatent.store.bits import unpack
from jaxlatent.store.files import Files, explained
from jaxlatent.store.manifest import engine_identity
from jaxlatent.store.records import Named
from jaxlatent.typing import Key


class Job(NamedTuple):
    """A fit whose arguments have been checked.

    Attributes:
        given: the posterior, without its guides.
        quarantine: of its datasets.
        engine, seed, coords, devices, segment, until, progress: see `fit`.
        key: the seed as a typed key.
        files: the store; None keeps everything in memory.
        first, whole: index of the first dataset in the whole batch, of which this may be a part, and the number of datasets there.
    """

    given: Posterior
    quarantine: Quarantine
    engine: Engine
    key: Key
    seed: Any
    coords: dict[str, list[Any]]
    devices: Sequence[jax.Device] | None
    segment: int
    until: Until | None
    progress: bool | None
    files: Files | None
    first: int = 0
    whole: int = 1


def run_job(job: Job, init: Mapping[str, Any] | Result | None = None, resumed: bool = False) -> Result:
    """Compile, run the stages, and return the result.

    Args:
        job: what to run.
        init: see `jaxlatent.fit`.
        resumed: whether to go on from the last commit of the store.
    """
    clock = time.perf_counter()
    engine, files, quarantine = job.engine, job.files, job.quarantine
    devices = _devices_of(job)
    require_agreement(devices, job.given.nameless, job.key, engine, job.segment)
    names = quarantine.names
    grid = make_grid(1 if names is None else len(names), engine.lanes, devices, whole=engine.crosses)
    stages, compile_key = engine.schedule(job.segment), engine.compile_key()
    total, room = sum(stage.steps for stage in stages), sum(stage.steps for stage in stages if stage.keep)
    label = f"{job.given.density.label} · {type(engine).__name__}"
    # Of several processes that fit together, one shows the progress.
    shown = job.progress if devices[0] in own_devices(devices) else False
    with progress_line(label, total, shown) as report:
        given, posterior, naming = _on_devices(grid, job)
        keys = programs.keys_of(grid, job.key, np.int32(job.first))
        starts = None if resumed else find_starts(grid, posterior, keys.start, init, quarantine, job.first, job.whole)
        if quarantine.bad.any():
            warnings.warn(str(quarantine), stacklevel=4)
            posterior = grid.put(quarantine.replace_bad(posterior), 1)
            starts = None if starts is None else grid.put(quarantine.replace_bad(starts), 2)
        early, monitor = False, Monitor(job.until, ~quarantine.bad, room)
        if starts is None:
            assert files is not None
            session = _stored_session(grid, compile_key, files, posterior, keys)
            early = bool(files.committed["early"])
            if job.until is not None:
                monitor.replay(_stored_positions(files), job.segment)
        else:
            session = programs.begin(grid, compile_key, posterior, keys, starts)
        sink: Memory | Disk = Memory()
        if files is not None:
            run = _lengthened(files, engine, given) if resumed else _described(job, given)
            sink = Disk(grid, files, {**run, "state": "running", "total": total}, room)
            sink.close(session, early)
        compile_stages(grid, compile_key, stages, posterior, session)
        compiled = time.perf_counter() - clock
        ended = run_stages(grid, compile_key, stages, posterior, naming, session, sink, report, monitor, early)
        if isinstance(sink, Disk) and ended.interrupted and engine.kind == "chains":
            return opened(sink.files, given, engine)
        final = programs.finish(grid, compile_key, posterior, ended.session)
        last = named(grid, naming, final.outputs)
        fields = _fields(engine, sink.records(), last, *grid.fetch((final.objective, final.status)))
    fields = jax.tree.map(lambda x: x[0] if names is None else x, quarantine.blank(fields))
    timings = {
        "compile": compiled,
        "warmup": ended.seconds[False],
        "sampling": ended.seconds[True],
        "total": time.perf_counter() - clock,
    }
    origin = provenance(settings(engine), type(engine).__name__, job.seed, grid.mesh.devices.flat, timings)
    if isinstance(sink, Disk) and not ended.interrupted:
        stored.write_rest(sink.files, sink.run, fields)
        sink.describe(state="finished", provenance=asdict(origin))
        result = opened(sink.files, given, engine)
        write_data_groups(sink.files, result)
        sink.describe()
        return result
    return Result(
        posterior=given,
        engine=engine,
        names=names,
        coords=job.coords,
        problems=quarantine.problems,
        provenance=origin,
        **fields,
    )


def _devices_of(job: Job) -> Sequence[jax.Device]:
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
    origin = provenance(settings(job.engine), type(job.engine).__name__, job.seed, jax.local_devices()[:1], {})
    run |= {
        "segment": job.segment,
        "first": job.first,
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
            remedy="go on with the versions that began it, which `jaxlatent show` tells; jl.open(path) reads its draws.",
        ) from None


def _stored_positions(files: Files) -> np.ndarray:
    """The draws so far, ``(dataset, chain, draw, dim)``."""
    positions: np.ndarray = stored.fields_of(files)["unconstrained"]["position"]
    return positions if files.committed["identity"]["names of datasets"] is not None else positions[None]


def _fields(engine: Engine, records: Named, last: Named, objective: np.ndarray, status: np.ndarray) -> dict[str, Any]:
    """The fields of a `Result`, leading with ``(dataset, lane)``; warns of problems."""
    source = records if records.positions is not None else last
    statistics = {**records.statistics, **last.statistics}
    trace = statistics.pop("objective", None)
    assert source.positions is not None
    status, problems = engine.review(thinned(source.positions), statistics, status)
    for problem in problems:
        warnings.warn(problem, stacklevel=5)
    return {
        "unconstrained": {"position": source.positions},
        "params": source.params,
        "derived": source.derived,
        "statistics": statistics,
        "objective": objective,
        "status": status,
        "trace": trace,
    }


@jax.jit
def _add_dataset_axis(posterior: Posterior) -> Posterior:
    """The posterior of one dataset as a batch of one."""
    batch: Posterior = jax.tree.map(lambda x: x[None], posterior)
    return batch
