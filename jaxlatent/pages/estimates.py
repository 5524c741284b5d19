"""What was estimated: parameters, information criteria, and transition matrices."""

from typing import Any

import numpy as np
import pandas as pd

from jaxlatent.errors import InputError
from jaxlatent.pages.html import Html, paragraph
from jaxlatent.pages.study import Study
from jaxlatent.pages.tables import table
from jaxlatent.status import has_failed

#: The name of transition matrices in the ready families.
_TRANSITIONS = "transition_matrix"


def estimate_parts(study: Study) -> list[Html]:
    """Tables of the summary, of information criteria and of transition matrices."""
    best, summary = study.best, study.summary
    if best is None or summary is None:
        return [paragraph("There are no estimates: every restart failed. How they ended, above, says what to do.")]
    whose = "over all chains and draws" if study.is_chains else "of the best restart"
    parts = [table(_side_by_side(summary), f"Parameters, {whose}", f"{study.best_name}.summary()")]
    if best.has_draws and not study.is_chains:
        parts.append(paragraph("Draws are those of the approximation: see its k-hat before relying on their spread."))
    if study.is_chains and has_failed(best.status).any():
        parts.append(
            paragraph("Some chains failed, and the table is of all: use it for datasets whose chains are sound.")
        )
    if (criteria := _criteria(study)) is not None:
        caption = "Information criteria, smaller is better"
        parts.append(table(criteria, caption, f"{study.best_name}.criteria()"))
    if (matrices := _transitions(study)) is not None:
        caption = "Transition matrix: from the state of the row to that of the column" + (
            ", posterior mean, for chains with one order of states" if best.has_draws else ""
        )
        parts.append(table(matrices, caption))
    return parts


def _side_by_side(summary: pd.DataFrame) -> pd.DataFrame:
    """The point estimates of a batch with a row a dataset and a column a parameter, which is shorter."""
    if summary.index.nlevels == 1 or list(summary.columns) != ["value"]:
        return summary.rename_axis("parameter") if summary.index.nlevels == 1 else summary
    columns = list(dict.fromkeys(summary.index.get_level_values("parameter")))
    datasets = list(dict.fromkeys(summary.index.get_level_values("dataset")))
    values = summary["value"].to_numpy().reshape(len(datasets), len(columns))
    return pd.DataFrame(values, pd.Index(datasets, name="dataset", tupleize_cols=False), columns)


def _criteria(study: Study) -> pd.DataFrame | None:
    """Information criteria by dataset; None for draws, and for posteriors that do not know their observations."""
    best = study.best
    if best is None or best.has_draws:
        return None
    try:
        found = best.criteria()
    except InputError:
        return None
    names = ["all data"] if best.names is None else list(best.names)
    columns = {name: np.atleast_1d(value) for name, value in found.items()}
    return pd.DataFrame(columns, pd.Index(names, name="dataset", tupleize_cols=False))


def _transitions(study: Study) -> pd.DataFrame | None:
    """Transition matrices, a row a state (and dataset); None without such a parameter."""
    best = study.best
    if best is None or _TRANSITIONS not in best.params:
        return None
    matrix = np.asarray(best.mean()[_TRANSITIONS])
    if matrix.ndim != (2 if best.names is None else 3):
        return None
    dims = best.posterior.density.dims.get(_TRANSITIONS, ())
    states: list[Any] = (
        list(best.coords.get(dims[0], range(matrix.shape[-1]))) if dims else list(range(matrix.shape[-1]))
    )
    columns = [f"to {state}" for state in states]
    if best.names is None:
        return pd.DataFrame(matrix, pd.Index(states, name="from"), columns)
    index = pd.MultiIndex.from_product([list(best.names), states], names=["dataset", "from"])
    return pd.DataFrame(matrix.reshape(-1, len(states)), index, columns)
