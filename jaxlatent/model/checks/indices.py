"""Indices out of range: JAX clips them, and counts negative ones from the end, in silence."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import shapes_of
from jaxlatent.errors import InputError
from jaxlatent.model.checks.program import NOTHING, Program, Sources, flatten, is_variable
from jaxlatent.model.checks.sites import Site, Use, sites_of
from jaxlatent.model.checks.terms import Purpose, Reading, derived_of, sources_of, terms
from jaxlatent.model.checks.watch import Watch
from jaxlatent.model.model import Model
from jaxlatent.typing import Array, Data, Params

_COUNT = (
    "count from 0, as in labels, codes = np.unique(values, return_inverse=True), and give the parameter an entry for each label; the "
    "code -1 of pandas is a missing value: drop those rows, or give them a group of their own."
)
_UNKNOWN = (
    "a group that was not in the data has no effect of its own: draw it from its population with "
    "result.predict(seed, data, new_levels=True), or leave those rows out."
)
_WRITE = (
    "count from 0, as in labels, codes = np.unique(values, return_inverse=True), and make the result as long as there are labels: JAX "
    "drops the others. What is to be dropped may go to an entry of its own, jnp.zeros(n + 1).at[codes].add(x)[:n]."
)
_SLICE = "start slices where they end within the axis, or lengthen it with jnp.pad: JAX moves those that do not."
_BRANCH = "count branches from 0, and give the switch one for each value; jnp.clip says that the last is meant for all that are higher."
#: What is indexed, where it is computed from neither parameters nor data.
_NAMELESS = {"read": "a constant", "write": "an array that is written to"}


class Place(NamedTuple):
    """Where data index an axis, or choose a branch.

    Attributes:
        length: of the axis, or the number of branches.
        size: entries of the axis that one index stands for, in a row.
        use: what is done there.
        data: the entries that the index is computed from.
        operand: the parameters that what is indexed is computed from, as ``param x``; without any the data, as ``data x``.
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
    """Every index that is computed from data lies in the axis that it indexes, or what it finds there does not matter.

    Indices are evaluated before JAX wraps them, those inside of loops and branches too; where one is out of range, the model is evaluated
    with other entries in its place. Those that depend on parameters are not seen, nor are those for one platform of several.

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
    """Where data index an axis, and the lowest and highest index there; places that are never reached are left out."""
    places, evaluate = _ranges(reading)
    found = evaluate(jax.tree.leaves(dict(data))) if places else []
    return [(place, int(low), int(high)) for place, (low, high) in zip(places, found, strict=True) if low <= high]


@lru_cache(maxsize=256)
def _ranges(reading: Reading) -> tuple[list[Place], Callable[..., Any]]:
    """Where data index an axis, and a function of the data to the lowest and highest index at each place."""
    known = reading.program.dependencies([frozenset([source]) for source in reading.sources])
    found = _places(reading.program, known, reading.observations)
    sites = [site for site, _ in found]
    copies = reading.program.copies()
    entered = {n: copies[site.given] for n, site in enumerate(sites) if site.given in copies and site.column is None}
    computed = [n for n in range(len(sites)) if n not in entered]
    run = _running(reading, known, [sites[n] for n in computed])

    def evaluate(leaves: list[Array]) -> list[tuple[int, int]]:
        data = iter(leaves)
        given = [next(data) if source.startswith("data ") else None for source in reading.sources]
        by_input = dict(zip(reading.program.inputs, given, strict=True))
        # Most indices are data as they are, and nothing is compiled for those.
        ranges = {n: _range(by_input[variable]) for n, variable in entered.items()}
        if computed:
            ranges.update(zip(computed, run(given), strict=True))
        return [ranges[n] for n in range(len(sites))]

    return [place for _, place in found], evaluate


def _range(index: Any) -> tuple[int, int]:
    values = np.asarray(index)
    return (int(values.min()), int(values.max())) if values.size else (0, -1)


def _running(
    reading: Reading, known: dict[int, Sources], sites: list[Site]
) -> Callable[[list[Any]], list[tuple[int, int]]]:
    """Indices that have to be computed, as a function of the inputs."""
    # None of them depends on a parameter.
    watch = Watch(sites, frozenset(variable for variable, sources in known.items() if _parameters(sources)))
    program = reading.program.only(variable for site in sites for variable in (site.given, site.used))

    @jax.jit
    def run(given: list[Any]) -> list[tuple[Array, Array]]:
        ranges = watch.run(program, given)[1]
        return [ranges[n] for n in range(len(sites))]

    return run


def _places(program: Program, known: dict[int, Sources], observations: tuple[str, ...]) -> list[tuple[Site, Place]]:
    """The sites whose index is computed from covariates alone."""
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
    """What changes if indices out of range at ``place`` point elsewhere in the axis, write nothing, or read one."""
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
    """All terms as a function of parameters, data, and where indices out of range at ``place`` point to."""
    whole = lambda params, data: {**terms(model, params, data, purpose), **derived_of(model, params, data, purpose)}
    with tracing_for():
        traced, shape = jax.make_jaxpr(whole, return_shape=True)(dict(params), dict(data))
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

        outputs, _ = Watch(sites, redirect=redirect).run(program, jax.tree.leaves((params, data)))
        values: dict[str, Any] = jax.tree.unflatten(jax.tree.structure(shape), outputs)
        return values

    return evaluate
