"""Whole analyses of published data, from raw counts to tables, figures and files: ``jaxlatent demo NAME``."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple


class Demo(NamedTuple):
    """One analysis.

    Attributes:
        line: what it shows, in one line.
        module: which defines ``run``; imported only when the demo runs.
    """

    line: str
    module: str

    @property
    def run(self) -> Callable[..., Any]:
        """The analysis itself; see the module for its arguments."""
        return import_module(self.module).run


DEMOS = {
    "census": Demo(
        "five hierarchical regressions of income on education and sex (1994 US census): NUTS, MAP and ADVI, compared",
        "jaxlatent.demos.census_run",
    ),
}
