"""Figures of results: ArviZ's by `checks` and `forest`, for ArviZ 0.x and 1.x, and others in matplotlib.

Import it explicitly, ``from jaxlatent import plots``: ``import jaxlatent`` does not import matplotlib.
"""

from jaxlatent.plots.chains import chains
from jaxlatent.plots.checks import checks, forest
from jaxlatent.plots.choice import choice
from jaxlatent.plots.conditional import component_bands, component_curves, density_map, labelled_draws, pit
from jaxlatent.plots.geweke import geweke
from jaxlatent.plots.optimisation import elbo
from jaxlatent.plots.restarts import restarts
from jaxlatent.plots.shrinkage import shrinkage
from jaxlatent.plots.validation import validation

__all__ = [
    "chains",
    "checks",
    "choice",
    "component_bands",
    "component_curves",
    "density_map",
    "elbo",
    "forest",
    "geweke",
    "labelled_draws",
    "pit",
    "restarts",
    "shrinkage",
    "validation",
]
