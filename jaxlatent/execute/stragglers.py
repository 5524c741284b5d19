"""Datasets that take very much longer than all others of a batch go on alone.

A step costs about as much for all lanes as for those that still need it: one dataset on another scale, at a thousand gradients a draw,
held nineteen others fifty times as long as they took. Where a few datasets are left and the others have waited for longer than another
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

#: Steps that are waited, whatever the others took.
_PATIENCE = np.int32(4000)


def advance(
    grid: Grid, engine: Engine, capacity: int, posterior: Posterior, session: Session, stage: Stage, wanted: Array
) -> tuple[Session, Emitted]:
    """One stage of all lanes, as `jaxlatent.execute.session.advance`; the last datasets in a smaller grid where others wait for them."""
    session, emitted = programs.advance(grid, engine, capacity, posterior, session, stage, wanted, _PATIENCE)
    # Where a device has few datasets none is left behind, and the host need not wait to see it.
    if grid.filled[0] // grid.mesh.devices.shape[0] < FEW:
        return session, emitted
    left = on_host(emitted.left)
    behind = np.flatnonzero(left.any(1))
    if not behind.size:
        return session, emitted
    # Powers of two: few numbers of stragglers are compiled for. A number beyond the last dataset stands for none.
    few, total = grid._replace(datasets=1 << (len(behind) - 1).bit_length()), grid.filled[0]
    datasets = np.full(few.filled[0], total, np.int32)
    datasets[: len(behind)] = behind
    none = np.zeros((1, left.shape[1]), np.int32)
    short = np.append(np.where(left, on_host(wanted) - on_host(emitted.counts), 0), none, 0)
    own, alone = programs.take(few, posterior, session, datasets)
    rest = programs.advance(few, engine, capacity, own, alone, stage, few.put(short[datasets], 2), None)
    return programs.put_back(grid, (session, emitted), grid.put(rest, 0), datasets)
