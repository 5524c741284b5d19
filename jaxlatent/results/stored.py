"""Results on disk: which field is in which group of a store, and the description of a run that later processes read.

Draws are under ArviZ's names: ``posterior``, ``sample_stats``, ``unconstrained_posterior``, ``observed_data``, ``constant_data``; a batch
leads with ``dataset``. Point fits are in ``estimates`` and ``unconstrained``, the history of an optimisation in ``trace``, and what a lane
has one of (``status``, ``objective``) in the root.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxlatent.data.arrays import Masked, split
from jaxlatent.engines.base import Engine
from jaxlatent.errors import StoreError, require
from jaxlatent.model.recipes import recipe_of
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status
from jaxlatent.store.files import Files
from jaxlatent.store.groups import Labels, append, read, variable, write
from jaxlatent.store.lazy import Lazy
from jaxlatent.store.manifest import identity, label, names_of
from jaxlatent.store.records import Named
from jaxlatent.typing import Data, Key

_ROOT = ("status", "objective")


def about(
    posterior: Posterior, engine: Engine, key: Key | None, coords: Mapping[str, Any], problems: Mapping[Any, str]
) -> dict[str, Any]:
    """The description of a run, as values that JSON holds."""
    names, density = posterior.names, posterior.density
    same = {**identity(posterior, engine, key), "names of datasets": names_of(names)}
    _require_names([*density.names, *same["model"]["derived"]], engine)
    return {
        "identity": same,
        "recipe": recipe_of(density.model) if isinstance(density, ModelDensity) else None,
        "kind": engine.kind,
        "coords": {dim: [label(value) for value in values] for dim, values in coords.items()},
        "problems": [[0 if names is None else names.index(name), text] for name, text in problems.items()],
    }


def _require_names(names: Sequence[str], engine: Engine) -> None:
    """Raise `InputError` for two variables of one name in a store, or one with the name of an axis of all of them."""
    axes = ("dataset", "lane") if engine.kind == "point" else ("dataset", "chain", "draw")
    taken = {axis: f"the axis {axis!r} of all variables" for axis in axes}
    for name in names:
        require(
            variable(name) not in taken,
            f"{name!r}, a parameter or derived quantity",
            got=f"the name of {taken.get(variable(name))} in a store",
            expected="a name of its own (a slash is written as a point)",
            remedy="call it otherwise.",
        )
        taken[variable(name)] = repr(name)


def labels_of(run: Mapping[str, Any]) -> Labels:
    """The names of the axes of a described run."""
    names = run["identity"]["names of datasets"]
    dims = {name: tuple(dims) for name, dims in run["identity"]["model"]["dims"].items()}
    return Labels(dims, run["coords"] if names is None else {**run["coords"], "dataset": names})


def leading_of(run: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the axes that lead everything of a described run: ``(dataset?, chain or lane)``, without lanes of the best points."""
    lane = () if run.get("best") else ("lane",) if run["kind"] == "point" else ("chain",)
    return lane if run["identity"]["names of datasets"] is None else ("dataset", *lane)


def write_data(files: Files, run: dict[str, Any], data: Data) -> None:
    """Write the data exactly, so that the store can be opened without them, and note their names in the description."""
    run["entries"] = []
    for i, (name, value) in enumerate(data.items()):
        values, mask = split(value)
        run["entries"].append([name, mask is not None])
        for suffix, part in (("", values), ("-mask", mask)):
            if part is not None:
                part = np.asarray(part)
                files.add(f"data/{i}{suffix}", part.shape, part.dtype, None, part.shape)[...] = part


def data_of(files: Files) -> dict[str, Any]:
    """The data as `write_data` took them, a batch leading with ``dataset``."""
    array: Callable[[Any], np.ndarray] = lambda name: np.asarray(files[f"data/{name}"][...])
    return {
        name: Masked(array(i), array(f"{i}-mask")) if masked else array(i)
        for i, (name, masked) in enumerate(files.committed["entries"])
    }


def append_draws(files: Files, run: Mapping[str, Any], records: Named, at: int, room: int) -> None:
    """Write the records of a stage, from ``at`` on; ``room`` is the number of all records of the run."""
    labels, leading, single = labels_of(run), leading_of(run), run["identity"]["names of datasets"] is None
    if single:
        records = jax.tree.map(lambda x: x[0], records)
    if records.positions is None:
        append(files, labels, "trace", records.statistics, (*leading, "iteration"), at, room)
        return
    for group, values in (
        ("posterior", {**records.params, **records.derived}),
        ("sample_stats", records.statistics),
        ("unconstrained_posterior", {"position": records.positions}),
    ):
        append(files, labels, group, values, (*leading, "draw"), at, room)


