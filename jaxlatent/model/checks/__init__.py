"""Checks of a model and the values of its data: indices out of range, masked entries that are read, new groups."""

from jaxlatent.model.checks.entries import check_fit, check_use, unread_allowed, warn_of_data
from jaxlatent.model.checks.levels import is_population, levels_needed
from jaxlatent.model.checks.terms import Purpose

__all__ = [
    "Purpose",
    "check_fit",
    "check_use",
    "is_population",
    "levels_needed",
    "unread_allowed",
    "warn_of_data",
]
