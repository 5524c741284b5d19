"""`from_pymc`: the posterior of a PyMC model. PyMC is imported when that is called, by the modules `graphs` and `lifting`."""

from jaxlatent.posterior.adapters.pymc.entry import from_pymc

__all__ = ["from_pymc"]
