"""The terms of a model by name, and what each of them reads, for the checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxlatent._compat.compiled import compiled
from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import as_namespace, blamed, shapes_of, split
from jaxlatent.distributions.masking import masked_log_prob
from jaxlatent.graph.tracing import arrays_in
from jaxlatent.model.checks.axes import Axes, axes_of
from jaxlatent.model.checks.program import Program, flatten
from jaxlatent.model.coordinates import constrain
from jaxlatent.model.model import Model
from jaxlatent.model.shapes import Site, check_observed
from jaxlatent.typing import Array, Data, Params

#: Names and shapes: see `jaxlatent.data.arrays.shapes_of`.
Shapes: TypeAlias = tuple[tuple[str, Any], ...]
#: The purpose of data: to fit, to score a fit (without priors), or to predict (without observations).
Purpose = Literal["fit", "score", "predict"]


def terms(model: Model, params: Params, data: Data, purpose: Purpose) -> dict[str, Any]:
    """Log densities by name; for "predict" the parameters of the distributions."""
    if purpose == "predict":
        observed = model.observed(params, {**data, **model.mediators(params, data)})
        return {f"the likelihood of {name!r}": list(arrays_in(d)) for name, d in observed.items()}
    likelihood = {name: masked_log_prob(d, *split(data.get(name))) for name, d in model.observed(params, data).items()}
    found: dict[str, Any] = {f"the likelihood of {name!r}": term for name, term in likelihood.items()}
    if purpose == "fit":
        priors = {name: model.prior_of(name, params, data).log_prob(params[name]) for name in model.prior}
        found |= {f"the prior of {name!r}": term for name, term in priors.items()}
    return found


def derived_of(model: Model, params: Params, data: Data, purpose: Purpose) -> dict[str, Any]:
    """Derived quantities by name, for "fit" only."""
    values = model.deterministic(params, data) if purpose == "fit" else {}
    return {f"derived {name!r}": value for name, value in values.items()}


@dataclass(frozen=True, eq=False)
class Reading:
    """A model as a program, and what its functions read.

    Attributes:
        program: function of parameters and data, in the order of `jax.tree.leaves`, that returns the parameters of all distributions.
        sources: of each input, ``param x`` or ``data x``.
        reads: the sources of each prior, likelihood and derived quantity.
        observations: names that the likelihood returns.
        entries: names of the data that a function asks for, if only for a shape, and of the observations.
        axes: of the observations in the data, by name.
    """

    program: Program
    sources: tuple[str, ...]
    reads: dict[str, frozenset[str]]
    observations: tuple[str, ...]
    entries: frozenset[str]
    axes: dict[str, Axes]


def reading_of(model: Model, params: Mapping[str, Any], data: Data, purpose: Purpose) -> Reading:
    """The `Reading` of a model, traced from shapes alone."""
    return _reading_of(model, shapes_of(params), shapes_of(data), purpose)


@lru_cache(maxsize=256)
def _reading_of(model: Model, params: Shapes, data: Shapes, purpose: Purpose) -> Reading:
    owners: list[str] = []
    observations: list[str] = []
    entries: set[str] = set()
    axes: dict[str, Axes] = {}

    def arrays(params: Params, data: Data) -> list[Array]:
        drawn = blamed("the likelihood", lambda: model.mediators(params, data), data) if purpose == "predict" else {}
        values = as_namespace({**data, **drawn}, entries)
        observed = blamed("the likelihood", lambda: model.observed(params, values), data)
        observations[:] = list(observed)
        axes.update(
            {name: axes_of(d) for name, d in observed.items() if name in data and isinstance(d, dist.Distribution)}
        )
        if purpose == "score":
            check_observed(observed, data)
        things: dict[str, Any] = {f"the likelihood of {name!r}": d for name, d in observed.items()}
        if purpose == "fit":
            things |= {f"the prior of {name!r}": model.prior_of(name, params, values) for name in model.prior}
        things |= derived_of(model, params, values, purpose)
        found = {what: list(arrays_in(thing)) for what, thing in things.items()}
        owners[:] = [what for what, out in found.items() for _ in out]
        return [array for out in found.values() for array in out]

    with tracing_for():
        program = flatten(jax.make_jaxpr(arrays)(dict(params), dict(data)))
    sources = sources_of(params, data)
    known = program.dependencies([frozenset([source]) for source in sources])
    reads: dict[str, frozenset[str]] = {}
    for what, output in zip(owners, program.outputs, strict=True):
        # A literal reads nothing.
        read = known.get(output, frozenset()) if isinstance(output, int) else frozenset()
        reads[what] = reads.get(what, frozenset()) | read
    return Reading(program, sources, reads, tuple(observations), frozenset(entries).union(observations), axes)


def unread(model: Model, params: Mapping[str, Any], data: Data, purpose: Purpose) -> list[str]:
    """The entries of the data that no function of a model asks for, traced from shapes alone."""
    others = set(data) - reading_of(model, params, data, purpose).entries
    if others and purpose == "fit":
        others -= _start_reads(model, shapes_of(data))
    return sorted(others)


@lru_cache(maxsize=256)
def _start_reads(model: Model, data: Shapes) -> frozenset[str]:
    entries: set[str] = set()
    with tracing_for():
        jax.eval_shape(
            lambda key, data: model.starting_params(key, as_namespace(data, entries)), jax.random.key(0), dict(data)
        )
    return frozenset(entries)


def sources_of(params: Shapes, data: Shapes) -> tuple[str, ...]:
    """The source of each leaf of parameters and data, in JAX's order: the leaves of a dict are sorted by name."""
    entries = [
        (f"{kind} {name}", x)
        for kind, some in (("param", params), ("data", data))
        for name, x in sorted(some, key=itemgetter(0))
    ]
    return tuple(source for source, entry in entries for _ in jax.tree.leaves(entry))


@compiled("model", "sites")
def _constrain(model: Model, sites: tuple[Site, ...], position: Array, data: Data) -> Params:
    params: Params = {}
    for site in sites:
        z = position[site.start : site.stop].reshape(site.unconstrained)
        params[site.name] = constrain(model.prior_of(site.name, params, data), z)[0]
    return params


def some_params(model: Model, data: Data) -> Params:
    """Generic values of the parameters: from uniform(-2, 2) in unconstrained space."""
    sites = model.shapes(data).sites
    position = np.random.default_rng(0).uniform(-2.0, 2.0, sites[-1].stop)
    params: Params = _constrain(model, sites, jnp.asarray(position, jnp.result_type(float)), data)
    return params
