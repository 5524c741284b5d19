"""`save`: write a result that was fitted in memory to a store."""

import os
from dataclasses import asdict

from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.results import stored
from jaxlatent.results.arviz import data_groups
from jaxlatent.results.fitted import Fitted
from jaxlatent.store.files import Files, create
from jaxlatent.store.groups import write


def save(result: Fitted, path: str | os.PathLike[str]) -> None:
    """See `jaxlatent.Result.save`."""
    run = stored.about(result.posterior, result.engine, None, result.coords, result.quarantined)
    files = create(path)
    run |= {"state": "finished", "best": result._is_best, "provenance": asdict(result.provenance)}
    if isinstance(result.posterior.density, ModelDensity):
        stored.write_data(files, run, result.posterior.data)
    fields = ("params", "derived", "unconstrained", "statistics", "objective", "status", "trace")
    stored.write_rest(files, run, {name: getattr(result, name) for name in fields})
    files.commit(run, {})
    write_data_groups(files, result)
    files.commit(run, {})


def write_data_groups(files: Files, result: Fitted) -> None:
    """Write ArviZ's groups of data."""
    labels = stored.labels_of(files.committed)
    leading = ("dataset",) if result.names is not None else ()
    for group, values in data_groups(result).items():
        # A covariate may have the name of a parameter, but not its dimensions.
        write(files, labels if group == "observed_data" else labels._replace(dims={}), group, values, leading)
