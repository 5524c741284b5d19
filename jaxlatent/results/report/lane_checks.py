"""How the fit of one dataset went, in findings and in numbers: the part of the checks that needs no model."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxlatent.results.fitted import Fitted
from jaxlatent.results.report.finding import Finding
from jaxlatent.results.report.lanes import disagreements, divergences, failures, no_movement, poor_fits, too_few_draws
from jaxlatent.results.report.view import View, view_of

#: In the order of the report, most severe first.
_CHAINS: tuple[Callable[[View], Iterator[Finding]], ...] = (divergences, disagreements, too_few_draws)


class Checked(NamedTuple):
    """What was found in the lanes of one dataset.

    Attributes:
        findings: most severe first.
        numbers: that say how bad it is, by name; see `jaxlatent.Result.problems`.
        view: the draws, for further checks; None for points, and after a fatal finding.
    """

    findings: tuple[Finding, ...]
    numbers: dict[str, Any]
    view: View | None


def check_lanes(result: Fitted) -> Checked:
    """Check the lanes of one dataset, and the draws of chains."""
    found = [*failures(result), *no_movement(result), *poor_fits(result)]
    chains, khat = result.engine.kind == "chains", result.statistics.get("khat")
    numbers: dict[str, Any] = {}
    if khat is not None and not np.isnan(khat).all():
        numbers["khat"] = np.nanmax(khat)
    if result.trace is not None and np.size(result.status) > 1:
        numbers["agreeing"] = int(result.agreeing())
    if not result.has_draws or any(finding.fatal for finding in found):
        return Checked(tuple(found), numbers, None)
    # Lanes of an approximation are not chains of one posterior: only the best is checked.
    view = view_of(result if chains else result.best())
    if chains:
        found += [finding for run_check in _CHAINS for finding in run_check(view)]
        numbers |= _numbers_of_chains(view)
    return Checked(tuple(found), numbers, view)


def _numbers_of_chains(view: View) -> dict[str, Any]:
    statistics, most = view.result.statistics, getattr(view.result.engine, "max_depth", None)
    numbers = {"r_hat": np.nanmax(view.r_hat), "ess": np.nanmin(view.ess)}
    if "diverging" in statistics:
        numbers["divergences"] = int(np.sum(statistics["diverging"]))
    if "tree_depth" in statistics and most is not None:
        numbers["at_max_depth"] = int(np.sum(statistics["tree_depth"] >= most))
    return numbers
