"""Posteriors from elsewhere: a bare log density or a NumPyro model. Every engine accepts them."""

from jaxlatent.posterior.adapters.functions import from_log_density
from jaxlatent.posterior.adapters.numpyro import from_numpyro

__all__ = ["from_log_density", "from_numpyro"]
