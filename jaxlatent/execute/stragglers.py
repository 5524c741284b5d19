"""Datasets that take very much longer than all others of a batch go on alone.

A step costs about as much for all lanes as for those that still need it: one dataset on another scale, at a thousand gradients a draw,
held nineteen others fifty times as long as they took. Where a few datasets are left and the others have waited for longer than another
program takes to compile, the few become a batch of their own until the end of the stage.
"""

import numpy as np

from jaxlatent.engines.base import Engine, Stage
from jaxlatent.execute import programs
from jaxlatent.execute.grid import Grid
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, PyTree

#: Steps that are waited, whatever the others took.
_PATIENCE = np.int32(4000)


def advance(
    grid: Grid,
    engine: Engine,
    capacity: int,
    posterior: Posterior,
    keys: Array,
    states: PyTree,
    shared: PyTree,
    stage: Stage,
    wanted: Array,
) -> tuple[PyTree, PyTree, Array]:
    """One stage of all lanes, as `jaxlatent.execute.drive.drive`; the last datasets in a smaller grid where others wait for them."""
    *out, left = programs.advance(grid, engine, capacity, posterior, keys, states, shared, stage, wanted, _PATIENCE)
    states, records, counts = out
    behind = np.flatnonzero(np.asarray(left).any(1))
    if not behind.size:
        return states, records, counts
    # Powers of two: few numbers of stragglers are compiled for. A number beyond the last dataset stands for none.
    few, total = grid._replace(datasets=1 << (len(behind) - 1).bit_length()), grid.filled[0]
    datasets = np.full(few.filled[0], total, np.int32)
    datasets[: len(behind)] = behind
    short = np.append(
        np.where(left, np.asarray(wanted) - np.asarray(counts), 0), np.zeros((1, counts.shape[1]), np.int32), 0
    )
    one, two = (posterior, shared), (keys, states)
    (posterior, shared), (keys, alone) = (
        few.put(programs.take(one, datasets), 1),
        few.put(programs.take(two, datasets), 2),
    )
    *some, _ = programs.advance(
        few, engine, capacity, posterior, keys, alone, shared, stage, few.put(short[datasets], 2), None
    )
    return programs.put_back(grid, (states, records, counts), grid.put(tuple(some), 0), datasets)
