"""Runs fits over datasets, lanes and devices: segments, progress, early stopping."""

from jaxlatent.execute.fit import fit
from jaxlatent.execute.resume import open_run, resume
from jaxlatent.execute.run import Run, run
from jaxlatent.execute.stopping import until

__all__ = ["Run", "fit", "open_run", "resume", "run", "until"]
