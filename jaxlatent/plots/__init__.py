"""Figures of results in one style: those of ArviZ by `checks`, for ArviZ 0.x and 1.x, and others in Matplotlib.

Import it explicitly, ``from jaxlatent import plots``: ``import jaxlatent`` does not import matplotlib.
"""

from jaxlatent.plots.chains import chains
from jaxlatent.plots.checks import checks
from jaxlatent.plots.choice import choice
from jaxlatent.plots.conditional import component_bands, component_curves, density_map, labelled_draws, pit
from jaxlatent.plots.forest import forest
from jaxlatent.plots.geweke import geweke
from jaxlatent.plots.optimisation import elbo
from jaxlatent.plots.psychometric import psychometric
from jaxlatent.plots.restarts import restarts
from jaxlatent.plots.shrinkage import shrinkage
from jaxlatent.plots.state_parameters import state_weights, transitions
from jaxlatent.plots.state_paths import dwell_times, occupancy, session
from jaxlatent.plots.states import states
from jaxlatent.plots.style import save, style
from jaxlatent.plots.validation import validation

__all__ = [
    "chains",
    "checks",
    "choice",
    "component_bands",
    "component_curves",
    "density_map",
    "dwell_times",
    "elbo",
    "forest",
    "geweke",
    "labelled_draws",
    "occupancy",
    "pit",
    "psychometric",
    "restarts",
    "save",
    "session",
    "shrinkage",
    "state_weights",
    "states",
    "style",
    "transitions",
    "validation",
]
