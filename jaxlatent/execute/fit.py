"""`fit`: the host's side. It checks, compiles, looks once a segment, and hands out a `Result`."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.data.arrays import Batch, as_data, labelled
from jaxlatent.diagnostics.psis import khat_threshold
from jaxlatent.engines.base import Engine, Stage, settings
from jaxlatent.errors import InputError, require
from jaxlatent.execute import programs
from jaxlatent.execute.explaining import explain_start, explain_support
from jaxlatent.execute.grid import Grid, lay_out
from jaxlatent.execute.mixing import judged
from jaxlatent.execute.padding import reads_rows, with_ample_rows
from jaxlatent.execute.progress import Line
from jaxlatent.execute.quarantine import Quarantine
from jaxlatent.execute.stopping import Watch
from jaxlatent.execute.stopping import until as Until
from jaxlatent.execute.stragglers import advance
from jaxlatent.keys import as_key
from jaxlatent.model.checks import check_fit
from jaxlatent.model.dims import check_dims
from jaxlatent.model.model import Model
from jaxlatent.posterior.condition import unguided
from jaxlatent.posterior.guides import find_guides
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.posterior.shapes import shapes_of
from jaxlatent.results.provenance import provenance
from jaxlatent.results.result import Result
from jaxlatent.status import Status
from jaxlatent.typing import Array, Data, Key, PyTree


def fit(
    model: Model | Posterior,
    data: Data | Batch | None,
    engine: Engine,
    seed: int | Key,
    *,
    coords: Mapping[str, Sequence[Any]] | None = None,
    devices: Sequence[Any] | None = None,
    init: Mapping[str, Any] | Result | None = None,
    progress: bool | None = None,
    segment: int = 250,
    until: Until | None = None,
    on_bad_data: Literal["raise", "quarantine"] = "raise",
) -> Result:
    """Fit a model to one dataset, or to a batch of them, as one compiled program.

    Threads may fit at the same time. Processes are to be spawned (``multiprocessing.get_context("spawn")``, joblib's loky): one that is
    forked after JAX has started inherits locks of threads that it does not have, and hangs.

    Args:
        model: a `Model`, or a `Posterior` (then ``data`` is None).
        data: a dict, or `jaxlatent.batch` of dicts: then every array of the result leads with ``dataset``.
        engine: ``NUTS(...)``, ``EM(...)``, ``ADVI(...)``, ``Optimize(...)``, ``Laplace(...)``, ``Pathfinder(...)``.
        seed: an int or a typed JAX key. Equal seeds, versions, shapes and devices give bitwise equal results, whatever the segment.
        coords: labels of named dimensions, for ArviZ.
        devices: JAX devices; all of them by default. See `jaxlatent.use_cpu_cores`.
        init: where lanes start: named values, shared by all lanes or leading with ``lane`` or ``(dataset, lane)``; or a
            `Result`: its best point, or the last draw of each chain. Uniform(-2, 2) in unconstrained space by default.
        progress: None shows a live line on a terminal and is silent elsewhere; True prints plain lines there; False never.
        segment: records between two looks of the host.
        until: a rule to stop sampling early, see `jaxlatent.until`.
        on_bad_data: what becomes of a dataset of a batch that fails the checks (NaN, shapes, supports): "raise" an error before any work,
            or "quarantine" it: its lanes have that status and NaN, ``result.problems`` says why, and the others are fitted as they would
            be without it. A dataset that passes them and still has no finite log density never ends the call of a batch.

    Raises:
        InputError: before anything is compiled for the engine, naming what is wrong with model, data or settings.
    """
    clock = time.perf_counter()
    require(segment >= 1, "fit(segment=...)", got=segment, expected="at least 1 record")
    require(
        devices is None or len(devices) > 0,
        "fit(devices=...)",
        got=devices,
        expected="at least one JAX device, or None",
    )
    _check_engine(engine)
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
        expected="an engine whose draws come one after the other, such as NUTS; this one ends by a rule of its own",
        remedy="leave it out.",
    )
    key = as_key(seed)
    labels = {name: list(values) for name, values in (coords or {}).items()}
    given, quarantine = _condition(model, data, labels, on_bad_data == "quarantine")
    names = quarantine.names
    datasets = 1 if names is None else len(names)
    grid = lay_out(datasets, engine.lanes, jax.devices() if devices is None else devices)
    stages, kernel = engine.schedule(segment), engine.kernel()
    capacity = max(stage.steps for stage in stages)
    label = f"{given.density.label} · {type(engine).__name__}"
    line = Line(label, sum(stage.steps for stage in stages), progress)
    with line:
        led = _lead(given.nameless) if names is None else given.nameless
        padded = led if engine.by_rows else with_ample_rows(led)
        if isinstance(model, Model):
            guides = find_guides(padded, batched=True)
            padded, led = replace(padded, guides=guides), replace(led, guides=guides)
            given = replace(given, guides=guides if names else jax.tree.map(lambda x: x[0], guides))
        posterior = grid.put(grid.fill(padded), 1)
        naming = grid.put(grid.fill(led), 1) if reads_rows(led, padded) else posterior
        keys = programs.keys_of(grid, key)
        positions = _starts(grid, posterior, keys.start, init, quarantine)
        if quarantine.bad.any():
            warnings.warn(str(quarantine), stacklevel=2)
            posterior = grid.put(quarantine.stand_in(posterior), 1)
            positions = grid.put(quarantine.stand_in(positions), 2)
        states, shared = programs.begin(grid, kernel, posterior, keys, positions)
        nothing = _traced(stages[0]._replace(steps=0))
        # Stages of no steps: everything is compiled before the clock of the warm-up starts.
        states, records, counts = advance(
            grid, kernel, capacity, posterior, keys.step, states, shared, nothing, _wanted(grid, nothing)
        )
        longest = max((stage.steps for stage in stages if not stage.keep), default=0)
        if longest:
            jax.block_until_ready(programs.adapt(grid, kernel, longest, states, shared, records, counts, nothing))
        jax.block_until_ready(counts)
        started = time.perf_counter()
        collected = _loop(
            grid, kernel, stages, capacity, posterior, keys.step, states, shared, line, until, ~quarantine.bad
        )
        result = quarantine.blank(_collect(grid, kernel, posterior, naming, keys.finish, collected))
    warm, sampled = collected["warmup_seconds"], collected["sampling_seconds"]
    timings = {"compile": started - clock, "warmup": warm, "sampling": sampled, "total": time.perf_counter() - clock}
    _warn_of_misfits(engine, result["statistics"])
    single = names is None
    strip = (lambda x: x[0]) if single else (lambda x: x)
    return Result(
        posterior=given,
        engine=engine,
        names=names,
        coords=labels,
        problems=quarantine.problems,
        provenance=provenance(settings(engine), type(engine).__name__, seed, grid.mesh.devices.flat, timings),
        **{name: jax.tree.map(strip, value) for name, value in result.items()},
    )


def _loop(
    grid: Grid,
    engine: Engine,
    stages: Sequence[Stage],
    capacity: int,
    posterior: Posterior,
    keys: Array,
    states: PyTree,
    shared: PyTree,
    line: Line,
    until: Until | None,
    sound: np.ndarray,
) -> dict[str, Any]:
    """Run the stages of the datasets that are ``sound``; what is kept leaves the device after each."""
    kept: list[dict[str, np.ndarray]] = []
    lengths: list[int] = []
    passed, seconds = 0, {True: 0.0, False: 0.0}
    watch = Watch(until, grid.datasets, sum(stage.steps for stage in stages if stage.keep))
    watch.running &= sound
    longest = max((stage.steps for stage in stages if not stage.keep), default=0)
    try:
        for stage in stages:
            clock = time.perf_counter()
            now = _traced(stage)
            wanted = _wanted(grid, now, watch.running)
            states, records, counts = advance(grid, engine, capacity, posterior, keys, states, shared, now, wanted)
            if stage.keep:
                kept.append(_to_host(grid, engine, records, counts, stage.steps))
                lengths.append(stage.steps)
            else:
                states, shared = programs.adapt(grid, engine, longest, states, shared, records, counts, now)
                jax.block_until_ready(shared)
            seconds[stage.keep] += time.perf_counter() - clock
            passed += stage.steps
            line.update(passed, "" if stage.keep else "warm-up")
            if stage.keep and bool(np.all(kept[-1]["count"] < stage.steps)):
                break
            if until is not None and stage.keep:
                watch.look([part["position"] for part in kept])
                if not watch.running.any():
                    break
    except KeyboardInterrupt:
        if not kept:
            raise
        warnings.warn(
            f"interrupted: the result holds the {sum(lengths[: len(kept)])} draws a lane made until then.", stacklevel=3
        )
    return {"states": states, "kept": kept, "warmup_seconds": seconds[False], "sampling_seconds": seconds[True]}


def _to_host(grid: Grid, engine: Engine, records: PyTree, counts: Array, steps: int) -> dict[str, np.ndarray]:
    """The kept records of a stage on the host, NaN (counts: 0) where a lane ended before, fillers dropped."""
    values = dict(engine.statistics(records))
    if hasattr(records, "position"):
        values["position"] = records.position
    done = np.asarray(counts)[: grid.datasets, : grid.lanes]
    valid = np.arange(steps) < done[..., None]
    host = {name: np.asarray(value)[: grid.datasets, : grid.lanes, :steps] for name, value in values.items()}
    for name, value in host.items():
        if not valid.all():
            nothing = np.asarray(np.nan if value.dtype.kind == "f" else 0, value.dtype)
            host[name] = np.where(valid.reshape(valid.shape + (1,) * (value.ndim - 3)), value, nothing)
    return {**host, "count": done}


def _collect(
    grid: Grid, engine: Engine, posterior: Posterior, naming: Posterior, keys: Array, collected: dict[str, Any]
) -> dict[str, Any]:
    """Everything a `Result` holds, leading with ``(dataset, lane)``; values are named, and others derived, by ``naming``."""
    final = programs.finish(grid, engine, posterior, keys, collected["states"])
    own = lambda x: np.asarray(x)[: grid.datasets, : grid.lanes]
    kept = collected["kept"]
    joined = {name: np.concatenate([part[name] for part in kept], axis=2) for name in kept[0] if name != "count"}
    statistics, status = {name: own(value) for name, value in final.statistics.items()}, own(final.status)
    trace = None
    if final.positions is None:
        positions = joined.pop("position")
        status = judged(status, positions)
        statistics = {**joined, **statistics}
        params, derived = _name_in_legs(grid, naming, positions)
    else:
        trace = joined.pop("objective")
        statistics = {**joined, **statistics}
        positions = own(final.positions)
        if final.params is not None:
            params, derived = final.params, programs.derive(grid, naming, final.params)
        elif engine.kind == "draws":
            params, derived = _name_in_legs(grid, naming, positions)
        else:
            params, derived = programs.name_values(grid, 0, naming, final.positions)
    return {
        "positions": positions,
        "params": jax.tree.map(own, params),
        "derived": jax.tree.map(own, derived),
        "statistics": statistics,
        "objective": own(final.objective),
        "status": status,
        "trace": trace,
    }


def _name_in_legs(grid: Grid, posterior: Posterior, positions: np.ndarray, leg: int = 250) -> tuple[PyTree, PyTree]:
    """Named values of many draws, a leg at a time: device memory does not grow with their number, and engines share the program."""
    datasets, lanes = grid.filled
    fill = ((0, datasets - positions.shape[0]), (0, lanes - positions.shape[1]))
    parts = []
    for start in range(0, positions.shape[2], leg):
        part = positions[:, :, start : start + leg]
        rows = part.shape[2]
        padded = np.pad(part, (*fill, (0, leg - rows), (0, 0)), mode="edge")
        named = programs.name_values(grid, 1, posterior, grid.put(padded, 2))
        parts.append(jax.tree.map(lambda x, rows=rows: np.asarray(x)[: grid.datasets, : grid.lanes, :rows], named))
    return jax.tree.map(lambda *x: np.concatenate(x, axis=2), *parts)


def _starts(
    grid: Grid,
    posterior: Posterior,
    keys: Array,
    init: Mapping[str, Any] | Result | None,
    quarantine: Quarantine,
) -> Array:
    """Starting positions ``(dataset, lane, dim)`` of finite density; datasets without them are set aside, with the reason."""
    if init is None:
        positions, found, inside = programs.find_starts(grid, posterior, keys)
    else:
        positions, found, inside = programs.place_starts(grid, posterior, grid.put(_spread(grid, posterior, init), 2))
    # Supports may depend on parameters: only values that no start can hold are an error.
    outside = {name: np.asarray(~np.any(fits, axis=1)) for name, fits in inside.items()}
    lost = np.asarray(~np.any(found, axis=1))
    for dataset in np.flatnonzero(~quarantine.bad).tolist():
        label = "" if quarantine.names is None else f"dataset {quarantine.names[dataset]!r}, "
        one = lambda dataset=dataset: _one(posterior, dataset)
        name = next((name for name in outside if outside[name][dataset]), None)
        if name is not None:
            quarantine.add(dataset, explain_support(one(), positions[dataset, 0], name, label))
        elif lost[dataset] and init is None:
            problem = explain_start(one(), jax.random.fold_in(keys[dataset, 0], 0), label)
            quarantine.add(dataset, problem, Status.NON_FINITE)
        elif lost[dataset]:
            problem = InputError(
                f"{label}fit(init=...)",
                got="values whose log density is not finite",
                expected="named, constrained values inside every support",
                remedy="check them with `jl.condition(model, data).log_density(...)`.",
            )
            quarantine.add(dataset, problem, Status.NON_FINITE)
    return positions


def _spread(grid: Grid, posterior: Posterior, init: Mapping[str, Any] | Result) -> dict[str, np.ndarray]:
    """Starting values by name, leading with ``(dataset, lane)`` of the filled grid."""
    if isinstance(init, Result):
        init = _last(init, grid.lanes)
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), posterior.nameless)
    shapes = shapes_of(one)[0]
    if init.keys() != shapes.keys():
        missing, unknown = sorted(shapes.keys() - init.keys()), sorted(init.keys() - shapes.keys())
        raise InputError(
            "fit(init=...)",
            got=f"values for {sorted(init)}",
            expected=f"a value for every parameter and nothing else: {sorted(shapes)}",
            remedy=f"add {', '.join(missing) or 'nothing'}; remove {', '.join(unknown) or 'nothing'}.",
        )
    own = (grid.datasets, grid.lanes)
    spread = {}
    for name, shape in shapes.items():
        value = np.asarray(init[name])
        try:
            value = np.broadcast_to(value, (*own, *shape.shape))
        except ValueError:
            raise InputError(
                f"fit(init=...) for {name!r}",
                got=f"shape {value.shape}",
                expected=f"shape {shape.shape}, alone or after (lane,) or (dataset, lane) = {own}",
                remedy="give one value for all lanes, or one for each.",
            ) from None
        fill = [(0, filled - had) for filled, had in zip(grid.filled, own, strict=True)]
        spread[name] = np.pad(value, fill + [(0, 0)] * len(shape.shape), mode="edge")
    return spread


def _last(result: Result, lanes: int) -> dict[str, np.ndarray]:
    """Where an earlier fit ended: the best point, or the last draw of each chain, in turn if there are fewer."""
    if not result.has_draws:
        # From positions: parameters of EM may lie on the border, where no other engine can start.
        best = result.best()
        constrain = (lambda p, x: p.constrain(x)) if result.names is None else jax.vmap(lambda p, x: p.constrain(x))
        points = jax.tree.map(np.asarray, constrain(best.posterior, jnp.asarray(best.positions)))
        return points if result.names is None else {name: value[:, None] for name, value in points.items()}
    chain = result.leading.index("chain")
    last = {name: np.take(value, -1, axis=chain + 1) for name, value in result.params.items()}
    return {name: np.take(value, np.arange(lanes) % value.shape[chain], axis=chain) for name, value in last.items()}


@jax.jit
def _lead(posterior: Posterior) -> Posterior:
    """Of one dataset, as of a batch of one."""
    return jax.tree.map(lambda x: x[None], posterior)


def _one(posterior: Posterior, dataset: int) -> Posterior:
    return jax.tree.map(lambda x: x[dataset], posterior)


def _condition(
    model: Model | Posterior, data: Data | Batch | None, coords: dict[str, list[Any]], wanted: bool
) -> tuple[Posterior, Quarantine]:
    """The posterior, and which of its datasets are set aside, if that is ``wanted``."""
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


def _warn_of_misfits(engine: Any, statistics: dict[str, np.ndarray]) -> None:
    """An approximation that misses the posterior says so, once for all lanes."""
    overfit, khat = (statistics.get(name) for name in ("overfit", "khat"))
    name = type(engine).__name__
    if overfit is not None and np.any(overfit):
        warnings.warn(
            f"{name}: {np.sum(overfit)} of {overfit.size} lanes fit their {engine.num_samples} fixed draws rather than the posterior. "
            "Raise num_samples, to half the number of unknowns or more.",
            stacklevel=3,
        )
    elif khat is not None and np.any(khat > (limit := khat_threshold(engine.draws))):
        warnings.warn(
            f"{name}: Pareto k-hat above {limit:.2f} in {np.sum(khat > limit)} of {khat.size} lanes, up to {np.nanmax(khat):.2f}: "
            "these draws do not follow the posterior, and may be far too narrow. Check them against NUTS; DADVI() or "
            "ADVI(family='full_rank') know correlations.",
            stacklevel=3,
        )


def _check_engine(engine: Any) -> None:
    missing = [name for name in ("kernel", "schedule", "init", "step", "finish") if not hasattr(engine, name)]
    if missing or isinstance(engine, type):
        got = f"the class {engine.__name__}" if isinstance(engine, type) else type(engine).__name__
        raise InputError(
            "fit(engine)",
            got=got,
            expected="an engine with its settings",
            remedy="pass jl.NUTS(), jl.ADVI(), ...; mind the ().",
        )


def _traced(stage: Stage) -> Stage:
    return Stage(*cast(Any, [np.asarray(value, np.int32) for value in stage]))


def _wanted(grid: Grid, stage: Stage, running: np.ndarray | bool = True) -> Array:
    """Records that each lane of the filled grid is to emit: none where its dataset has stopped or only fills."""
    steps = np.zeros(grid.filled, np.int32)
    steps[: grid.datasets] = stage.steps * np.reshape(running, (-1, 1))
    return grid.put(steps, 2)
