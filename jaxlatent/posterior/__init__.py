"""A model that has met its data: a log density over flat positions, and posteriors from elsewhere that look the same."""

from jaxlatent.posterior.adapters import from_log_density, from_numpyro
from jaxlatent.posterior.condition import condition
from jaxlatent.posterior.posterior import Posterior

__all__ = ["Posterior", "condition", "from_log_density", "from_numpyro"]
