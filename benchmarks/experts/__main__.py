"""Mixture density networks and mixtures of experts, jaxlatent beside its peers."""

from benchmarks import parts

PARTS = {
    "a": ("network", "run", None),
    "b": ("experts", "run", 2),
    "c": ("experts", "bayesian", 1),
    "d": ("network", "many", 2),
}

parts.main("experts", __doc__, PARTS)
