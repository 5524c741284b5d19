"""Posteriors: a model conditioned on data, as a log density over flat positions; adapters for NumPyro models and bare functions."""

from jaxlatent.posterior.adapters import from_log_density, from_numpyro, from_pymc
from jaxlatent.posterior.condition import condition
from jaxlatent.posterior.posterior import Posterior

__all__ = ["Posterior", "condition", "from_log_density", "from_numpyro", "from_pymc"]