def write_rest(files: Files, run: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Write what is not there yet of the fields of a `Result`."""
    labels, leading = labels_of(run), leading_of(run)
    draws = fields["unconstrained"]["position"].ndim == len(leading) + 2
    axes = (*leading, "draw") if draws else leading
    per_draw = fields["unconstrained"]["position"].shape[:-1] if draws else None
    statistics = fields["statistics"]
    groups: list[tuple[str, Mapping[str, np.ndarray], tuple[str, ...]]] = [
        ("posterior" if draws else "estimates", {**fields["params"], **fields["derived"]}, axes),
        ("unconstrained_posterior" if draws else "unconstrained", fields["unconstrained"], axes),
        ("sample_stats", {k: v for k, v in statistics.items() if v.shape[: len(axes)] == per_draw}, axes),
        ("", {k: v for k, v in statistics.items() if v.shape[: len(axes)] != per_draw}, leading),
        ("", {name: fields[name] for name in _ROOT}, leading),
        ("trace", {} if fields["trace"] is None else {"objective": fields["trace"]}, (*leading, "iteration")),
    ]
    for group, values, names in groups:
        # Records that were appended are there already.
        if not group or group not in files:
            write(files, labels, group, values, names)


def forget_end(files: Files) -> None:
    """Take what `write_rest` wrote off the list, since the run goes on."""
    last = ("", "estimates", "unconstrained", "observed_data", "constant_data")
    groups = (
        last if files.committed["kind"] != "draws" else (*last, "posterior", "unconstrained_posterior", "sample_stats")
    )
    for group in groups:
        files.forget(group)


def positions_of(files: Files, count: int) -> Iterator[np.ndarray]:
    """The draws so far, ``(dataset, chain, draw, dim)``, up to ``count`` at a time."""
    every, single = fields_of(files)["unconstrained"], files.committed["identity"]["names of datasets"] is None
    lead = (slice(None),) if single else (slice(None), slice(None))
    for start in range(0, every.shape("position")[len(lead)], count):
        part = every.at((*lead, slice(start, start + count)))["position"]
        yield part[None] if single else part


def fields_of(files: Files) -> dict[str, Any]:
    """The array fields of a `Result`, draws unread; of a run that has not ended with the status UNFINISHED.

    Raises:
        StoreError: if there are no draws or points yet.
    """
    run, groups = files.committed, read(files)
    root = groups.get("", {})
    point = run["kind"] == "point"
    values = groups.get("estimates" if point else "posterior")
    positions = groups.get("unconstrained" if point else "unconstrained_posterior")
    if values is None or positions is None:
        raise StoreError(
            f"store {files.path!r}",
            got=f"a run that has made {run['steps']} of {run['total']} steps, and no {'estimate' if point else 'draw'} yet",
            expected="draws or points",
            remedy="go on with jl.resume(path, model).",
        )
    lazy: Callable[[Mapping[str, Any]], Lazy] = lambda arrays: Lazy(files.path, arrays)
    parameters = {variable(name): name for name in run["identity"]["model"]["parameters"]}
    lanes = {name: array for name, array in root.items() if name not in _ROOT}
    unconstrained, statistics = lazy(positions), lazy({**groups.get("sample_stats", {}), **lanes})
    if run["state"] == "running":
        lead = unconstrained.shape("position")[: len(leading_of(run))]
        last: tuple[Any, ...] = (*(slice(None) for _ in lead), -1)
        objective = statistics.at(last)["lp"] if "lp" in statistics else np.full(lead, np.nan)
        status = np.full(lead, Status.UNFINISHED)
        for i, _ in run["problems"]:
            status[i] = run["status of problems"][i]
    else:
        status, objective = (lazy(root)[name] for name in _ROOT)
    return {
        "params": lazy({name: values[key] for key, name in parameters.items()}),
        "derived": lazy({key: array for key, array in values.items() if key not in parameters}),
        "unconstrained": unconstrained,
        "statistics": statistics,
        "objective": objective,
        "status": status,
        "trace": lazy(groups["trace"])["objective"] if "trace" in groups else None,
    }
