"""Complete analyses, from data to tables and figures, run by ``jaxlatent demo NAME``."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from jaxlatent.demos.regression import ROWS


class Demo(NamedTuple):
    """One analysis.

    Attributes:
        line: description in one line.
        module: name of the module that defines ``run``, imported only when the demo runs.
    """

    line: str
    module: str

    @property
    def run(self) -> Callable[..., Any]:
        """The ``run`` function of the module."""
        run: Callable[..., Any] = import_module(self.module).run
        return run


DEMOS = {
    "census": Demo(
        "five hierarchical regressions of income on education and sex (1994 US census): NUTS, MAP and ADVI, compared",
        "jaxlatent.demos.census_run",
    ),
    "mice": Demo(
        "GLM-HMMs of decisions by simulated mice: from a table of trials to the number of states and each animal's own fit",
        "jaxlatent.demos.mice_run",
    ),
    "graphs": Demo("graphs of the census models and of every ready family of models", "jaxlatent.demos.graphs"),
    "regression": Demo(
        "all of the following: a gallery of regressions of simulated data", "jaxlatent.demos.regression"
    ),
    **{f"regression/{name}": Demo(row.line, "jaxlatent.demos.regression") for name, row in ROWS.items()},
}
