"""Gaussians fitted to the posterior by raising the evidence lower bound."""

from jaxlatent.engines.variational.advi import ADVI
from jaxlatent.engines.variational.dadvi import DADVI

__all__ = ["ADVI", "DADVI"]
