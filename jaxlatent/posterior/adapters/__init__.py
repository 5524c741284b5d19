"""Adapters that make a posterior of a NumPyro or PyMC model or of a bare log density, for every engine."""

from jaxlatent.posterior.adapters.functions import from_log_density
from jaxlatent.posterior.adapters.numpyro import from_numpyro
from jaxlatent.posterior.adapters.pymc import from_pymc

__all__ = ["from_log_density", "from_numpyro", "from_pymc"]
