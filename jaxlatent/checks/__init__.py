"""What can be wrong with a model and its data, said before any long work."""

from jaxlatent.checks.entries import check_fit, check_use
from jaxlatent.checks.levels import levels_needed
from jaxlatent.checks.shapes import check_shapes
from jaxlatent.checks.starts import explain_start, explain_support
from jaxlatent.checks.terms import Purpose

__all__ = [
    "Purpose",
    "check_fit",
    "check_shapes",
    "check_use",
    "explain_start",
    "explain_support",
    "levels_needed",
]
