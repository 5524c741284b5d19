"""`Result.check`: a report of the problems of a fit, with remedies."""

from collections.abc import Callable, Iterator

import numpy as np

from jaxlatent.results.fitted import Fitted
from jaxlatent.results.report.covariates import unstandardised
from jaxlatent.results.report.finding import Finding
from jaxlatent.results.report.geometry import ridges, tails
from jaxlatent.results.report.lanes import disagreements, divergences, failures, no_movement, poor_fits, too_few_draws
from jaxlatent.results.report.latent import components
from jaxlatent.results.report.modelling import bounds, conflicts, duplicates, separations
from jaxlatent.results.report.report import Report, Reports
from jaxlatent.results.report.view import View, view_of

_Check = Callable[[View], Iterator[Finding]]

#: In the order of the report, most severe first.
_CHAINS: tuple[_Check, ...] = (divergences, disagreements, too_few_draws)
_DRAWS: tuple[_Check, ...] = (duplicates, ridges, separations, conflicts, bounds, tails)


def check(result: Fitted) -> Report | Reports:
    """See `jaxlatent.Result.check`."""
    if result.names is None:
        return _check_one(result)
    status = {name: np.atleast_1d(one) for name, one in zip(result.names, result.status, strict=True)}
    return Reports({name: _check_one(result[name]) for name in result.names}, status)


def _check_one(result: Fitted) -> Report:
    found = [*failures(result), *no_movement(result), *poor_fits(result)]
    found += unstandardised(result.posterior.data, result.params)
    if not result.has_draws:
        found += components(result)
    elif not any(finding.fatal for finding in found):
        chains = result.engine.kind == "chains"
        # Lanes of an approximation are not chains of one posterior: only the best is checked.
        view = view_of(result if chains else result.best())
        for run_check in (*_CHAINS, *_DRAWS) if chains else _DRAWS:
            found += run_check(view)
    return Report(tuple(found))


__all__ = ["Finding", "Report", "Reports", "check"]
