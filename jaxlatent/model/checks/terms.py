"""What a model makes of its data, by name: so that a check can tell whether it depends on something that it should not."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import blamed, shapes_of, split
from jaxlatent.distributions.masking import masked_log_prob
from jaxlatent.graph.tracing import arrays_in
from jaxlatent.model.checks.program import Program, flatten
from jaxlatent.model.coordinates import constrain
from jaxlatent.model.model import Model
from jaxlatent.model.shapes import Site, check_observed
from jaxlatent.typing import Array, Data, Params

#: Names and shapes: see `jaxlatent.data.arrays.shapes_of`.
Shapes: TypeAlias = tuple[tuple[str, Any], ...]
#: What data are for: to fit; to judge a fit by, where priors do not matter; to predict at, where no observation does.
Purpose = Literal["fit", "score", "predict"]


def terms(model: Model, params: Params, data: Data, purpose: Purpose) -> dict[str, Any]:
    """Log densities by name, or to predict the parameters of the distributions."""
    observed = model.observed(params, data)
    if purpose == "predict":
        return {f"the likelihood of {name!r}": list(arrays_in(d)) for name, d in observed.items()}
    likelihood = {name: masked_log_prob(d, *split(data.get(name))) for name, d in observed.items()}
    found: dict[str, Any] = {f"the likelihood of {name!r}": term for name, term in likelihood.items()}
    if purpose == "fit":
        priors = {name: model.prior_of(name, params, data).log_prob(params[name]) for name in model.prior}
        found |= {f"the prior of {name!r}": term for name, term in priors.items()}
    return found


def derived_of(model: Model, params: Params, data: Data, purpose: Purpose) -> dict[str, Any]:
    """Derived quantities by name, as far as they are computed."""
    values = model.deterministic(params, data) if purpose == "fit" else {}
    return {f"derived {name!r}": value for name, value in values.items()}


@dataclass(frozen=True, eq=False)
class Reading:
    """A model as a program, and what its functions read.

    Attributes:
        program: of parameters and data, in the order of `jax.tree.leaves`; it returns the parameters of all distributions.
        sources: the entry that each input belongs to, ``param x`` or ``data x``.
        reads: what each of prior, likelihood and derived quantity depends on.
        observations: names that the likelihood returns.
    """

    program: Program
    sources: tuple[str, ...]
    reads: dict[str, frozenset[str]]
    observations: tuple[str, ...]


def reading_of(model: Model, params: Mapping[str, Any], data: Data, purpose: Purpose) -> Reading:
    """What ``model`` reads, traced from shapes alone."""
    return _reading_of(model, shapes_of(params), shapes_of(data), purpose)


@lru_cache(maxsize=256)
def _reading_of(model: Model, params: Shapes, data: Shapes, purpose: Purpose) -> Reading:
    owners: list[str] = []
    observations: list[str] = []

    def arrays(params: Params, data: Data) -> list[Array]:
        observed = blamed("the likelihood", lambda: model.observed(params, data), data)
        observations[:] = list(observed)
        if purpose == "score":
            check_observed(observed, data)
        things: dict[str, Any] = {f"the likelihood of {name!r}": d for name, d in observed.items()}
        if purpose == "fit":
            things |= {f"the prior of {name!r}": model.prior_of(name, params, data) for name in model.prior}
        things |= derived_of(model, params, data, purpose)
        found = {what: list(arrays_in(thing)) for what, thing in things.items()}
        owners[:] = [what for what, out in found.items() for _ in out]
        return [array for out in found.values() for array in out]

    with tracing_for():
        program = flatten(jax.make_jaxpr(arrays)(dict(params), dict(data)))
    sources = sources_of(params, data)
    known = program.dependencies([frozenset([source]) for source in sources])
    reads: dict[str, frozenset[str]] = {}
    for what, output in zip(owners, program.outputs, strict=True):
        # A constant stands for itself, and reads nothing.
        read = known.get(output, frozenset()) if isinstance(output, int) else frozenset()
        reads[what] = reads.get(what, frozenset()) | read
    return Reading(program, sources, reads, tuple(observations))


def sources_of(params: Shapes, data: Shapes) -> tuple[str, ...]:
    """The entry that each leaf of parameters and data belongs to."""
    # As JAX orders them: leaves of a dict are sorted by name.
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
    """Values of the parameters with nothing special about them: from uniform(-2, 2) in unconstrained space."""
    sites = model.shapes(data).sites
    position = np.random.default_rng(0).uniform(-2.0, 2.0, sites[-1].stop)
    params: Params = _constrain(model, sites, jnp.asarray(position, jnp.result_type(float)), data)
    return params
