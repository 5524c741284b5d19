"""The batching of fits: lanes, keys, segments, devices, progress, early stopping. No other part of the package batches."""

from jaxlatent.execute.fit import fit
from jaxlatent.execute.run import Run, run
from jaxlatent.execute.stopping import until

__all__ = ["Run", "fit", "run", "until"]
