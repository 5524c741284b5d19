"""The regression gallery: small models of simulated data, compared with the true parameters.

``jaxlatent demo regression/NAME`` runs one row, ``jaxlatent demo regression`` all of them.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

OUT = Path("runs/regression")


class Row(NamedTuple):
    """One analysis of the gallery.

    Attributes:
        line: description in one line.
        module: of this package, with a function of the row's name; imported only when the row runs.
    """

    line: str
    module: str


ROWS = {
    "forward": Row("draws of a sum from the prior, and predictions after three weighings", "basics"),
    "coin": Row("eight heads in ten tosses, beside the exact answer", "basics"),
    "line": Row("a straight line through points", "basics"),
    "predictors": Row("several predictors at once, two of them idle, two of them alike", "basics"),
    "pipe": Row("a mediator, x → m → y: to control for it is to lose the effect", "confounds"),
    "path": Row("direct and indirect effects from one model with two likelihoods", "confounds"),
    "fork": Row("a common cause, x ← z → y, ignored and controlled", "confounds"),
    "collider": Row("a common consequence, x → c ← y, included and excluded", "confounds"),
    "pipe_and_collider": Row("a mediator and a collider at once: four regressions, one of them right", "confounds"),
    "categories": Row("a mean for each category, by index", "categories"),
    "pooling": Row("pooled categories: what shrinkage gains, in good and bad coordinates", "categories"),
    "heterogeneity": Row("effects that differ between segments, in a model that knows only one", "heterogeneity"),
    "varying_effects": Row("baseline and effect of each segment, correlated (LKJ)", "heterogeneity"),
    "events": Row("binary events by cell, and what a treatment changes in each segment", "events"),
    "missing": Row(
        "outcomes not measured and a covariate not kept: complete rows mislead, imputed ones do not", "missing"
    ),
    "survival": Row("times to an event that some have not had yet: a censored Weibull regression", "survival"),
    "ordered": Row("answers from very bad to very good: a latent scale with cutpoints", "ordered"),
    "series": Row("an autoregressive series with swings, and a forecast", "series"),
    "ode": Row("growth by a differential equation, solved inside the likelihood", "ode"),
    "network": Row("a curve with a gap: a Bayesian Flax network beside the trained one", "network"),
}


def run(
    names: Sequence[str] = (), out: Path = OUT, seed: int = 0, console: "Console | None" = None
) -> dict[str, dict[str, Any]]:
    """Run rows of the gallery: simulate, fit, print, draw.

    Args:
        names: of the rows; all by default.
        out: directory for the figures, ``NAME.svg``, and model graphs, ``NAME_graph.svg``; created if missing.
        seed: of the simulated data and of the sampler.
        console: where to print.

    Returns:
        The results and the truth of each row.
    """
    from rich.console import Console

    from jaxlatent.demos.regression.page import Page  # matplotlib is loaded only now
    from jaxlatent.plots.style import style

    console = console or Console()
    handed = {}
    for name in names or ROWS:
        row = ROWS[name]
        page = Page(name, console, out, seed)
        page.head(row.line)
        with style():
            handed[name] = getattr(import_module(f"{__name__}.{row.module}"), name)(page)
            page.graph(handed[name].get("fit") or next(iter(handed[name]["fits"].values())))
    return handed
