"""What can be wrong with a model and its data, said before any long work."""

from jaxlatent.model.checks.entries import check_fit, check_use
from jaxlatent.model.checks.levels import levels_needed
from jaxlatent.model.checks.terms import Purpose

__all__ = [
    "Purpose",
    "check_fit",
    "check_use",
    "levels_needed",
]
