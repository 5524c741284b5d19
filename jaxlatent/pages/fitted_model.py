"""What was fitted: the model, its parameters and priors, its graph; and the settings of the fit."""

from typing import Any

import numpy as np
import numpyro.distributions as dist
import pandas as pd

from jaxlatent.errors import InputError
from jaxlatent.graph import Graph
from jaxlatent.graph.naming import described
from jaxlatent.pages.html import Html, element, paragraph
from jaxlatent.pages.images import image
from jaxlatent.pages.origin import without_addresses
from jaxlatent.pages.study import Study
from jaxlatent.pages.tables import table
from jaxlatent.posterior.absent import Absent
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.results.result import Result


def model_parts(study: Study) -> list[Html]:
    """The model: parameters, observations, graph."""
    result = study.result
    density = result.posterior.density
    each = "" if result.names is None else " for each dataset"
    plural = "" if density.free_parameters == 1 else "s"
    parts = [paragraph(f"{density.label}: {density.free_parameters:,} free parameter{plural}{each}.")]
    graph, lacking = _graph(result)
    rows = []
    for name in density.names:
        own = np.shape(result.params[name])[len(result.leading) :]
        dims = density.dims.get(name, ())
        rows.append((str(own) if own else "scalar", ", ".join(dims), _prior(result, graph, name)))
    columns = ["shape", "dimensions", "prior"]
    frame = pd.DataFrame(rows, pd.Index(density.names, name="parameter"), columns)
    parts.append(table(frame.loc[:, (frame != "").any()], "Parameters of one dataset, in the order of the model"))
    if graph is None:
        return [*parts, paragraph(f"There is no graph of the model: {lacking}.")]
    observed = [node for node in graph.nodes if node.kind == "observed"]
    if observed:
        index = pd.Index([node.name for node in observed], name="observation")
        parts.append(
            table(pd.DataFrame({"distribution": [node.distribution for node in observed]}, index), "Likelihood")
        )
    return [*parts, _drawing(graph)]


def _graph(result: Result) -> tuple[Graph | None, str]:
    """The graph of a model; None for other log densities, and for models that cannot be drawn, with the reason."""
    density = result.posterior.density
    if isinstance(density, Absent):
        return None, "the store was opened without it"
    if not isinstance(density, ModelDensity):
        return None, "its log density is a function, which does not tell"
    data = result.posterior.data if result.names is None else result.posterior.one(0).data
    try:
        return density.model.graph(data), ""
    except InputError as problem:
        return None, f"{problem.what}, got {problem.got}"


def _prior(result: Result, graph: Graph | None, name: str) -> str:
    """The prior of a parameter in words; empty where it is not known."""
    density = result.posterior.density
    if not isinstance(density, ModelDensity):
        return ""
    prior = density.model.prior[name]
    if isinstance(prior, dist.Distribution):
        return described(prior)
    if graph is None:
        return "of earlier parameters or the data"
    short = next(node.distribution for node in graph.nodes if node.name == name)
    parents = [parent for parent, child in graph.edges if child == name]
    if parents:
        return f"{short}, given {', '.join(parents)}"
    if result.names is not None:
        return f"{short}, set for each dataset by its data"
    first = {key: value[(0,) * len(result.leading)] for key, value in result.params.items()}
    return described(density.model.prior_of(name, first, result.posterior.data))


def _drawing(graph: Graph) -> Html:
    from matplotlib.figure import Figure

    from jaxlatent.graph.drawing import draw

    drawn: Any = draw(graph, None, Figure).figure
    edges = "; ".join(f"{child} depends on {parent}" for parent, child in graph.edges)
    nodes = ", ".join(f"{node.name} ({node.kind})" for node in graph.nodes)
    caption = "The model as a graph: parameters, observations (grey), and what they are replicated over (boxes)."
    return image(drawn, f"Graph of the model. {nodes}. {edges}.", caption)


def settings_parts(study: Study) -> list[Html]:
    """The engine with its settings, and how the fit ran."""
    origin = study.result.provenance
    chosen = {f"{name}, as chosen": text for name, text in origin.choices.items()}
    rows = {"engine": origin.engine, **origin.settings, **chosen}
    frame = pd.DataFrame(
        {"value": [without_addresses(value) for value in rows.values()]}, pd.Index(list(rows), name="setting")
    )
    seconds = {f"seconds, {stage}": f"{taken:.2f}" for stage, taken in origin.timings.items()}
    ran = {
        "seed": without_addresses(origin.seed),
        "bits": "64" if origin.x64 else "32",
        "device": origin.device,
        **seconds,
    }
    run = pd.DataFrame({"value": list(ran.values())}, pd.Index(list(ran), name="run"))
    return [element("div", table(frame, "Engine and settings"), table(run, "Run"), class_="row")]
