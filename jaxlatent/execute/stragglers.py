"""Stragglers: lanes that take very much longer than the others finish the stage in a smaller grid.

A step costs about as much for all lanes as for those that still need it: one dataset on another scale, at a thousand gradients per draw,
made nineteen others wait fifty times their own run time. Once few lanes still run and the others have waited for about as long as another
program takes to compile, the few get a grid of their own until the end of the stage. The lanes of a dataset that have all the same to do,
Markov chains, stay together.
"""

import jax
import numpy as np

from jaxlatent.engines.base import Engine, Stage
from jaxlatent.execute import programs
from jaxlatent.execute.buckets import COMPILE, SECONDS
from jaxlatent.execute.drive import FEW, together
from jaxlatent.execute.grid import Grid, on_host
from jaxlatent.execute.session import Emitted, Session
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array

#: Bounds of the steps to wait: rough estimates are not to be trusted beyond these.
_LEAST, _MOST = 50, 4000


def patience(grid: Grid, posterior: Posterior) -> int:
    """The number of steps to wait for stragglers: about those that take as long as another program takes to compile."""
    largest = max((x.size for x in jax.tree.leaves(posterior.data)), default=0)
    work = max(largest, posterior.dim * grid.filled[0]) * grid.filled[1] / grid.mesh.size
    return int(np.clip(COMPILE / (SECONDS["point"] * work), _LEAST, _MOST))


def advance(
    grid: Grid,
    engine: Engine,
    capacity: int,
    posterior: Posterior,
    session: Session,
    stage: Stage,
    wanted: Array,
    patience: int,
) -> tuple[Session, Emitted, bool]:
    """One stage of all lanes, like `jaxlatent.execute.session.advance`, with stragglers in a smaller grid; also whether there were any."""
    session, emitted = programs.advance(grid, engine, capacity, posterior, session, stage, wanted, np.int32(patience))
    whole = together(engine)
    rows, columns = (filled // side for filled, side in zip(grid.filled, grid.mesh.devices.shape, strict=True))
    # With few lanes per device there are no stragglers; return without a synchronisation.
    if rows * (1 if whole else columns) < FEW:
        return session, emitted, False
    left = on_host(emitted.left)
    if not left.any():
        return session, emitted, False
    datasets, lanes = _places(left | (left.any(1, keepdims=True) & whole))
    few = grid._replace(datasets=len(datasets), lanes=lanes.shape[1])
    # The grid of a mesh is filled with indices out of range, which stand for no lane.
    fill = [(0, filled - own) for filled, own in zip(few.filled, lanes.shape, strict=True)]
    datasets = np.pad(datasets, fill[:1], constant_values=grid.filled[0])
    lanes = np.pad(lanes, fill, constant_values=grid.filled[1])
    no_records = np.where(left, on_host(wanted) - on_host(emitted.counts), 0).astype(np.int32)
    short = np.pad(no_records, ((0, 1), (0, 1)))[datasets[:, None], lanes]
    own, alone = programs.take(few, posterior, session, datasets, lanes)
    rest = programs.advance(few, engine, capacity, own, alone, stage, few.put(short, 2), None)
    return *programs.put_back(grid, (session, emitted), grid.put(rest, 0), datasets, lanes), True


def _places(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the datasets, and of their lanes, that are ``left``; in numbers that are powers of two, to compile few programs.

    Args:
        left: ``(dataset, lane)``.

    Returns:
        ``(dataset,)`` and ``(dataset, lane)``, filled up with indices out of range.
    """
    behind = np.flatnonzero(left.any(1))
    datasets = np.full(_power_of_two(len(behind)), left.shape[0], np.int32)
    datasets[: len(behind)] = behind
    lanes = np.full((len(datasets), min(_power_of_two(int(left.sum(1).max())), left.shape[1])), left.shape[1], np.int32)
    for row, dataset in enumerate(behind):
        own = np.flatnonzero(left[dataset])
        lanes[row, : len(own)] = own
    return datasets, lanes


def _power_of_two(count: int) -> int:
    """The smallest that is not less."""
    return 1 << (count - 1).bit_length()
