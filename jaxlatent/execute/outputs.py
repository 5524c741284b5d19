"""Named parameters and derived quantities of records and finished lanes, computed on the devices and fetched to the host."""

import jax
import numpy as np

from jaxlatent.engines.base import Outputs
from jaxlatent.execute import programs
from jaxlatent.execute.grid import Grid
from jaxlatent.masks import blank
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.store.records import Named
from jaxlatent.typing import Array, PyTree

#: Draws named at once, to bound device memory; a constant, so that engines share the program.
_CHUNK_SIZE = 250


def named(grid: Grid, posterior: Posterior, outputs: Outputs) -> Named:
    """The outputs of finished lanes, with the names of ``posterior``."""
    statistics, positions, params = outputs
    if positions is None:
        return Named(grid.fetch(statistics), None, {}, {})
    if params is not None:
        values = grid.fetch((params, programs.derive(grid, posterior, params)))
    elif positions.ndim == 3:
        values = grid.fetch(programs.name_values(grid, 0, posterior, positions))
    else:
        values = _name_in_chunks(grid, posterior, positions, positions.shape[2])
    return Named(grid.fetch(statistics), grid.fetch(positions), *values)


def named_records(
    grid: Grid, posterior: Posterior, outputs: Outputs, counts: Array, rows: int
) -> tuple[Named, np.ndarray]:
    """The outputs of the first ``rows`` records of each lane, NaN (integers: 0) from its ``counts`` on; and ``counts`` on the host."""
    statistics, positions, _ = outputs
    values: tuple[PyTree, PyTree] = ({}, {})
    if positions is not None:
        values = _name_in_chunks(grid, posterior, positions, rows)
        positions = grid.fetch(positions)[:, :, :rows]
    first = jax.tree.map(lambda x: x[:, :, :rows], grid.fetch(statistics))
    made = grid.fetch(counts)
    valid = np.arange(rows) < made[..., None]
    records = Named(first, positions, *values)
    return records if valid.all() else blank(records, valid), made


def _name_in_chunks(grid: Grid, posterior: Posterior, positions: Array, rows: int) -> tuple[PyTree, PyTree]:
    """Parameters and derived quantities of the first ``rows`` draws."""
    parts = []
    for start in range(0, rows, _CHUNK_SIZE):
        chunk = programs.slice_draws(grid, _CHUNK_SIZE, positions, np.int32(start))
        length = min(_CHUNK_SIZE, rows - start)
        values = grid.fetch(programs.name_values(grid, 1, posterior, chunk))
        parts.append(jax.tree.map(lambda x, length=length: x[:, :, :length], values))
    joined: tuple[PyTree, PyTree] = jax.tree.map(lambda *x: np.concatenate(x, 2), *parts)
    return joined
