"""What a study ends with: tables on the console, and in the folder of the run as CSV, with a page to hand on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jaxlatent as jl
from jaxlatent.cli.study.data import Loaded
from jaxlatent.cli.study.running import Outcome
from jaxlatent.results.report import Reports

if TYPE_CHECKING:
    import pandas as pd

#: The page.
REPORT = "report.html"
#: The most rows of a table on the console.
_ROWS = 40


def present(outcome: Outcome, loaded: Loaded, folder: Path) -> str:
    """Write the tables of a study, and its page; returns what the console shows.

    Args:
        outcome: of the study.
        loaded: its data.
        folder: of the run.
    """
    if isinstance(outcome, jl.CrossValidation):
        return _written([str(outcome)], {"folds": outcome.table, "totals": outcome.totals}, folder)
    outcome.report(folder / REPORT)
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


def present_store(path: Path) -> str:
    """Write the summary of a store and its page, next to it; returns what the console shows.

    Args:
        path: of a store, whose model is not needed.
    """
    result = jl.open(path)
    best = result if result.engine.kind == "chains" else result.best()
    table, page = path.with_name(f"{path.stem}-summary.csv"), path.with_name(f"{path.stem}-{REPORT}")
    best.summary().to_csv(table)
    result.report(page)
    return f"{result!r}\nwrote {table} and {page}"


def _of_fit(result: jl.Result, loaded: Loaded) -> tuple[list[str], dict[str, "pd.DataFrame"]]:
    """The summary and the check of a fit, in words, and its tables."""
    best = result if result.engine.kind == "chains" else result.best()
    summary = best.summary()
    shown = summary.head(_ROWS).to_string(float_format="{:.4f}".format)
    if len(summary) > _ROWS:
        shown += f"\n... and {len(summary) - _ROWS} more in summary.csv"
    tables = {"summary": summary}
    if (states := _states(best, loaded)) is not None:
        tables["states"] = states
    return [f"{result!r}\n{shown}", _findings(result)], tables


def _findings(result: jl.Result) -> str:
    """What `Result.check` finds; of a batch each kind in full, as of the first dataset that has it."""
    report = result.check()
    if not isinstance(report, Reports):
        return str(report) or "check: nothing found"
    examples = [
        f"{names[0]}: {finding}"
        for illness, names in report.illnesses.items()
        for finding in report[names[0]].findings
        if finding.illness == illness
    ]
    return "\n".join([str(report) or "check: nothing found", *examples])


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
    names = ", ".join([*(f"{name}.csv" for name in tables), *([REPORT] if (folder / REPORT).is_file() else [])])
    return "\n".join([*lines, f"In {folder}: {names}"])
