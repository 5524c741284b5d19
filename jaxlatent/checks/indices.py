"""Indices out of range: JAX clips them, and counts negative ones from the end, in silence."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.tracing import tracing_for
from jaxlatent.checks.program import Program, Site, flatten
from jaxlatent.checks.terms import Purpose, Reading, derived_of, sources_of, terms
from jaxlatent.data import shapes_of
from jaxlatent.errors import InputError
from jaxlatent.model import Model
from jaxlatent.typing import Array, Data, Params

_COUNT = (
    "count from 0, as in labels, codes = np.unique(values, return_inverse=True), and give the parameter an entry for each label; the "
    "code -1 of pandas is a missing value: drop those rows, or give them a group of their own."
)
_UNKNOWN = (
    "a group that was not in the data has no effect of its own: draw it from its population with "
    "result.predict(seed, data, new_levels=True), or leave those rows out."
)


class Place(NamedTuple):
    """Where data index an axis.

    Attributes:
        length: of the axis.
        data: the entries that the index is computed from.
        operand: the parameters that what is indexed is computed from, as ``param x``; without any the data, as ``data x``.
    """

    length: int
    data: tuple[str, ...]
    operand: tuple[str, ...]


def check_indices(
    model: Model, params: Callable[[], Params], data: Data, purpose: Purpose, reading: Reading, label: str = ""
) -> None:
    """Every index that is computed from data lies in the axis that it indexes, or what it finds there does not matter.

    Indices are evaluated before JAX wraps them; where one is out of range, the model is evaluated with other entries in its place.
    Those inside of loops and branches, those that depend on parameters, and those of scatters are not seen.

    Args:
        model: the declaration.
        params: makes any values with nothing special about them.
        data: of one dataset.
        purpose: what they are for.
        reading: what the model reads.
        label: put before names in messages.

    Raises:
        InputError: naming data, parameter and ranges.
    """
    for place, low, high in indices_in(data, reading):
        if low >= 0 and high < place.length:
            continue
        readers = _readers(model, params(), data, purpose, place, reading)
        if readers:
            raise InputError(
                f"{label}data {' and '.join(map(repr, place.data))}",
                got=f"indices from {low} to {high} into an axis of length {place.length} of {_listed(place)}, read by {readers}",
                expected=f"indices from 0 to {place.length - 1}",
                remedy=_UNKNOWN if purpose == "predict" and low >= 0 else _COUNT,
            )


def indices_in(data: Data, reading: Reading) -> list[tuple[Place, int, int]]:
    """Where data index an axis, and the lowest and highest index there."""
    places, evaluate = _ranges(reading)
    found = evaluate(jax.tree.leaves(dict(data))) if places else []
    return [(place, int(low), int(high)) for place, (low, high) in zip(places, found, strict=True)]


@lru_cache(maxsize=256)
def _ranges(reading: Reading) -> tuple[list[Place], Callable[..., Any]]:
    """Where data index an axis, and a function of the data to the lowest and highest index at each place."""
    sites = _places(reading.program, reading.sources, reading.observations)
    indices = reading.program.only(site.index for site, _ in sites)
    positions = [i for i, source in enumerate(reading.sources) if source.startswith("data ")]

    @jax.jit
    def evaluate(leaves: list[Array]) -> list[tuple[Any, Any]]:
        # No index depends on a parameter.
        given: list[Any] = [None] * len(reading.sources)
        for position, leaf in zip(positions, leaves, strict=True):
            given[position] = leaf
        found = indices.evaluate(given, lambda _, value, __: value)
        return [(jnp.min(index), jnp.max(index)) if jnp.size(index) else (0, 0) for index in found]

    return [place for _, place in sites], evaluate


def _places(program: Program, sources: tuple[str, ...], observations: tuple[str, ...]) -> list[tuple[Site, Place]]:
    """The sites whose index is computed from covariates alone."""
    known = program.dependencies([frozenset([source]) for source in sources])
    found = []
    for site in program.sites():
        origins = {tuple(source.split(" ", 1)) for source in known.get(site.index, ())}
        names = tuple(sorted(name for kind, name in origins if kind == "data" and name not in observations))
        if names and not any(kind == "param" for kind, _ in origins):
            indexed = sorted(known.get(site.operand, ())) if isinstance(site.operand, int) else []
            of = [name for name in indexed if name.startswith("param ")] or indexed
            found.append((site, Place(site.length, names, tuple(of))))
    return found


def _listed(place: Place) -> str:
    named = (source.replace("param ", "parameter ").split(" ", 1) for source in place.operand)
    return " and ".join(f"{kind} {name!r}" for kind, name in named) or "a constant"


def _readers(model: Model, params: Params, data: Data, purpose: Purpose, place: Place, reading: Reading) -> str:
    """What changes if indices out of range at ``place`` point elsewhere in the axis."""
    evaluate = _redirected(model, shapes_of(params), shapes_of(data), purpose, place, reading.observations)
    first, *others = (evaluate(params, data, end) for end in (0, place.length // 2, place.length - 1))
    same = lambda what, other: all(
        np.array_equal(a, b, equal_nan=True)
        for a, b in zip(jax.tree.leaves(first[what]), jax.tree.leaves(other[what]), strict=True)
    )
    return " and ".join(what for what in first if not all(same(what, other) for other in others))


@lru_cache(maxsize=64)
def _redirected(
    model: Model, params: Any, data: Any, purpose: Purpose, place: Place, observations: tuple[str, ...]
) -> Callable[..., dict[str, Any]]:
    """All terms as a function of parameters, data, and where indices out of range at ``place`` point to."""
    whole = lambda params, data: {**terms(model, params, data, purpose), **derived_of(model, params, data, purpose)}
    with tracing_for():
        traced, shape = jax.make_jaxpr(whole, return_shape=True)(dict(params), dict(data))
    program = flatten(traced)
    sites = {
        site.wrapped: site for site, other in _places(program, sources_of(params, data), observations) if other == place
    }

    @jax.jit
    def evaluate(params: Params, data: Data, end: Array) -> dict[str, Any]:
        def change(variable: int, value: Any, look_up: Callable[[Any], Any]) -> Any:
            if variable not in sites:
                return value
            index = look_up(sites[variable].index)
            return jnp.where((index < 0) | (index >= place.length), end, value).astype(value.dtype)

        outputs = program.evaluate(jax.tree.leaves((params, data)), change)
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return evaluate
