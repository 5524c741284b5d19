"""Check for indices out of range, which JAX silently clips, drops, or (if negative) counts from the end."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import shapes_of
from jaxlatent.errors import InputError
from jaxlatent.model.checks.interpreter import Interpreter
from jaxlatent.model.checks.program import NOTHING, Program, Sources, flatten, is_variable
from jaxlatent.model.checks.sites import Site, Use, sites_of
from jaxlatent.model.checks.terms import Purpose, Reading, derived_of, sources_of, terms
from jaxlatent.model.model import Model
from jaxlatent.typing import Array, ArrayLike, Data, Params

_COUNT = (
    "count from 0, as in labels, codes = np.unique(values, return_inverse=True), and give the parameter an entry for each label; the "
    "code -1 of pandas is a missing value: drop those rows, or give them a separate group."
)
_UNKNOWN = (
    "a group that was not in the data has no effect yet: draw it from its population with "
    "result.predict(seed, data, new_levels=True), or leave those rows out."
)
_WRITE = (
    "count from 0, as in labels, codes = np.unique(values, return_inverse=True), and make the result as long as there are labels: JAX "
    "drops the others. Values to be dropped may go to an extra entry, jnp.zeros(n + 1).at[codes].add(x)[:n]."
)
_SLICE = "keep slices within the axis, or lengthen it with jnp.pad: JAX shifts slices that cross its end."
_BRANCH = "count branches from 0, and give the switch one for each value; use jnp.clip if the last one is meant for all higher values."
#: Name of an indexed array that is computed from neither parameters nor data.
_NAMELESS = {"read": "a constant", "write": "an array that is written to"}


class Place(NamedTuple):
    """Where data index an axis, or choose a branch.

    Attributes:
        length: of the axis, or the number of branches.
        size: consecutive entries of the axis per index, above 1 for slices.
        use: read, write or branch.
        data: entries of the data that the index is computed from.
        operand: the parameters that the indexed array is computed from, as ``param x``; if none the data, as ``data x``.
    """

    length: int
    size: int
    use: Use
    data: tuple[str, ...]
    operand: tuple[str, ...]

    @property
    def last(self) -> int:
        """The highest index that is in range."""
        return self.length - self.size


def check_indices(
    model: Model, params: Callable[[], Params], data: Data, purpose: Purpose, reading: Reading, label: str = ""
) -> None:
    """Check that every index computed from data is in range, unless the indexed value does not matter.

    Indices are evaluated before JAX wraps them, also inside loops and branches. If one is out of range, the model is evaluated with
    other entries in its place, to see whether anything changes. Indices that depend on parameters, and platform-dependent code, are not
    checked.

    Args:
        model: the declaration.
        params: returns generic values of the parameters.
        data: of one dataset.
        purpose: of the data.
        reading: what the model reads.
        label: prefix of names in messages.

    Raises:
        InputError: naming data, parameter and ranges.
    """
    for place, low, high in indices_in(data, reading):
        if low >= 0 and high <= place.last:
            continue
        readers = _readers(model, params(), data, purpose, place, reading)
        if readers:
            what = "indices" if place.size == 1 else f"slices of {place.size} entries"
            raise InputError(
                f"{label}data {' and '.join(map(repr, place.data))}",
                got=f"{what} from {low} to {high} into {_into(place)}, read by {readers}",
                expected=f"{what} from 0 to {place.last}",
                remedy=_remedy(place, purpose == "predict" and low >= 0),
            )


def indices_in(data: Data, reading: Reading) -> list[tuple[Place, int, int]]:
    """The places where data index an axis, with the lowest and highest index; places that are never reached are left out."""
    places, evaluate = _ranges(reading)
    found = evaluate(jax.tree.leaves(dict(data))) if places else []
    return [(place, low, high) for place, (low, high) in zip(places, found, strict=True) if low <= high]


@lru_cache(maxsize=256)
def _ranges(reading: Reading) -> tuple[list[Place], Callable[..., Any]]:
    """The places where data index an axis, and a function from data to the lowest and highest index at each."""
    known = reading.program.dependencies([frozenset([source]) for source in reading.sources])
    found = _places(reading.program, known, reading.observations)
    sites = [site for site, _ in found]
    copies = reading.program.copies()
    entered = {n: copies[site.given] for n, site in enumerate(sites) if site.given in copies and site.column is None}
    computed = [n for n in range(len(sites)) if n not in entered]
    run = _compile_ranges(reading, known, [sites[n] for n in computed])

    def evaluate(leaves: list[ArrayLike]) -> list[tuple[int, int]]:
        data = iter(leaves)
        given = [next(data) if source.startswith("data ") else None for source in reading.sources]
        by_input = dict(zip(reading.program.inputs, given, strict=True))
        # Most indices are plain entries of the data, for which nothing is compiled.
        ranges = {n: _range(by_input[variable]) for n, variable in entered.items()}
        if computed:
            ranges.update({n: (int(low), int(high)) for n, (low, high) in zip(computed, run(given), strict=True)})
        return [ranges[n] for n in range(len(sites))]

    return [place for _, place in found], evaluate


def _range(index: Any) -> tuple[int, int]:
    values = np.asarray(index)
    return (int(values.min()), int(values.max())) if values.size else (0, -1)


def _compile_ranges(
    reading: Reading, known: dict[int, Sources], sites: list[Site]
) -> Callable[[list[Any]], list[tuple[Array, Array]]]:
    """A function from the inputs to the index ranges of ``sites``, none of which depends on a parameter."""
    interpreter = Interpreter(sites, frozenset(variable for variable, sources in known.items() if _parameters(sources)))
    program = reading.program.only(variable for site in sites for variable in (site.given, site.used))

    @jax.jit
    def run(given: list[Any]) -> list[tuple[Array, Array]]:
        ranges = interpreter.run(program, given)[1]
        return [ranges[n] for n in range(len(sites))]

    return run


def _places(program: Program, known: dict[int, Sources], observations: tuple[str, ...]) -> list[tuple[Site, Place]]:
    """The sites with an index computed from covariates alone."""
    found = []
    for site in sites_of(program):
        origins = {tuple(source.split(" ", 1)) for source in known.get(site.given, ())}
        names = tuple(sorted(name for kind, name in origins if kind == "data" and name not in observations))
        if names and not any(kind == "param" for kind, _ in origins):
            indexed = known.get(site.operand, NOTHING) if is_variable(site.operand) else NOTHING
            of = _parameters(indexed) or sorted(indexed)
            found.append((site, Place(site.length, site.size, site.use, names, tuple(of))))
    return found


def _parameters(sources: Sources) -> list[str]:
    return sorted(source for source in sources if source.startswith("param "))


def _into(place: Place) -> str:
    if place.use == "branch":
        return f"the {place.length} branches of a switch"
    named = (source.replace("param ", "parameter ").split(" ", 1) for source in place.operand)
    of = " and ".join(f"{kind} {name!r}" for kind, name in named)
    return f"an axis of length {place.length} of {of or _NAMELESS[place.use]}"


def _remedy(place: Place, unknown: bool) -> str:
    if place.use == "branch":
        return _BRANCH
    if place.size > 1:
        return _SLICE
    if place.use == "write":
        return _WRITE
    return _UNKNOWN if unknown else _COUNT


def _readers(model: Model, params: Params, data: Data, purpose: Purpose, place: Place, reading: Reading) -> str:
    """The terms that change if indices out of range at ``place`` point elsewhere in the axis, write nothing, or read one."""
    evaluate = _redirected(model, shapes_of(params), shapes_of(data), purpose, place, reading.observations)
    ends = [0, (place.last + 1) // 2, place.last, *([] if place.use == "branch" else [place.length])]
    first, *others = (evaluate(params, data, end) for end in ends)
    same: Callable[[str, dict[str, Any]], bool] = lambda what, other: all(
        np.array_equal(a, b, equal_nan=True)
        for a, b in zip(jax.tree.leaves(first[what]), jax.tree.leaves(other[what]), strict=True)
    )
    return " and ".join(what for what in first if not all(same(what, other) for other in others))


@lru_cache(maxsize=64)
def _redirected(
    model: Model, params: Any, data: Any, purpose: Purpose, place: Place, observations: tuple[str, ...]
) -> Callable[..., dict[str, Any]]:
    """All terms, as a function of parameters, data, and the index that replaces those out of range at ``place``."""
    every_term = lambda params, data: {
        **terms(model, params, data, purpose),
        **derived_of(model, params, data, purpose),
    }
    with tracing_for():
        traced, shape = jax.make_jaxpr(every_term, return_shape=True)(dict(params), dict(data))
    program = flatten(traced)
    known = program.dependencies([frozenset([source]) for source in sources_of(params, data)])
    sites = [site for site, other in _places(program, known, observations) if other == place]

    @jax.jit
    def evaluate(params: Params, data: Data, end: Array) -> dict[str, Any]:
        def redirect(site: Site, index: Array, used: Array) -> Array:
            outside = (index < 0) | (index > place.last)
            if site.column is not None:
                outside &= jnp.arange(index.shape[-1]) == site.column
            return jnp.where(outside, end, used).astype(used.dtype)

        outputs, _ = Interpreter(sites, redirect=redirect).run(program, jax.tree.leaves((params, data)))
        values: dict[str, Any] = jax.tree.unflatten(jax.tree.structure(shape), outputs)
        return values

    return evaluate
