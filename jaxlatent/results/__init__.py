"""`Result` and its methods: summaries, predictions, hidden states, scores, checks, conversion to ArviZ."""

from jaxlatent.results.prior import PriorDraws, sample_prior
from jaxlatent.results.result import Result

__all__ = ["PriorDraws", "Result", "sample_prior"]
