"""`run_job`: run a job to its end, and return the result."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import jax
import numpy as np

from jaxlatent.engines.base import Engine, settings
from jaxlatent.execute import programs
from jaxlatent.execute.begin import begin_job, devices_of
from jaxlatent.execute.devices import idle_cores, own_devices
from jaxlatent.execute.job import Job
from jaxlatent.execute.loop import compile_stages, run_stages
from jaxlatent.execute.outputs import named
from jaxlatent.execute.progress import progress_line
from jaxlatent.execute.sinks import Disk, thinned
from jaxlatent.results import stored
from jaxlatent.results.opening import opened
from jaxlatent.results.provenance import provenance
from jaxlatent.results.result import Result
from jaxlatent.results.saving import write_data_groups
from jaxlatent.status import Status
from jaxlatent.store.records import Named


def run_job(job: Job, init: Mapping[str, Any] | Result | None = None, resumed: bool = False) -> tuple[Result, bool]:
    """Compile, run the stages, and return the result, and whether Ctrl-C ended it early.

    Args:
        job: what to run.
        init: see `jaxlatent.fit`.
        resumed: whether to go on from the last commit of the store.
    """
    clock = time.perf_counter()
    engine, quarantine, devices = job.engine, job.quarantine, devices_of(job)
    stages, compile_key = engine.schedule(job.segment), engine.compile_key()
    label = f"{job.given.density.label} · {type(engine).__name__}"
    # Of several processes that fit together, one shows the progress.
    shown = job.progress if devices[0] in own_devices(devices) else False
    with progress_line(label, sum(stage.steps for stage in stages), shown) as report:
        grid, given, posterior, naming, session, sink, monitor, early = begin_job(job, init, resumed)
        compile_stages(grid, compile_key, stages, posterior, session)
        compiled = time.perf_counter() - clock
        ended = run_stages(grid, compile_key, stages, posterior, naming, session, sink, report, monitor, early)
        if isinstance(sink, Disk) and ended.interrupted and engine.kind == "chains":
            return opened(sink.files, given, engine), True
        final = programs.finish(grid, compile_key, posterior, ended.session)
        last = named(grid, naming, final.outputs)
        fields = _fields(engine, sink.records(), last, *grid.fetch((final.objective, final.status)))
    if ended.interrupted:
        # Ctrl-C came before the iteration limit.
        at_limit = fields["status"] == Status.MAX_ITERATIONS
        fields["status"] = np.where(at_limit, Status.UNFINISHED, fields["status"]).astype(fields["status"].dtype)
    fields = quarantine.blank(fields)
    choices = engine.choices(fields["statistics"])
    fields = jax.tree.map(lambda x: x[0] if quarantine.names is None else x, fields)
    idle = idle_cores(devices, grid.datasets * grid.lanes, sum(ended.seconds.values()))
    if idle is not None:
        warnings.warn(idle, stacklevel=4)
    timings = {
        "compile": compiled,
        "warmup": ended.seconds[False],
        "sampling": ended.seconds[True],
        "total": time.perf_counter() - clock,
    }
    origin = provenance(settings(engine), type(engine).__name__, job.seed, grid.mesh.devices.flat, timings, choices)
    if isinstance(sink, Disk) and not ended.interrupted:
        stored.write_rest(sink.files, sink.run, fields)
        sink.describe(provenance=asdict(origin))
        write_data_groups(sink.files, opened(sink.files, given, engine))
        # The last commit, since nobody goes on with a run that is finished.
        sink.describe(state="finished")
        return opened(sink.files, given, engine), False
    result = Result(
        posterior=given,
        engine=engine,
        names=quarantine.names,
        coords=job.coords,
        quarantined=quarantine.problems,
        provenance=origin,
        **fields,
    )
    return result, ended.interrupted


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
