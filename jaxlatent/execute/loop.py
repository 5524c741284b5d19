"""The stages of a run, with one look of the host after each."""

import time
import warnings
from collections.abc import Sequence
from typing import NamedTuple, cast

import jax
import numpy as np

from jaxlatent.engines.base import Engine, Stage
from jaxlatent.execute import programs
from jaxlatent.execute.grid import Grid, on_host
from jaxlatent.execute.interrupts import defer_interrupts
from jaxlatent.execute.outputs import named_records
from jaxlatent.execute.progress import Report, about, pace
from jaxlatent.execute.session import Session, copy_buffers, remaining
from jaxlatent.execute.sinks import Sink
from jaxlatent.execute.stopping import Monitor
from jaxlatent.execute.stragglers import advance, patience
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array


class Ended(NamedTuple):
    """How `run_stages` ended.

    Attributes:
        session: after the last stage.
        seconds: of kept stages (True) and of others (False).
        early: whether every dataset was done before the end of the schedule.
        interrupted: whether Ctrl-C ended it.
    """

    session: Session
    seconds: dict[bool, float]
    early: bool
    interrupted: bool


def run_stages(
    grid: Grid,
    engine: Engine,
    stages: Sequence[Stage],
    posterior: Posterior,
    naming: Posterior,
    session: Session,
    sink: Sink,
    report: Report,
    monitor: Monitor,
    early: bool,
) -> Ended:
    """Run the stages that remain, appending kept records to the sink, and commit after each.

    Args:
        grid, engine: engine is the compile key.
        stages: of the whole run.
        posterior: on the devices.
        naming: the posterior that names records, which may have other data.
        session: where to begin.
        sink: receives kept records.
        report: receives the progress.
        monitor: which datasets still run.
        early: whether every dataset is done already.

    Raises:
        KeyboardInterrupt: before there are kept records.
    """
    capacity, longest = _capacities(stages)
    waiting = patience(grid, posterior)
    seconds = {True: 0.0, False: 0.0}
    begun = done = int(on_host(session.done))
    left_over = remaining(stages, done)
    total, diverged = sum(stage.steps for stage in stages), None
    # Those in the store, of a run that goes on.
    kept = sum(stage.steps for stage in stages if stage.keep) - sum(stage.steps for stage in left_over if stage.keep)
    try:
        for stage in [] if early else left_over:
            clock = time.perf_counter()
            now = _traced(stage)
            wanted = _wanted(grid, now, monitor.running)
            # An interrupt between session and records would separate them.
            with defer_interrupts():
                session, emitted, regrouped = advance(grid, engine, capacity, posterior, session, now, wanted, waiting)
                # The programs of the smaller grid are there now.
                waiting = 0 if regrouped else waiting
                if stage.keep:
                    outputs = engine.outputs(emitted.records)
                    records, counts = named_records(grid, naming, outputs, emitted.counts, stage.steps)
                    del outputs
                    sink.append(records)
                    kept += stage.steps
                    if "diverging" in records.statistics:
                        diverged = (diverged or 0) + int(np.sum(records.statistics["diverging"]))
                    monitor.update(records.positions)
                    early = bool(np.all(counts < stage.steps) or not monitor.running.any())
                else:
                    session = programs.pool(grid, engine, longest, session, emitted, now)
                    jax.block_until_ready(session.shared)
                # Or the next stage would need room for the records of both.
                del emitted
                sink.commit(session, early)
            done += stage.steps
            took = time.perf_counter() - clock
            seconds[stage.keep] += took
            left = (total - done) * sum(seconds.values()) / (done - begun)
            notes = [
                "" if stage.keep else "warm-up",
                pace(stage.steps, took),
                "" if diverged is None else f"{diverged:,} divergences",
                "" if early else about(left),
            ]
            report(done, ", ".join(filter(None, notes)))
            if early:
                break
    except KeyboardInterrupt:
        sink.close(session, early)
        if not kept:
            raise
        what = "draws" if engine.kind == "chains" else "iterations"
        warnings.warn(f"interrupted: the result holds the {kept} {what} per lane made so far.", stacklevel=5)
        return Ended(session, seconds, early, interrupted=True)
    sink.close(session, early)
    return Ended(session, seconds, early, interrupted=False)


def compile_stages(grid: Grid, engine: Engine, stages: Sequence[Stage], posterior: Posterior, session: Session) -> None:
    """Compile everything before the warm-up is timed, by running a stage of zero steps."""
    capacity, longest = _capacities(stages)
    nothing = _traced(stages[0]._replace(steps=0))
    wanted = _wanted(grid, nothing)
    copy, emitted, _ = advance(grid, engine, capacity, posterior, copy_buffers(session), nothing, wanted, 0)
    if longest:
        jax.block_until_ready(programs.pool(grid, engine, longest, copy, emitted, nothing))
    jax.block_until_ready(emitted.counts)


def _capacities(stages: Sequence[Stage]) -> tuple[int, int]:
    """The number of steps of the longest stage, and of the longest that is not kept."""
    return max(stage.steps for stage in stages), max((stage.steps for stage in stages if not stage.keep), default=0)


def _traced(stage: Stage) -> Stage:
    return Stage(*cast(tuple[int, int, int, bool], [np.asarray(value, np.int32) for value in stage]))


def _wanted(grid: Grid, stage: Stage, running: np.ndarray | bool = True) -> Array:
    """Number of records that each lane of the filled grid has to emit: 0 for fillers and stopped datasets."""
    steps = np.zeros(grid.filled, np.int32)
    steps[: grid.datasets] = stage.steps * np.reshape(running, (-1, 1))
    wanted: Array = grid.put(steps, 2)
    return wanted
