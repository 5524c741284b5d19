"""The supports of distributions, as NumPyro's constraints."""

from typing import Any

from numpyro.distributions import constraints


def entry_support(support: Any) -> Any:
    """A support without its ``independent`` wrappers: of one entry, where entries are independent."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support
