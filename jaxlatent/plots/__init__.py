"""Figures of results: those that ArviZ has by `checks`; the others in matplotlib alone, the same with every ArviZ.

Import it by name, ``from jaxlatent import plots``: the package itself does not need matplotlib to be loaded.
"""

from jaxlatent.plots.chains import autocorrelation, geweke, trace
from jaxlatent.plots.checks import checks
from jaxlatent.plots.conditional import component_bands, component_curves, density_map, labelled_draws, pit
from jaxlatent.plots.forest import forest
from jaxlatent.plots.optimisation import elbo
from jaxlatent.plots.pair import pair
from jaxlatent.plots.shrinkage import shrinkage
from jaxlatent.plots.validation import validation

__all__ = [
    "autocorrelation",
    "checks",
    "component_bands",
    "component_curves",
    "density_map",
    "elbo",
    "forest",
    "geweke",
    "labelled_draws",
    "pair",
    "pit",
    "shrinkage",
    "trace",
    "validation",
]
