"""Stragglers: datasets of a batch that take very much longer than the others finish the stage in a smaller batch.

A step costs about as much for all lanes as for those that still need it: one dataset on another scale, at a thousand gradients per draw,
made nineteen others wait fifty times their own run time. Once few datasets still run and the others have waited for longer than another
program takes to compile, the few become a batch of their own until the end of the stage.
"""

import numpy as np

from jaxlatent.engines.base import Engine, Stage
from jaxlatent.execute import programs
from jaxlatent.execute.drive import FEW
from jaxlatent.execute.grid import Grid, on_host
from jaxlatent.execute.session import Emitted, Session
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array

#: Minimum number of steps to wait for stragglers.
_PATIENCE = np.int32(4000)


def advance(
    grid: Grid, engine: Engine, capacity: int, posterior: Posterior, session: Session, stage: Stage, wanted: Array
) -> tuple[Session, Emitted]:
    """One stage of all lanes, like `jaxlatent.execute.session.advance`, with stragglers in a smaller grid."""
    session, emitted = programs.advance(grid, engine, capacity, posterior, session, stage, wanted, _PATIENCE)
    # With few datasets per device there are no stragglers; return without a synchronisation.
    if grid.filled[0] // grid.mesh.devices.shape[0] < FEW:
        return session, emitted
    left = on_host(emitted.left)
    behind = np.flatnonzero(left.any(1))
    if not behind.size:
        return session, emitted
    # Round up to a power of two, to compile few programs; an index out of range stands for no dataset.
    few, total = grid._replace(datasets=1 << (len(behind) - 1).bit_length()), grid.filled[0]
    datasets = np.full(few.filled[0], total, np.int32)
    datasets[: len(behind)] = behind
    no_records = np.zeros((1, left.shape[1]), np.int32)
    short = np.append(np.where(left, on_host(wanted) - on_host(emitted.counts), 0), no_records, 0)
    own, alone = programs.take(few, posterior, session, datasets)
    rest = programs.advance(few, engine, capacity, own, alone, stage, few.put(short[datasets], 2), None)
    return programs.put_back(grid, (session, emitted), grid.put(rest, 0), datasets)
