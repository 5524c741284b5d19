"""The identity of a run: model, data, engine and seed, as plain values that a later process can compare with its own."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent import engines
from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine, settings
from jaxlatent.errors import InputError, StoreError
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.store.checksums import TRACED_BY, array_checksum, function_checksum
from jaxlatent.typing import Key, PyTree

#: Types of settings that are stored as such; others, such as optimisers, are stored as text.
PLAIN = (bool, int, float, str, tuple, type(None))


def identity(posterior: Posterior, engine: Engine, key: Key | None) -> dict[str, Any]:
    """What a run is of: equal for equal models, data, engines and seeds, in any process.

    Functions are compared as the programs that JAX traces them to, constants included; what a callback to Python computes is not seen.
    """
    density = posterior.density
    one = posterior.nameless if posterior.names is None else posterior.one(0)
    program, derived = _program(one)
    return {
        "model": {
            "label": density.label,
            "parameters": list(density.names),
            "dim": density.dim,
            "dims": {name: list(dims) for name, dims in density.dims.items()},
            "derived": derived,
            "program": program,
            "traced by": TRACED_BY,
        },
        "names of datasets": None if posterior.names is None else list(posterior.names),
        "data": _checksums(posterior.data),
        "engine": engine_identity(engine, one),
        "seed": None if key is None else _seed(key),
        "x64": bool(jax.config.read("jax_enable_x64")),
    }


def whole_identity(part: Mapping[str, Any], whole: Posterior | Batch) -> dict[str, Any]:
    """The identity of the run of a batch, from that of a part of it."""
    return {**part, "names of datasets": names_of(whole.names), "data": _checksums(whole.data)}


def part_identity(whole: Mapping[str, Any], part: Mapping[str, Any], rows: Iterable[int]) -> dict[str, Any]:
    """What the identity of a part of a run must be, as far as that of the whole tells; its data are taken to be right.

    Args:
        whole: identity of the run.
        part: identity that is found.
        rows: indices of the datasets of the part.
    """
    return {**whole, "names of datasets": [whole["names of datasets"][i] for i in rows], "data": part["data"]}


def names_of(names: Sequence[Any] | None) -> list[Any] | None:
    """The names of the datasets of a batch, as JSON keeps them.

    Raises:
        InputError: for names that are neither words nor numbers.
    """
    for name in names or ():
        # What is not a number is not equal to itself either.
        if not isinstance(name, str | int | float | np.number) or name != name:
            raise InputError(
                "names of datasets",
                got=f"{name!r}, a {type(name).__name__}",
                expected="words or numbers, to be stored",
                remedy="give jl.batch a dict with such keys.",
            )
    return None if names is None else [label(name) for name in names]


def label(value: Any) -> Any:
    """A label of an axis, as JSON keeps it."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float) else str(value)


def engine_identity(engine: Engine, posterior: Posterior) -> dict[str, Any]:
    """The class and settings of an engine; a setting that is not a plain value, as a dict with its text and what the engine does with it.

    Args:
        engine: with its settings.
        posterior: of one dataset.
    """
    described: Callable[[Any], Any] = lambda value: (
        _listed(value)
        if type(value) in PLAIN
        else {"text": re.sub(r" at 0x[0-9a-f]+", "", repr(value)), "program": _engine_program(engine, posterior)}
    )
    return {
        "class": type(engine).__name__,
        "settings": {k: described(v) for k, v in settings(engine).items()},
        "length": length_of(engine),
    }


def length_of(engine: Engine) -> str:
    """The setting that only lengthens a run."""
    return "draws" if engine.kind == "chains" else "max_iter"


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as values that JSON holds."""
    return {name: value if type(value) in PLAIN else repr(value) for name, value in values.items()}


def require_same(path: str, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise `InputError` where a run is not the one that a store holds; settings that only lengthen it may differ."""
    differences = differences_of(stored, given)
    if differences:
        raise InputError(
            f"the run in {path!r}",
            got="; ".join(differences),
            expected="the model, data, engine and precision that it began with",
            remedy="give these again, or fit anew with another path."
            if stored["x64"] == given["x64"]
            else f'call jax.config.update("jax_enable_x64", {stored["x64"]}) at the start of the program, or fit anew with another path.',
        )


def engine_of(path: str, stored: Mapping[str, Any]) -> Engine:
    """The engine of a run, made from its settings.

    Raises:
        StoreError: for an engine of another package, or settings that are not plain values.
    """
    name, values = stored["class"], stored["settings"]
    if name in engines.__all__ and not any(isinstance(value, dict) for value in values.values()):
        return resembling(path, stored)
    raise StoreError(
        f"store {path!r}",
        got=f"a run by {name} with settings that are not plain values: {values}",
        expected="an engine that can be made from numbers and words",
        remedy="give the engine: jl.resume(path, model, engine=...).",
    )


def resembling(path: str, stored: Mapping[str, Any]) -> Engine:
    """The engine of a run, with defaults for settings that are not plain values: enough to read its result.

    Raises:
        StoreError: for an engine of another package.
    """
    name, values = stored["class"], stored["settings"]
    if name not in engines.__all__:
        raise StoreError(
            f"store {path!r}",
            got=f"a run by {name}",
            expected=f"one by {', '.join(engines.__all__)}",
            remedy="give the engine: jl.open(path, engine=...).",
        )
    known = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if not isinstance(v, dict)}
    engine: Engine = getattr(engines, name)(**known)
    return engine


