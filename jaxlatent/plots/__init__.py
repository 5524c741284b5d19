"""Figures of results, in matplotlib alone: the same with every ArviZ, on a screen or without one.

Import it by name, ``from jaxlatent import plots``: the package itself does not need matplotlib to be loaded.
"""

from jaxlatent.plots.chains import autocorrelation, geweke, trace
from jaxlatent.plots.forest import forest
from jaxlatent.plots.optimisation import elbo
from jaxlatent.plots.pair import pair
from jaxlatent.plots.shrinkage import shrinkage
from jaxlatent.plots.validation import validation

__all__ = ["autocorrelation", "elbo", "forest", "geweke", "pair", "shrinkage", "trace", "validation"]
