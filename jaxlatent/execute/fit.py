"""`fit`: check, compile, run the stages with one host synchronisation per segment, and return a `Result`."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax

from jaxlatent.data.arrays import Batch, as_data, labelled
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, require
from jaxlatent.execute.job import Job, run_job
from jaxlatent.execute.quarantine import Quarantine
from jaxlatent.execute.stopping import until as Until
from jaxlatent.keys import as_key
from jaxlatent.model.checks import check_fit
from jaxlatent.model.dims import check_dims
from jaxlatent.model.model import Model
from jaxlatent.posterior.condition import unguided
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior, batched
from jaxlatent.posterior.shapes import shapes_of
from jaxlatent.results.result import Result
from jaxlatent.store.files import create
from jaxlatent.store.shards import checked
from jaxlatent.typing import Data, Key


def fit(
    model: Model | Posterior,
    data: Data | Batch | None,
    engine: Engine,
    seed: int | Key,
    *,
    coords: Mapping[str, Sequence[Any]] | None = None,
    devices: Sequence[jax.Device] | None = None,
    init: Mapping[str, Any] | Result | None = None,
    progress: bool | None = None,
    segment: int = 250,
    until: Until | None = None,
    on_bad_data: Literal["raise", "quarantine"] = "raise",
    store: str | os.PathLike[str] | None = None,
    shard: tuple[int, int] | None = None,
) -> Result:
    """Fit a model to one dataset, or to a batch of datasets, as one compiled program.

    Threads may call it concurrently. Spawn worker processes (``multiprocessing.get_context("spawn")``, joblib's loky): a process forked
    after JAX has started inherits locked locks, and hangs.

    Args:
        model: a `Model`, or a `Posterior` (then ``data`` is None).
        data: a dict, or a `jaxlatent.batch` of dicts, which makes every array of the result lead with ``dataset``.
        engine: ``NUTS(...)``, ``EM(...)``, ``ADVI(...)``, ``Optimize(...)``, ``Laplace(...)``, ``Pathfinder(...)``.
        seed: an int or a typed JAX key. Equal seeds, versions, shapes and devices give bitwise equal results, whatever the segment.
        coords: coordinate labels of named dimensions, for ArviZ.
        devices: JAX devices; by default all of this process. See `jaxlatent.use_cpu_cores`. With the devices of several processes
            (``jax.devices()`` after ``jax.distributed.initialize()``) all of them make the same call, and each gets the whole result.
        init: where lanes start: named values, shared by all lanes or leading with ``lane`` or ``(dataset, lane)``; or a
            `Result`: its best point, or the last draw of each chain. Uniform(-2, 2) in unconstrained space by default.
        progress: None shows a live line on a terminal and nothing elsewhere; True prints plain lines elsewhere; False shows nothing.
        segment: records between two synchronisations with the host.
        until: a rule to stop sampling early, see `jaxlatent.until`.
        on_bad_data: for a dataset of a batch that fails the checks (NaN, shapes, supports): "raise" an error before any work, or
            "quarantine" it: its lanes have that status and NaN, ``result.problems`` says why, and the others are fitted as without it.
            A dataset of a batch that passes the checks but has no finite log density is always quarantined.
        store: where to keep the run: a path or an address that fsspec knows, where nothing is yet. Draws and the state of the run are
            written there as it goes, and not kept in memory: the result reads them when asked. After a crash `jaxlatent.resume` goes
            on from the last commit, and `jaxlatent.open` reads what there is. Zarr; ``xarray.open_datatree(store, engine="zarr")``
            reads it too.
        shard: ``(i, n)`` fits the ``i``-th of ``n`` parts of the datasets of a batch, counted from 0, as one process or job of several that
            make the same call otherwise: ``(jax.process_index(), jax.process_count())``, or from the index of a SLURM array task. Each
            writes its part of the store, and `jaxlatent.open` joins them. Random streams are those of the whole batch.

    Raises:
        InputError: before the engine is compiled, naming what is wrong with model, data or settings.
        StoreError: if the store cannot be written; before the engine is compiled where something is already there.
    """
    _check_engine(engine)
    require(segment >= 1, "fit(segment=...)", got=segment, expected="at least 1 record")
    require(
        on_bad_data in ("raise", "quarantine"),
        "fit(on_bad_data=...)",
        got=on_bad_data,
        expected="'raise' or 'quarantine'",
    )
    require(
        until is None or engine.kind == "chains",
        "fit(until=...)",
        got=engine,
        expected="an MCMC engine, such as NUTS; other engines have their own convergence checks",
        remedy="leave it out.",
    )
    labels = {name: list(values) for name, values in (coords or {}).items()}
    first, part = 0, None
    if shard is not None:
        whole = data.names if isinstance(data, Batch) else model.names if isinstance(model, Posterior) else None
        part = checked(shard, whole)
        first, names = part.of(whole or ())
        model, data = part_of(model, data, first, names)
    given, quarantine = conditioned_for(model, data, labels, on_bad_data == "quarantine")
    files = None if store is None else create(store, part)
    key = as_key(seed)
    job = Job(given, quarantine, engine, key, seed, labels, devices, segment, until, progress, files, first)
    return run_job(job, init)


def part_of(
    model: Model | Posterior, data: Data | Batch | None, first: int, names: Sequence[Any]
) -> tuple[Model | Posterior, Data | Batch | None]:
    """A model and some datasets of its batch, or some of a batched posterior."""
    if isinstance(data, Batch):
        return model, data.select(names)
    assert isinstance(model, Posterior)
    rows: Posterior = jax.tree.map(lambda x: x[first : first + len(names)], model.nameless)
    return batched(rows.density, rows.data, tuple(names), rows.guides), data


def _one(posterior: Posterior, dataset: int) -> Posterior:
    one: Posterior = jax.tree.map(lambda x: x[dataset], posterior)
    return one


def conditioned_for(
    model: Model | Posterior, data: Data | Batch | None, coords: dict[str, list[Any]], wanted: bool
) -> tuple[Posterior, Quarantine]:
    """The posterior, and the quarantine of its datasets that fail the checks; without ``wanted`` these raise."""
    if isinstance(model, Posterior):
        require(
            data is None,
            "fit(posterior, data, ...)",
            got=type(data).__name__,
            expected="None: a posterior holds its data",
        )
        first = model if model.names is None else _one(model, 0)
        density = model.density
        if isinstance(density, ModelDensity):
            check_dims(density.dims, density.model.shapes(first.data).named, coords)
        elif coords:
            params, others = shapes_of(first)
            check_dims(density.dims, {name: x.shape for name, x in {**params, **others}.items()}, coords)
        return model, Quarantine(model.names, wanted, {})
    if not isinstance(model, Model):
        raise InputError(
            "fit(model, ...)",
            got=type(model).__name__,
            expected="a jaxlatent.Model or a jaxlatent.Posterior",
            remedy="wrap NumPyro models with jl.from_numpyro, bare functions with jl.from_log_density.",
        )
    batch = data if isinstance(data, Batch) else None
    quarantine = Quarantine(batch.names if batch else None, wanted, batch.problems if batch else {})
    arrays = as_data({} if data is None else data) if not isinstance(data, Batch) else data[0]
    check_dims(model.dims, model.shapes(arrays).named, coords)
    for dataset, (label, one) in enumerate(labelled(batch or arrays)):
        if not quarantine.bad[dataset]:
            try:
                check_fit(model, one, label)
            except InputError as problem:
                quarantine.add(dataset, problem)
    return unguided(model, batch or arrays), quarantine


def _check_engine(engine: Any) -> None:
    missing = [name for name in ("compile_key", "schedule", "init", "step", "finish") if not hasattr(engine, name)]
    if missing or isinstance(engine, type):
        got = f"the class {engine.__name__}" if isinstance(engine, type) else type(engine).__name__
        raise InputError(
            "fit(engine)",
            got=got,
            expected="an engine with its settings",
            remedy="pass jl.NUTS(), jl.ADVI(), ..., with parentheses.",
        )
