"""What records and finished lanes tell, with names: on the devices, before it leaves them."""

from typing import NamedTuple

import jax
import numpy as np

from jaxlatent.engines.base import Outputs
from jaxlatent.execute import programs
from jaxlatent.execute.grid import Grid
from jaxlatent.masks import blank
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, PyTree

#: Draws that are named at once: device memory does not grow with their number, and engines share the program.
_LEG = 250


class Named(NamedTuple):
    """Outputs on the host, leading with ``(dataset, lane)``, and with ``draw`` where they are of draws.

    Attributes:
        statistics: by ArviZ's names.
        positions: unconstrained; None where there are none.
        params: named values.
        derived: the model's derived quantities.
    """

    statistics: dict[str, np.ndarray]
    positions: np.ndarray | None
    params: dict[str, np.ndarray]
    derived: dict[str, np.ndarray]


def named(grid: Grid, posterior: Posterior, outputs: Outputs) -> Named:
    """The outputs of finished lanes, named by ``posterior``."""
    statistics, positions, params = outputs
    if positions is None:
        return Named(grid.fetch(statistics), None, {}, {})
    if params is not None:
        values = grid.fetch((params, programs.derive(grid, posterior, params)))
    elif positions.ndim == 3:
        values = grid.fetch(programs.name_values(grid, 0, posterior, positions))
    else:
        values = _in_legs(grid, posterior, positions, positions.shape[2])
    return Named(grid.fetch(statistics), grid.fetch(positions), *values)


def named_records(grid: Grid, posterior: Posterior, outputs: Outputs, counts: Array, rows: int) -> tuple[Named, Array]:
    """The outputs of the first ``rows`` records of each lane, NaN (counts: 0) from its ``counts`` on; and these on the host."""
    statistics, positions, _ = outputs
    values: tuple[PyTree, PyTree] = ({}, {})
    if positions is not None:
        values = _in_legs(grid, posterior, positions, rows)
        positions = grid.fetch(positions)[:, :, :rows]
    first = jax.tree.map(lambda x: x[:, :, :rows], grid.fetch(statistics))
    made = grid.fetch(counts)
    there = np.arange(rows) < made[..., None]
    records = Named(first, positions, *values)
    return records if there.all() else blank(records, there), made


def _in_legs(grid: Grid, posterior: Posterior, positions: Array, rows: int) -> tuple[PyTree, PyTree]:
    """Parameters and derived quantities of the first ``rows`` draws."""
    parts = []
    for start in range(0, rows, _LEG):
        leg = programs.leg(grid, _LEG, positions, np.int32(start))
        length = min(_LEG, rows - start)
        values = grid.fetch(programs.name_values(grid, 1, posterior, leg))
        parts.append(jax.tree.map(lambda x, length=length: x[:, :, :length], values))
    return jax.tree.map(lambda *x: np.concatenate(x, 2), *parts)
