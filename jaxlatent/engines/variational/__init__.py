"""Variational inference: Gaussians that maximise the evidence lower bound (ELBO)."""

from jaxlatent.engines.variational.advi import ADVI
from jaxlatent.engines.variational.dadvi import DADVI

__all__ = ["ADVI", "DADVI"]
