"""Buckets: datasets of similar shape are fitted together, so that little of the work is padding.

Each bucket has programs of its own, which cost compile time. How many there are follows from the size of the whole work: the sum of both,
by rough constants, is least. What is padding in a run of many minutes is then a few percent, and a run of seconds compiles once.
"""

from collections.abc import Sequence

import jax
import numpy as np

from jaxlatent.engines.base import Engine
from jaxlatent.execute.padding import Rows, pad_rows, round_up, rows_of, used_lengths
from jaxlatent.posterior.posterior import Posterior

#: Seconds that the programs of another shape take to compile.
COMPILE = 10.0
#: Seconds of a CPU device for one row of one lane: a draw of Markov chains takes some ten gradients, other steps one or two.
SECONDS = {"chains": 2e-7, "draws": 2e-8, "point": 2e-8}
#: Time on other devices, as a share of that on a CPU device.
_ACCELERATED = 0.02


def by_shape(given: Posterior, engine: Engine, devices: Sequence[jax.Device], segment: int) -> list[np.ndarray]:
    """Indices of the datasets of each bucket, in rising order; a single bucket where padding costs less than another program.

    Args:
        given: a posterior; of a batch its data lead with ``dataset``.
        engine: its settings say how long a fit takes.
        devices: that share the work.
        segment: see `jaxlatent.fit`.
    """
    whole = [np.arange(1 if given.names is None else len(given.names))]
    rows = Rows() if given.names is None or engine.by_rows else rows_of(given.nameless)
    if len(whole[0]) == 1 or not rows.leading:
        return whole
    lengths = np.array([[round_up(length) for length in one] for one in used_lengths(given.nameless, rows).tolist()])
    shapes, which, counts = np.unique(lengths, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(shapes.prod(1), kind="stable")
    steps = sum(stage.steps for stage in engine.schedule(segment))
    seconds = SECONDS[engine.kind] * steps * engine.lanes / len(devices)
    seconds *= 1.0 if devices[0].platform == "cpu" else _ACCELERATED
    buckets = [
        np.flatnonzero(np.isin(which.ravel(), order[first:end]))
        for first, end in _cut(shapes[order], counts[order], seconds)
    ]
    if len(buckets) > 1:
        # A likelihood of which rows are more than terms is not cut, and buckets would gain nothing.
        smallest = given.some(buckets[0]).nameless
        if pad_rows(smallest) is smallest:
            return whole
    return buckets


def _cut(shapes: np.ndarray, counts: np.ndarray, seconds: float) -> list[tuple[int, int]]:
    """Where to cut a list of shapes, so that it takes the least time: each part is padded to its largest lengths, and compiled.

    Args:
        shapes: of rising size, ``(shape, axis)``.
        counts: number of datasets of each.
        seconds: for one row of a dataset.
    """
    best, cuts = [0.0], [0]
    for end in range(1, len(shapes) + 1):
        largest = np.maximum.accumulate(shapes[:end][::-1].astype(float))[::-1].prod(1)
        behind = np.cumsum(counts[:end][::-1])[::-1]
        costs = np.array(best) + largest * behind * seconds + COMPILE
        cuts.append(int(np.argmin(costs)))
        best.append(float(costs[cuts[-1]]))
    parts, end = [], len(shapes)
    while end:
        parts.append((cuts[end], end))
        end = cuts[end]
    return parts[::-1]
