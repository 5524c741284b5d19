"""Stored runs from the command line: fit what a file describes, or go on with it, and show what a store holds."""

import runpy
from inspect import signature
from pathlib import Path
from typing import Any

import jaxlatent as jl
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.store.files import open_files
from jaxlatent.store.shards import part_path


def fit_study(study: str, store: str, shard: str | None, seed: int | None) -> jl.Result:
    """Fit what a function returns, into a store, or go on where the store has begun.

    Args:
        study: ``FILE.py:NAME``: a function without arguments that returns those of `jaxlatent.fit` as a dict.
        store: see `jaxlatent.fit`.
        shard: ``I/N``.
        seed: in place of that of the study.
    """
    arguments = _arguments(study)
    known = signature(jl.fit).parameters.keys() - {"store", "shard", "resume"}
    for name in arguments.keys() - known:
        raise InputError(
            study,
            got=f"{name!r} among the arguments",
            expected="arguments of jl.fit without store, shard and resume, which the command gives",
            remedy=did_you_mean(name, sorted(known)),
        )
    if seed is not None:
        arguments["seed"] = seed
    if "seed" not in arguments:
        raise InputError(study, got="no seed", expected="a seed", remedy="return one, or give --seed.")
    return jl.fit(**arguments, store=store, shard=None if shard is None else shard_of(shard), resume=True)


def _arguments(study: str) -> dict[str, Any]:
    file, _, name = study.rpartition(":")
    expected = "FILE.py:NAME, a function that returns the arguments of jl.fit as a dict"
    if not file or not Path(file).is_file():
        raise InputError("jaxlatent fit", got=study, expected=expected, remedy="check the path.")
    function = runpy.run_path(file).get(name)
    if not callable(function):
        raise InputError(
            "jaxlatent fit", got=f"no function {name!r} in {file}", expected=expected, remedy="check the name."
        )
    arguments = function()
    if not isinstance(arguments, dict) or not {"model", "data", "engine"} <= arguments.keys():
        got = sorted(arguments) if isinstance(arguments, dict) else type(arguments).__name__
        raise InputError(
            study, got=str(got), expected="a dict with model, data, engine and seed", remedy="return all of them."
        )
    return dict(arguments)


def shard_of(text: str) -> tuple[int, int]:
    """The shard that ``I/N`` says."""
    try:
        index, count = map(int, text.split("/"))
    except ValueError:
        raise InputError(
            "--shard",
            got=text,
            expected="I/N, as in 0/10",
            remedy='with SLURM: --shard "$SLURM_ARRAY_TASK_ID/10", --array=0-9.',
        ) from None
    return index, count


def lines_of(store: str) -> list[tuple[str, str]]:
    """What a store holds, in words, without its model."""
    run = open_files(store).committed
    if "shards" not in run:
        return _lines(run)
    return [("shards", str(run["shards"])), *((f"shard {i}", state) for i, state in enumerate(_states(store, run)))]


def _states(store: str, run: dict[str, Any]) -> list[str]:
    """How far each shard of a store is."""
    return [_state(part_path(store, i, run["shards"])) for i in range(run["shards"])]


def _state(store: str) -> str:
    try:
        run = open_files(store).committed
    except jl.StoreError as problem:
        return problem.got
    if "shards" not in run:
        return _progress(run)
    # A shard that was fitted in groups is a store of shards too.
    states = _states(store, run)
    ended = states.count("finished")
    return "finished" if ended == len(states) else f"{ended} of {len(states)} groups finished"


def _lines(run: dict[str, Any]) -> list[tuple[str, str]]:
    same, origin = run["identity"], run["provenance"]
    names = same["names of datasets"]
    return [
        (
            "model",
            f"{same['model']['label']}: {', '.join(same['model']['parameters'])} ({same['model']['dim']} unknowns)",
        ),
        ("datasets", "one" if names is None else str(len(names))),
        (
            "engine",
            f"{origin['engine']}({', '.join(f'{name}={value!r}' for name, value in origin['settings'].items())})",
        ),
        ("seed", str(origin["seed"]) if isinstance(origin["seed"], int) else f"key {same['seed']['key']}"),
        ("state", _progress(run)),
        ("quarantined", ", ".join(str(names[i]) for i, _ in run["problems"]) or "none"),
        ("versions", ", ".join(f"{name} {version}" for name, version in origin["versions"].items())),
        ("device", origin["device"]),
    ]


def _progress(run: dict[str, Any]) -> str:
    if run["state"] == "finished":
        return "finished"
    return f"{run['steps']} of {run['total']} steps"
