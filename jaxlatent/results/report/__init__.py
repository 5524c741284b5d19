"""`Result.check` and `Result.problems`: the problems of a fit, as a report with remedies and as a table."""

from collections.abc import Callable, Iterator

import numpy as np

from jaxlatent.results.fitted import Fitted
from jaxlatent.results.report.covariates import unstandardised
from jaxlatent.results.report.finding import Finding
from jaxlatent.results.report.geometry import ridges, tails
from jaxlatent.results.report.lane_checks import check_lanes
from jaxlatent.results.report.latent import components
from jaxlatent.results.report.modelling import bounds, conflicts, duplicates, separations
from jaxlatent.results.report.problems import problems
from jaxlatent.results.report.report import Report, Reports
from jaxlatent.results.report.view import View

#: In the order of the report, most severe first.
_DRAWS: tuple[Callable[[View], Iterator[Finding]], ...] = (duplicates, ridges, separations, conflicts, bounds, tails)


def check(result: Fitted) -> Report | Reports:
    """See `jaxlatent.Result.check`."""
    if result.names is None:
        return _check_one(result)
    status = {name: np.atleast_1d(one) for name, one in zip(result.names, result.status, strict=True)}
    return Reports({name: _check_one(result[name]) for name in result.names}, status)


def _check_one(result: Fitted) -> Report:
    checked = check_lanes(result)
    found = [*checked.findings, *unstandardised(result.posterior.data, result.params)]
    if not result.has_draws:
        found += components(result)
    elif checked.view is not None:
        for run_check in _DRAWS:
            found += run_check(checked.view)
    return Report(tuple(found))


__all__ = ["Finding", "Report", "Reports", "check", "problems"]
