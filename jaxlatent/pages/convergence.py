"""Whether a fit converged: how lanes ended, what `check()` found, how restarts agree and chains mix."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jaxlatent.errors import listed
from jaxlatent.pages.html import Html, element, join, paragraph, preformatted, prose, text
from jaxlatent.pages.images import image
from jaxlatent.pages.study import Study
from jaxlatent.pages.tables import number, table
from jaxlatent.plots.chains import chains
from jaxlatent.plots.optimisation import elbo
from jaxlatent.plots.restarts import restarts
from jaxlatent.results.report import Finding, Report, Reports
from jaxlatent.status import Status, has_failed, in_words

#: Statistics of lanes that are shown, with their heads and how draws are summarised.
_STATISTICS: dict[str, tuple[str, Callable[..., Any]]] = {
    "diverging": ("divergences", np.sum),
    "acceptance_rate": ("acceptance rate", np.mean),
    "n_steps": ("steps", np.mean),
    "khat": ("k-hat", np.mean),
}
_NATS = 1.0


def convergence_parts(study: Study) -> list[Html]:
    """Statuses, tables of datasets or lanes, findings, and figures."""
    parts = [_statuses(study)]
    if study.result.names is None:
        parts.append(table(lane_table(study), f"Each {study.lanes}"))
    else:
        parts.append(table(dataset_table(study), "Each dataset, those with findings first"))
    return [*parts, *_quarantined(study), *_findings(study), *_figures(study)]


def facts(study: Study) -> list[tuple[str, str]]:
    """What one looks for first: how lanes ended, whether they agree, and what was found."""
    said = [("Lanes", in_words(study.result.status))]
    if study.is_chains:
        worst = mixing(study)
        r_hat, ess = worst["largest r_hat"].max(), worst["least ess"].min()
        said.append(("Mixing", f"R-hat at most {number(r_hat, 'r_hat')}, ESS at least {number(ess, 'ess_bulk')}"))
    elif (agreed := agreeing(study)) is not None:
        lanes = study.by_lane(study.result.status).shape[1]
        said.append(("Within a nat of the best", _agreement(agreed, lanes)))
    found = study.findings
    if isinstance(found, Reports):
        counts = [f"{illness} ({len(names):,})" for illness, names in found.illnesses.items()]
        said.append(("Findings, in so many datasets", listed(counts) or "none"))
    elif found is not None:
        said.append(("Findings", listed(list(dict.fromkeys(found.illnesses))) or "none"))
    return said


def _agreement(agreed: np.ndarray, lanes: int) -> str:
    """How many restarts agreed; of a batch in how many datasets more than one did."""
    if len(agreed) == 1:
        return f"{agreed[0]} of {lanes} restarts"
    return f"at least 2 of {lanes} restarts in {np.sum(agreed > 1):,} of {len(agreed):,} datasets"


def agreeing(study: Study) -> np.ndarray | None:
    """How many restarts of each dataset ended within a nat of the best; None where there are no others."""
    result = study.result
    if study.is_chains or study.by_lane(result.status).shape[1] == 1:
        return None
    return np.atleast_1d(result.agreeing(_NATS))


def mixing(study: Study) -> pd.DataFrame:
    """The largest R-hat and the least effective sample size, bulk or tail, of chains: a row a dataset; NaN where there is none."""
    assert study.summary is not None
    ess = study.summary[["ess_bulk", "ess_tail"]].min(axis=1)
    worst = pd.DataFrame({"largest r_hat": study.summary["r_hat"], "least ess": ess})
    by: Any = np.zeros(len(worst), int) if study.result.names is None else worst.index.get_level_values("dataset")
    return worst.groupby(by, sort=False).agg({"largest r_hat": "max", "least ess": "min"})


def lane_table(study: Study) -> pd.DataFrame:
    """A row a lane of one dataset: status, objective of those that optimise, statistics."""
    result = study.result
    status = study.by_lane(result.status)[0]
    columns: dict[str, Any] = {"status": [Status(code).name for code in status]}
    if not study.is_chains:
        objective = study.by_lane(result.objective)[0].astype(float)
        columns |= {"objective": objective, "below best": _best(study)[0] - objective}
    for name, (head, reduce) in _STATISTICS.items():
        if name in result.statistics:
            values = study.by_lane(result.statistics[name])[0]
            columns[head] = reduce(values.reshape(len(status), -1), -1)
    return pd.DataFrame(columns, pd.RangeIndex(len(status), name=study.lanes))


def dataset_table(study: Study) -> pd.DataFrame:
    """A row a dataset: status of its lanes, objective of the best and how many agreed, or mixing and divergences; findings."""
    result = study.result
    names = list(result.names or ())
    status = study.by_lane(result.status)
    columns: dict[str, Any] = {"status": [in_words(one) for one in status]}
    if study.is_chains:
        columns |= {name: column.to_numpy() for name, column in mixing(study).items()}
        if "diverging" in result.statistics:
            columns["divergences"] = study.by_lane(result.statistics["diverging"]).sum((1, 2))
    else:
        columns["objective"] = _best(study)
        if (agreed := agreeing(study)) is not None:
            columns["agreed"] = agreed
    if "khat" in result.statistics and study.best is not None:
        columns["k-hat"] = np.ravel(study.best.statistics["khat"])
    if isinstance(study.findings, Reports):
        columns["findings"] = [", ".join(dict.fromkeys(study.findings[name].illnesses)) for name in names]
    frame = pd.DataFrame(columns, pd.Index(names, name="dataset", tupleize_cols=False))
    return (
        frame if "findings" not in frame else frame.sort_values("findings", key=lambda said: said == "", kind="stable")
    )


def _best(study: Study) -> np.ndarray:
    """The objective of the best lane that did not fail, by dataset; NaN where all did."""
    objective, status = (study.by_lane(x) for x in (study.result.objective, study.result.status))
    valid = np.isfinite(objective) & ~has_failed(status)
    best = np.max(objective.astype(float), -1, initial=-np.inf, where=valid)
    return np.where(valid.any(-1), best, np.nan)


def _statuses(study: Study) -> Html:
    codes, counts = np.unique(study.result.status, return_counts=True)
    index = pd.Index([Status(code).name for code in codes], name="status")
    advice = [Status(code).advice for code in codes]
    frame = pd.DataFrame({study.lanes + "s": counts, "meaning": advice}, index)
    return table(frame, f"How the {study.lanes}s ended", f"{study.name}.status")


def _quarantined(study: Study) -> list[Html]:
    reasons = study.result.quarantined
    if not reasons:
        return []
    told = [join(element("h4", text(name)), preformatted(reason)) for name, reason in reasons.items()]
    return [element("h3", text("Datasets that were not fitted")), *told]


def _findings(study: Study) -> list[Html]:
    """The findings in words; of a batch each kind once, with the datasets that have it."""
    head = element("h3", text("Findings"))
    found = study.findings
    if found is None:
        return [head, paragraph("The checks need the model: open the store with it, jl.open(path, model).")]
    if not found:
        return [
            head,
            paragraph(
                "The checks found nothing. They are of what the fit shows; they cannot show that a model is right."
            ),
        ]
    if isinstance(found, Report):
        return [head, *(_told(finding) for finding in found.findings)]
    told = []
    for illness, names in found.illnesses.items():
        first = next(one for one in found[names[0]].findings if one.illness == illness)
        many = f"{len(names):,} of {len(found):,} datasets: {listed([str(name) for name in names])}. In {names[0]}: "
        told.append(_told(first, many))
    return [head, *told]


def _told(finding: Finding, where: str = "") -> Html:
    title = element("strong", text(finding.illness[:1].upper() + finding.illness[1:]))
    words = join(text(f". {where}{finding.what} "), prose(finding.remedy))
    return element("div", element("p", title, words), class_="finding fatal" if finding.fatal else "finding")


def _figures(study: Study) -> list[Html]:
    return _of_chains(study) if study.is_chains else _of_restarts(study)


def _of_chains(study: Study) -> list[Html]:
    result, where = study.result, ""
    if result.names is not None:
        r_hat = mixing(study)["largest r_hat"]
        if r_hat.isna().all():
            return []
        name = result.names[int(np.nanargmax(r_hat))]
        result, where = result[name], f" of {name}, the dataset with the largest R-hat"
    if np.isnan(result.positions).any((1, 2)).all():
        return []
    drawn = chains(result, figure=Figure(layout="constrained"))
    caption = f"Traces and ranks of the parameters with the largest R-hat{where}. Where chains agree, ranks are flat."
    return [image(drawn, f"Traces of draws by chain, and histograms of their ranks{where}.", caption)]


def _of_restarts(study: Study) -> list[Html]:
    result, parts = study.result, []
    if agreeing(study) is not None and not np.isnan(_best(study)).all():
        figure = Figure(figsize=(6.0, 3.0), layout="constrained")
        restarts(result, _NATS, figure.subplots())
        lines = "" if result.names is None else ", a line a dataset"
        caption = f"Objective of each restart below the best, sorted{lines}. In the band restarts agree with the best."
        parts.append(image(figure, f"Nats below the best objective against restarts, best first{lines}.", caption))
    if result.trace is not None and result.names is None and result.trace.ndim == 2:
        figure = Figure(figsize=(6.0, 3.0), layout="constrained")
        elbo(result, figure.subplots(), "objective (nats)")
        caption = "The objective as the fit went on."
        parts.append(image(figure, "Objective of each restart against the iteration.", caption))
    return parts
