"""The only place that batches: lanes, keys, segments, devices, progress, stopping."""

from jaxlatent.execute.fit import fit
from jaxlatent.execute.run import Run, run
from jaxlatent.execute.stopping import until

__all__ = ["Run", "fit", "run", "until"]
