"""Point estimates: the engine `Optimize`, its optimisers, and their convergence checks."""

from jaxlatent.engines.optimize.optimize import Optimize

__all__ = ["Optimize"]
