"""The page of a choice among models of several sizes: the choice, and the fit of the chosen one."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jaxlatent.pages.convergence import convergence_parts, facts
from jaxlatent.pages.document import Section, document
from jaxlatent.pages.estimates import estimate_parts
from jaxlatent.pages.html import Html, element, paragraph, text
from jaxlatent.pages.images import image
from jaxlatent.pages.origin import arguments, engine_call, origin_parts
from jaxlatent.pages.result import background, lead, seed, size
from jaxlatent.pages.study import Study
from jaxlatent.pages.tables import table
from jaxlatent.pages.writing import prepare, write
from jaxlatent.plots.choice import choice as draw_choice
from jaxlatent.results.result import Result
from jaxlatent.status import in_words


class Choice(NamedTuple):
    """What a `jaxlatent.Selection` says of its candidates.

    Attributes:
        table: a row a candidate.
        chosen: one of them, or None.
        reason: why, in words.
        held_out: how much was held out, in words.
        status: of all lanes of all folds, by candidate.
        folds: a row a fold of the chosen candidate.
        settings: of the study: ``seed``, ``folds``, ``by`` and options.
    """

    table: pd.DataFrame
    chosen: Any
    reason: str
    held_out: str
    status: Mapping[Any, np.ndarray]
    folds: pd.DataFrame
    settings: Mapping[str, Any]


def report(choice: Choice, shown: Any, whole: Result, path: str | os.PathLike[str], title: str | None) -> None:
    """Write the page.

    Args:
        choice: among the candidates.
        shown: the candidate whose fit is shown: the chosen one, if there is one.
        whole: its fit to all data.
        path, title: see `jaxlatent.Selection.report`.
    """
    file = prepare(path)
    study = Study(whole, f"selection.whole({shown!r})")
    options = {name: value for name, value in choice.settings.items() if name != "seed"}
    lines = [
        "import jaxlatent as jl",
        "",
        f"build = ...  # of a candidate its model: {whole.posterior.density.label}",
        f"data = ...  # {size(study)}",
        f"candidates = {list(choice.table.index)!r}",
        f"engine = {engine_call(whole.engine)}",
        f"selection = jl.select(build, candidates, data, engine, {arguments(options)}, seed={seed(choice.settings['seed'])}",
        f"selection.report({os.fspath(path)!r})",
    ]
    sections = (
        Section("choice", "Choice", _choice_parts(choice)),
        Section("convergence", f"Convergence of {shown}, fitted to all data", convergence_parts(study)),
        Section("estimates", f"Estimates of {shown}", estimate_parts(study)),
        *background(study),
        Section("origin", "Provenance", origin_parts(study, "\n".join(lines))),
    )
    glance = [
        ("Chosen", "none" if choice.chosen is None else str(choice.chosen)),
        ("Held out", choice.held_out.removesuffix(" held out")),
        *facts(study),
    ]
    write(file, document(title or whole.posterior.density.label, lead(study), glance, sections))


def _choice_parts(choice: Choice) -> list[Html]:
    """The reason, the figure, and tables of candidates and folds."""
    chosen = "No candidate was chosen." if choice.chosen is None else f"Chosen: {choice.chosen}."
    parts = [element("p", element("strong", text(chosen)), text(f" {choice.reason}")), paragraph(f"{choice.held_out}.")]
    panels = 2 if "bic" in choice.table else 1
    figure = Figure(figsize=(3.8 * panels, 3.1), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    draw_choice(choice.table, choice.chosen, list(axes))
    criteria = " Right: information criteria less the least of each." if panels == 2 else ""
    caption = f"Held-out bits with standard errors of the difference to the best.{criteria}"
    parts.append(image(figure, f"Held-out bits against candidates. {caption}", caption))
    parts.append(table(choice.table.rename_axis("candidate"), "Candidates", "selection.table"))
    index = pd.Index(list(choice.status), name="candidate", tupleize_cols=False)
    said = ["given as an object" if value is ... else str(value) for value in choice.settings.values()]
    settings = pd.DataFrame({"value": said}, pd.Index(list(choice.settings), name="setting"))
    ended = pd.DataFrame({"status": [in_words(status) for status in choice.status.values()]}, index)
    parts.append(table(ended, "How the lanes of all folds and of the fit to all data ended"))
    parts.append(table(choice.folds, "Folds" + ("" if choice.chosen is None else f" of {choice.chosen}")))
    return [*parts, table(settings, "Settings of the study")]
