"""`fit`: check, compile, run the stages with one host synchronisation per segment, and return a `Result`."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.data.arrays import Batch, as_data, labelled
from jaxlatent.engines.base import Engine, Stage, settings
from jaxlatent.errors import InputError, require
from jaxlatent.execute import programs
from jaxlatent.execute.agreement import require_agreement
from jaxlatent.execute.devices import own_devices
from jaxlatent.execute.grid import Grid, make_grid, on_host
from jaxlatent.execute.interrupts import defer_interrupts
from jaxlatent.execute.outputs import Named, named, named_records
from jaxlatent.execute.padding import derived_reads_rows, pad_rows
from jaxlatent.execute.progress import Report, progress_line
from jaxlatent.execute.quarantine import Quarantine
from jaxlatent.execute.session import Session, remaining
from jaxlatent.execute.sinks import Memory, Sink
from jaxlatent.execute.starts import find_starts
from jaxlatent.execute.stopping import Monitor
from jaxlatent.execute.stopping import until as Until
from jaxlatent.execute.stragglers import advance
from jaxlatent.keys import as_key
from jaxlatent.model.checks import check_fit
from jaxlatent.model.dims import check_dims
from jaxlatent.model.model import Model
from jaxlatent.posterior.condition import unguided
from jaxlatent.posterior.guides import find_guides
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.posterior.shapes import shapes_of
from jaxlatent.results.provenance import provenance
from jaxlatent.results.result import Result
from jaxlatent.typing import Array, Data, Key


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
) -> Result:
    """Fit a model to one dataset, or to a batch of datasets, as one compiled program.

    Threads may call it concurrently. Spawn worker processes (``multiprocessing.get_context("spawn")``, joblib's loky): a process forked
    after JAX has started inherits locked locks, and hangs.

    Args:
        model: a `Model`, or a `Posterior` (then ``data`` is None).
        data: a dict, or a `jaxlatent.batch` of dicts, which makes every array of the result lead with ``dataset``.
        engine: an algorithm and its settings, such as ``NUTS(...)`` or ``EM(...)``; see `jaxlatent.engines`.
        seed: an int or a typed JAX key. Equal seeds, versions, shapes and devices give bitwise equal results, whatever the segment.
        coords: coordinate labels of named dimensions, for ArviZ.
        devices: JAX devices; by default all of this process. See `jaxlatent.use_cpu_cores`. With the devices of several processes
            (``jax.devices()`` after ``jax.distributed.initialize()``) all of them make the same call, and each gets the whole result.
        init: where lanes start: named values, shared by all lanes or leading with ``lane`` or ``(dataset, lane)``; or a
            `Result`: its best point, or the last draw of each chain. Uniform(-2, 2) in unconstrained space by default.
        progress: None shows a live line on a terminal and nothing elsewhere; True prints plain lines elsewhere; False shows nothing.
        segment: records between two synchronisations with the host.
        until: a rule to stop sampling early, see `jaxlatent.until`.
        on_bad_data: for a dataset of a batch that fails the checks (NaN, shapes, supports): "raise" an error before any work, or
            "quarantine" it: its lanes have that status and NaN, ``result.problems`` says why, and the others are fitted as without it.
            A dataset of a batch that passes the checks but has no finite log density is always quarantined.

    Raises:
        InputError: before the engine is compiled, naming what is wrong with model, data or settings.
    """
    clock = time.perf_counter()
    require(segment >= 1, "fit(segment=...)", got=segment, expected="at least 1 record")
    devices = jax.local_devices() if devices is None else devices
    require(
        bool(own_devices(devices)),
        "fit(devices=...)",
        got=devices,
        expected="at least one JAX device of this process, or None",
    )
    _check_engine(engine)
    require(
        on_bad_data in ("raise", "quarantine"),
        "fit(on_bad_data=...)",
        got=on_bad_data,
        expected="'raise' or 'quarantine'",
    )
    require(
        until is None or engine.kind == "chains",
        "fit(until=...)",
        got=engine,
        expected="an MCMC engine, such as NUTS; other engines have their own convergence checks",
        remedy="leave it out.",
    )
    key = as_key(seed)
    labels = {name: list(values) for name, values in (coords or {}).items()}
    given, quarantine = _condition(model, data, labels, on_bad_data == "quarantine")
    require_agreement(devices, given.nameless, key, engine, segment)
    names = quarantine.names
    datasets = 1 if names is None else len(names)
    grid = make_grid(datasets, engine.lanes, devices, whole=engine.crosses)
    stages, compile_key = engine.schedule(segment), engine.compile_key()
    label, total = f"{given.density.label} · {type(engine).__name__}", sum(stage.steps for stage in stages)
    # Of several processes that fit together, one shows the progress.
    shown = progress if devices[0] in own_devices(devices) else False
    with progress_line(label, total, shown) as report:
        unpadded = _add_dataset_axis(given.nameless) if names is None else given.nameless
        padded = unpadded if engine.by_rows else pad_rows(unpadded)
        if isinstance(model, Model):
            guides = find_guides(padded, batched=True)
            padded, unpadded = replace(padded, guides=guides), replace(unpadded, guides=guides)
            given = replace(given, guides=guides if names else jax.tree.map(lambda x: x[0], guides))
        posterior = grid.put(grid.fill(padded), 1)
        naming = grid.put(grid.fill(unpadded), 1) if derived_reads_rows(unpadded, padded) else posterior
        keys = programs.keys_of(grid, key)
        positions = find_starts(grid, posterior, keys.start, init, quarantine)
        if quarantine.bad.any():
            warnings.warn(str(quarantine), stacklevel=2)
            posterior = grid.put(quarantine.replace_bad(posterior), 1)
            positions = grid.put(quarantine.replace_bad(positions), 2)
        session = programs.begin(grid, compile_key, posterior, keys, positions)
        _compile(grid, compile_key, stages, posterior, session)
        compiled = time.perf_counter() - clock
        sink = Memory()
        monitor = Monitor(until, ~quarantine.bad, sum(stage.steps for stage in stages if stage.keep))
        session, seconds = _loop(grid, compile_key, stages, posterior, naming, session, sink, report, monitor)
        final = programs.finish(grid, compile_key, posterior, session)
        last = named(grid, naming, final.outputs)
        result = _outcome(engine, sink.close(), last, *grid.fetch((final.objective, final.status)))
        result = quarantine.blank(result)
    timings = {
        "compile": compiled,
        "warmup": seconds[False],
        "sampling": seconds[True],
        "total": time.perf_counter() - clock,
    }
    single = names is None
    strip = (lambda x: x[0]) if single else (lambda x: x)
    return Result(
        posterior=given,
        engine=engine,
        names=names,
        coords=labels,
        problems=quarantine.problems,
        provenance=provenance(settings(engine), type(engine).__name__, seed, grid.mesh.devices.flat, timings),
        **{name: jax.tree.map(strip, value) for name, value in result.items()},
    )


def _loop(
    grid: Grid,
    engine: Engine,
    stages: Sequence[Stage],
    posterior: Posterior,
    naming: Posterior,
    session: Session,
    sink: Sink,
    report: Report,
    monitor: Monitor,
) -> tuple[Session, dict[bool, float]]:
    """Run the stages and append kept records to the sink; returns the session, and the seconds of kept and of other stages."""
    capacity, longest = _capacities(stages)
    seconds = {True: 0.0, False: 0.0}
    done, kept = 0, 0
    try:
        for stage in remaining(stages, int(on_host(session.done))):
            clock = time.perf_counter()
            now = _traced(stage)
            wanted = _wanted(grid, now, monitor.running)
            with defer_interrupts():
                session, emitted = advance(grid, engine, capacity, posterior, session, now, wanted)
            done += stage.steps
            if stage.keep:
                outputs = engine.outputs(emitted.records)
                records, counts = named_records(grid, naming, outputs, emitted.counts, stage.steps)
                sink.append(records)
                sink.commit(session)
                kept += stage.steps
                monitor.update(records.positions)
                ended = np.all(counts < stage.steps) or not monitor.running.any()
            else:
                session = programs.pool(grid, engine, longest, session, emitted, now)
                jax.block_until_ready(session.shared)
                ended = False
            seconds[stage.keep] += time.perf_counter() - clock
            report(done, "" if stage.keep else "warm-up")
            if ended:
                break
    except KeyboardInterrupt:
        if not kept:
            raise
        warnings.warn(f"interrupted: the result holds the {kept} draws per lane made so far.", stacklevel=3)
    return session, seconds


def _compile(grid: Grid, engine: Engine, stages: Sequence[Stage], posterior: Posterior, session: Session) -> None:
    """Compile everything before the warm-up is timed, by running a stage of zero steps."""
    capacity, longest = _capacities(stages)
    nothing = _traced(stages[0]._replace(steps=0))
    copy = jax.tree.map(jnp.copy, session)
    copy, emitted = advance(grid, engine, capacity, posterior, copy, nothing, _wanted(grid, nothing))
    if longest:
        jax.block_until_ready(programs.pool(grid, engine, longest, copy, emitted, nothing))
    jax.block_until_ready(emitted.counts)


def _capacities(stages: Sequence[Stage]) -> tuple[int, int]:
    """The number of steps of the longest stage, and of the longest that is not kept."""
    return max(stage.steps for stage in stages), max((stage.steps for stage in stages if not stage.keep), default=0)


def _outcome(engine: Engine, records: Named, last: Named, objective: np.ndarray, status: np.ndarray) -> dict[str, Any]:
    """The fields of a `Result`, leading with ``(dataset, lane)``; warns of problems."""
    source = records if records.positions is not None else last
    statistics = {**records.statistics, **last.statistics}
    trace = statistics.pop("objective", None)
    assert source.positions is not None
    status, problems = engine.review(source.positions, statistics, status)
    for problem in problems:
        warnings.warn(problem, stacklevel=3)
    return {
        "positions": source.positions,
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


def _one(posterior: Posterior, dataset: int) -> Posterior:
    one: Posterior = jax.tree.map(lambda x: x[dataset], posterior)
    return one


def _condition(
    model: Model | Posterior, data: Data | Batch | None, coords: dict[str, list[Any]], wanted: bool
) -> tuple[Posterior, Quarantine]:
    """The posterior, and the quarantine of its datasets that fail the checks; without ``wanted`` these raise."""
    if isinstance(model, Posterior):
        require(
            data is None,
            "fit(posterior, data, ...)",
            got=type(data).__name__,
            expected="None: a posterior holds its data",
        )
        first = model if model.names is None else _one(model, 0)
        density = model.density
        if isinstance(density, ModelDensity):
            check_dims(density.dims, density.model.shapes(first.data).named, coords)
        elif coords:
            params, others = shapes_of(first)
            check_dims(density.dims, {name: x.shape for name, x in {**params, **others}.items()}, coords)
        return model, Quarantine(model.names, wanted, {})
    if not isinstance(model, Model):
        raise InputError(
            "fit(model, ...)",
            got=type(model).__name__,
            expected="a jaxlatent.Model or a jaxlatent.Posterior",
            remedy="wrap NumPyro models with jl.from_numpyro, bare functions with jl.from_log_density.",
        )
    batch = data if isinstance(data, Batch) else None
    quarantine = Quarantine(batch.names if batch else None, wanted, batch.problems if batch else {})
    arrays = as_data({} if data is None else data) if not isinstance(data, Batch) else data[0]
    check_dims(model.dims, model.shapes(arrays).named, coords)
    for dataset, (label, one) in enumerate(labelled(batch or arrays)):
        if not quarantine.bad[dataset]:
            try:
                check_fit(model, one, label)
            except InputError as problem:
                quarantine.add(dataset, problem)
    return unguided(model, batch or arrays), quarantine


def _check_engine(engine: Any) -> None:
    if isinstance(engine, type) or not isinstance(engine, Engine):
        raise InputError(
            "fit(engine)",
            got=f"the class {engine.__name__}" if isinstance(engine, type) else type(engine).__name__,
            expected="an engine with its settings: an object with every member of `jaxlatent.engines.base.Engine`",
            remedy="pass jl.NUTS() or another engine, with parentheses.",
        )


def _traced(stage: Stage) -> Stage:
    return Stage(*cast(Any, [np.asarray(value, np.int32) for value in stage]))


def _wanted(grid: Grid, stage: Stage, running: np.ndarray | bool = True) -> Array:
    """Number of records that each lane of the filled grid has to emit: 0 for fillers and stopped datasets."""
    steps = np.zeros(grid.filled, np.int32)
    steps[: grid.datasets] = stage.steps * np.reshape(running, (-1, 1))
    wanted: Array = grid.put(steps, 2)
    return wanted
