"""Runs fits over datasets, lanes and devices: segments, progress, early stopping."""

from jaxlatent.execute.fit import fit
from jaxlatent.execute.plan import Plan, plan
from jaxlatent.execute.resume import open_run, resume
from jaxlatent.execute.run import Run, run
from jaxlatent.execute.stopping import until

__all__ = ["Plan", "Run", "fit", "open_run", "plan", "resume", "run", "until"]