def key_of(stored: Mapping[str, Any]) -> Key:
    """The seed of a run as a typed key."""
    key: Key = jax.random.wrap_key_data(jnp.asarray(stored["key"], jnp.uint32), impl=stored["generator"])
    return key


def _seed(key: Key) -> dict[str, Any]:
    return {"key": np.asarray(jax.random.key_data(key)).tolist(), "generator": str(jax.random.key_impl(key))}


def _checksums(data: PyTree) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(data)
    return {jax.tree_util.keystr(path): array_checksum(leaf) for path, leaf in leaves}


def _program(posterior: Posterior) -> tuple[int, list[str]]:
    """A checksum of the log density and the derived quantities, as JAX traces them, and the names of these."""
    names: list[str] = []

    def values(posterior: Posterior, position: Any) -> Any:
        params = posterior.constrain(position)
        density, derived = posterior.log_density(position), posterior.density.derived(params, posterior.data)
        names[:] = sorted(derived)  # programs have no names
        return density, derived

    return function_checksum(values, posterior, jnp.zeros(posterior.dim)), names


def _engine_program(engine: Engine, posterior: Posterior) -> int:
    """A checksum of a step of the engine, as JAX traces it."""
    stage = engine.schedule(1)[-1]

    def step(posterior: Posterior, key: Key, position: Any) -> Any:
        shared = engine.shared(posterior, key)
        return engine.step(posterior, key, engine.init(posterior, key, position, shared), shared, stage)

    return function_checksum(step, posterior, jax.random.key(0), jnp.zeros(posterior.dim))


def differences_of(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """What differs, in words."""
    found = []
    was, now = stored["model"], given["model"]
    same_tracer = was["traced by"] == now["traced by"]
    if was["parameters"] != now["parameters"] or was["dim"] != now["dim"]:
        found.append(
            f"a model with parameters {now['parameters']} of {now['dim']} dimensions (stored: {was['parameters']} of {was['dim']})"
        )
    elif was.get("derived", now["derived"]) != now["derived"]:
        found.append(f"a model with derived quantities {now['derived']} (stored: {was['derived']})")
    elif same_tracer and was["program"] != now["program"] and _same_shapes(stored, given):
        found.append("a model whose log density or derived quantities compute something else")
    found += _other_datasets(stored["names of datasets"], given["names of datasets"])
    old, new = stored["data"], given["data"]
    found += [f"data without {name}" for name in old if name not in new]
    found += [f"data with {name}, which is new" for name in new if name not in old]
    if stored["names of datasets"] == given["names of datasets"]:
        found += [
            f"other values of {name}, {_words(new[name])} (stored: {_words(old[name])})"
            for name in new
            if _other_values(old.get(name, new[name]), new[name], stored["x64"] == given["x64"])
        ]
    was, now = stored["engine"], given["engine"]
    if was["class"] != now["class"]:
        found.append(f"the engine {now['class']} (stored: {was['class']})")
    else:
        old, new = was["settings"], now["settings"]
        compared: Callable[[Any], Any] = lambda value: (
            value["text"] if isinstance(value, dict) and not same_tracer else value
        )
        found += [
            f"another {name}" if isinstance(new[name], dict) else f"{name}={new[name]!r} (stored: {old.get(name)!r})"
            for name in new
            if name != was["length"] and compared(new[name]) != compared(old.get(name))
        ]
    if stored["seed"] != given["seed"]:
        found.append("another seed")
    if stored["x64"] != given["x64"]:
        found.append(f"{'64' if given['x64'] else '32'} bits (stored: {'64' if stored['x64'] else '32'})")
    return found


def _other_datasets(stored: Sequence[Any] | None, given: Sequence[Any] | None) -> list[str]:
    """How the names of datasets differ, in words; of many the first."""
    if stored == given:
        return []
    if stored is None or given is None:
        return [f"{_count(given)} (stored: {_count(stored)})"]
    before, now = set(stored), set(given)
    gone, new = [name for name in stored if name not in now], [name for name in given if name not in before]
    found = [f"a batch without the datasets {_some(gone)}"] if gone else []
    found += [f"a batch with the datasets {_some(new)}, which are new"] if new else []
    return found or ["the datasets in another order"]


def _count(names: Sequence[Any] | None) -> str:
    return "one dataset" if names is None else f"a batch of {len(names)}"


def _some(names: Sequence[Any]) -> str:
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")


def _same_shapes(stored: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether programs can be compared: those of data of other shapes or another precision differ in any case."""
    shapes: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda run: {
        name: entry[:2] for name, entry in run["data"].items()
    }
    return bool(shapes(stored) == shapes(given) and stored["x64"] == given["x64"])


def _other_values(old: list[Any], new: list[Any], same_precision: bool) -> bool:
    """Whether entries of the data differ; in another precision by their shape alone, since it changes values and types."""
    return old != new if same_precision else old[0] != new[0]


def _words(entry: list[Any]) -> str:
    shape, dtype, _ = entry
    return f"{dtype} of shape {tuple(shape)}"


def _listed(value: Any) -> Any:
    """A setting as JSON returns it."""
    return list(value) if isinstance(value, tuple) else value
