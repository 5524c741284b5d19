"""What a study ends with: tables on the console, and in the folder of the run as CSV."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jaxlatent as jl
from jaxlatent.cli.study.data import Loaded
from jaxlatent.cli.study.running import Outcome

if TYPE_CHECKING:
    import pandas as pd

#: The most rows of a table on the console.
_ROWS = 40


def present(outcome: Outcome, loaded: Loaded, folder: Path) -> str:
    """Write the tables of a study; returns what the console shows.

    Args:
        outcome: of the study.
        loaded: its data.
        folder: of the run.
    """
    if isinstance(outcome, jl.CrossValidation):
        return _written([str(outcome)], {"folds": outcome.table, "totals": outcome.totals}, folder)
    if isinstance(outcome, jl.Result):
        return _written(*_of_fit(outcome, loaded), folder)
    import pandas as pd

    tables = {
        "selection": outcome.table,
        "folds": pd.concat({name: one.table for name, one in outcome.validations.items()}, names=["candidate"]),
    }
    if outcome.chosen is None:
        return _written([str(outcome)], tables, folder)
    lines, more = _of_fit(outcome.whole(outcome.chosen), loaded)
    return _written([str(outcome), *lines], tables | more, folder)


def _of_fit(result: jl.Result, loaded: Loaded) -> tuple[list[str], dict[str, "pd.DataFrame"]]:
    """The summary and the check of a fit, in words, and its tables."""
    best = result if result.has_draws else result.best()
    summary = best.summary()
    shown = summary.head(_ROWS).to_string(float_format="{:.4f}".format)
    if len(summary) > _ROWS:
        shown += f"\n... and {len(summary) - _ROWS} more in summary.csv"
    tables = {"summary": summary}
    if (states := _states(best, loaded)) is not None:
        tables["states"] = states
    return [f"{result!r}\n{shown}", str(result.check()) or "check: nothing found"], tables


def _states(best: jl.Result, loaded: Loaded) -> "pd.DataFrame | None":
    """The table with the probability of each state or component in each row; None for draws and models without any."""
    if best.has_draws or not isinstance(loaded.section.y, str | tuple):
        return None
    try:
        probs: Any = best.smooth()["y"]
    except (jl.InputError, KeyError):
        return None
    rows = loaded.data.in_rows(probs)
    keys = [name for name in (loaded.section.dataset, loaded.section.sequence, loaded.section.order) if name]
    made = loaded.frame[keys].copy()
    for k in range(rows.shape[1]):
        made[f"p_state_{k}"] = rows[:, k]
    return made


def _written(lines: list[str], tables: dict[str, "pd.DataFrame"], folder: Path) -> str:
    """Write the tables; what the console shows."""
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=name != "states")
    names = ", ".join(f"{name}.csv" for name in tables)
    return "\n".join([*lines, f"In {folder}: {names}"])
