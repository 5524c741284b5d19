"""What a fit hands out, and what follows from it: tables, predictions, hidden states, scores, reports, ArviZ."""

from jaxlatent.results.prior import PriorDraws, sample_prior
from jaxlatent.results.result import Result

__all__ = ["PriorDraws", "Result", "sample_prior"]
