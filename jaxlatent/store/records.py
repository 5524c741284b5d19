"""`Named`: what a stage of a run, or its end, leaves on the host."""

from typing import NamedTuple

import numpy as np


class Named(NamedTuple):
    """Outputs on the host, leading with ``(dataset, lane)``, for draws with ``(dataset, lane, draw)``.

    Attributes:
        statistics: under ArviZ's names.
        positions: unconstrained; None without positions.
        params: named values.
        derived: the model's derived quantities.
    """

    statistics: dict[str, np.ndarray]
    positions: np.ndarray | None
    params: dict[str, np.ndarray]
    derived: dict[str, np.ndarray]
