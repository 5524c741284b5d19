"""Figures of results: what ArviZ has by `checks` and `forest`, in both its lines; what it lacks in matplotlib.

Import it by name, ``from jaxlatent import plots``: the package itself does not need matplotlib to be loaded.
"""

from jaxlatent.plots.checks import checks, forest
from jaxlatent.plots.conditional import component_bands, component_curves, density_map, labelled_draws, pit
from jaxlatent.plots.geweke import geweke
from jaxlatent.plots.optimisation import elbo
from jaxlatent.plots.shrinkage import shrinkage
from jaxlatent.plots.validation import validation

__all__ = [
    "checks",
    "component_bands",
    "component_curves",
    "density_map",
    "elbo",
    "forest",
    "geweke",
    "labelled_draws",
    "pit",
    "shrinkage",
    "validation",
]
