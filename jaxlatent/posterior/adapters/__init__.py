"""Adapters that make a posterior of a NumPyro model or of a bare log density, for every engine."""

from jaxlatent.posterior.adapters.functions import from_log_density
from jaxlatent.posterior.adapters.numpyro import from_numpyro

__all__ = ["from_log_density", "from_numpyro"]
