"""The page of a result."""

import os
from typing import Any

from jaxlatent.pages.convergence import convergence_parts, facts
from jaxlatent.pages.data import data_parts, total_observed
from jaxlatent.pages.document import Section, document
from jaxlatent.pages.estimates import estimate_parts
from jaxlatent.pages.fitted_model import model_parts, settings_parts
from jaxlatent.pages.origin import engine_call, origin_parts, without_addresses
from jaxlatent.pages.study import Study
from jaxlatent.pages.writing import prepare, write
from jaxlatent.results.result import Result


def report(result: Result, path: str | os.PathLike[str], title: str | None) -> None:
    """See `jaxlatent.Result.report`."""
    file = prepare(path)
    study = Study(result, "result")
    lines = [
        "import jaxlatent as jl",
        "",
        f"model = ...  # {result.posterior.density.label}",
        f"data = ...  # {size(study)}",
        f"result = jl.fit(model, data, {engine_call(result.engine)}, seed={seed(result.provenance.seed)}",
        f"result.report({os.fspath(path)!r})",
    ]
    sections = (
        Section("convergence", "Convergence", convergence_parts(study)),
        Section("estimates", "Estimates", estimate_parts(study)),
        *background(study),
        Section("origin", "Provenance", origin_parts(study, "\n".join(lines))),
    )
    write(file, document(title or result.posterior.density.label, lead(study), facts(study), sections))


def background(study: Study) -> tuple[Section, ...]:
    """The sections on what was fitted to what, and how."""
    return (
        Section("model", "Model", model_parts(study)),
        Section("data", "Data", data_parts(study)),
        Section("settings", "Settings", settings_parts(study)),
    )


def lead(study: Study) -> str:
    """The line below the title."""
    origin = study.result.provenance
    return f"Fitted by {origin.engine} to {size(study)} on {origin.created[:10]} with jaxlatent {origin.versions['jaxlatent']}"


def size(study: Study) -> str:
    """The size of the data in words."""
    result = study.result
    datasets = "one dataset" if result.names is None else f"{len(result.names):,} datasets"
    observed = total_observed(result)
    return f"{datasets} of {observed:,} observed values" if observed else datasets


def seed(given: Any) -> str:
    """A seed as the end of a call; a key, whose text is no code, as a comment."""
    return f"{given})" if isinstance(given, int) else f"...)  # the key {without_addresses(given)}"
