"""Points of highest density: the engine, its optimisers, and when they have arrived."""

from jaxlatent.engines.optimize.optimize import Optimize

__all__ = ["Optimize"]
