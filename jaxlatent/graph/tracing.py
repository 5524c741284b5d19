"""`graph_of`: the graph of a model, found by abstract tracing without compilation."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from jaxlatent.data.arrays import as_data, blamed
from jaxlatent.errors import InputError
from jaxlatent.graph.graph import Graph
from jaxlatent.graph.naming import name_of, replicated, require_distribution
from jaxlatent.graph.structure import Axis, Node
from jaxlatent.typing import Data

#: Primitives that call a function once, with the same inputs and outputs.
CALLS = ("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2", "custom_jvp_call", "custom_vjp_call")


@runtime_checkable
class Declaration(Protocol):
    """The interface that `graph_of` needs; `jaxlatent.Model` has it."""

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def prior(self) -> Mapping[str, Any]:
        """Priors, in order."""
        ...

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of dimensions."""
        ...

    def prior_of(self, name: str, params: Mapping[str, Any], data: Data) -> dist.Distribution:
        """The prior of one parameter, given the earlier ones."""
        ...

    def deterministic(self, params: Mapping[str, Any], data: Data) -> dict[str, Any]:
        """Derived quantities."""
        ...

    def observed(self, params: Mapping[str, Any], data: Data) -> dict[str, dist.Distribution]:
        """The distribution of every observation."""
        ...


def graph_of(model: Declaration, data: Data | None = None) -> Graph:
    """The graph of ``model``; see `jaxlatent.Model.graph`."""
    shapes = jax.eval_shape(lambda: as_data({} if data is None else data))
    params: dict[str, Any] = {}
    computed: dict[str, Any] = {}
    nodes: list[Node] = []
    edges: list[tuple[str, str]] = []

    def axes(name: str, shape: tuple[int, ...], leading: int, observed: bool = False) -> tuple[Axis, ...]:
        """The first ``leading`` axes, without unnamed ones of length 1."""
        dims = model.dims.get(name, ())
        if len(dims) == len(shape):
            return tuple(map(Axis, shape, dims))[:leading]
        return tuple(Axis(size, observed=observed) for size in shape[:leading] if size != 1)

    def add(what: str, function: Callable[[Any, Any], Mapping[str, Any]], describe: Callable[[str, Any], Node]) -> None:
        found, readers = _trace(what, function, describe, params, shapes)
        nodes.extend(found)
        edges.extend(readers)

    def parameter(name: str, d: Any) -> Node:
        params[name] = jax.ShapeDtypeStruct(d.shape(), jnp.result_type(float))
        return Node(name, "parameter", name_of(d), axes(name, d.shape(), len(replicated(d))))

    def derived(name: str, value: Any) -> Node:
        computed[name] = jax.ShapeDtypeStruct(value.shape, value.dtype)
        return Node(name, "derived", axes=axes(name, value.shape, value.ndim))

    def observed(name: str, d: Any) -> Node:
        require_distribution(name, d)
        return Node(name, "observed", name_of(d), axes(name, d.shape(), len(d.batch_shape), True))

    prior_of: Callable[[str], Callable[[Any, Any], Mapping[str, Any]]] = lambda name: (
        lambda p, d: {name: model.prior_of(name, p, d)}
    )
    for name in model.prior:
        add(f"the prior of {name!r}", prior_of(name), parameter)
    add("the derived quantities", model.deterministic, derived)
    params.update(computed)  # a likelihood that reads them is below them
    add("the likelihood", model.observed, observed)
    if twice := [name for name, count in Counter(node.name for node in nodes).items() if count > 1]:
        raise InputError(
            f"{twice[0]!r} in the graph of a model",
            got="two nodes of one name",
            expected="different names for parameters, derived quantities and observations",
            remedy="rename one of them.",
        )
    return Graph(model.name, tuple(nodes), tuple(edges))


def _trace(
    what: str,
    function: Callable[[Any, Any], Mapping[str, Any]],
    describe: Callable[[str, Any], Node],
    params: Mapping[str, Any],
    data: Data,
) -> tuple[list[Node], list[tuple[str, str]]]:
    """The nodes that ``function`` of ``params`` and ``data`` declares, and the edges to them."""
    names, nodes, owners = tuple(params), [], []

    def arrays(values: Sequence[Any], data: Data) -> list[Any]:
        out: list[Any] = []
        for name, thing in function(dict(zip(names, values, strict=True)), data).items():
            nodes.append(describe(name, thing))
            found = list(arrays_in(thing))
            owners.extend([name] * len(found))
            out.extend(found)
        return out

    program = blamed(
        what,
        lambda: jax.make_jaxpr(arrays)(list(params.values()), data),
        data,
        remedy="give the graph all covariates, under the names that the model reads.",
    )
    # Parameters are the first inputs of the program; the rest are data.
    sources = [frozenset([name]) for name in names]
    sources += [frozenset()] * (len(program.jaxpr.invars) - len(sources))
    reads = zip(owners, _dependencies(program.jaxpr, sources), strict=True)
    pairs = {(source, owner) for owner, found in reads for source in found}
    return nodes, [(source, node.name) for node in nodes for source in names if (source, node.name) in pairs]


def arrays_in(thing: Any) -> Iterator[Any]:
    """All arrays of a derived quantity or inside a distribution, also of one that does not declare its pytree fields."""
    leaves = jax.tree.leaves(thing, is_leaf=lambda leaf: isinstance(leaf, dist.Distribution))
    for leaf in leaves:
        if isinstance(leaf, dist.Distribution):
            yield from arrays_in(vars(leaf))
        elif isinstance(leaf, jax.Array):
            yield leaf


def _dependencies(jaxpr: Jaxpr, inputs: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """The sources of each output of a program, given those of its inputs.

    Exact through calls; every output of any other equation, including loops, is assumed to depend on all its inputs.
    """
    known = dict(zip(jaxpr.invars, inputs, strict=True))
    no_sources: frozenset[str] = frozenset()
    look_up: Callable[[Any], frozenset[str]] = lambda atom: (
        no_sources if isinstance(atom, Literal) else known.get(atom, no_sources)
    )
    for equation in jaxpr.eqns:
        given = [look_up(atom) for atom in equation.invars]
        if equation.primitive.name in CALLS:
            inner: Any = equation.params.get("jaxpr") or equation.params["call_jaxpr"]
            outputs = _dependencies(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner, given)
        else:
            outputs = [no_sources.union(*given)] * len(equation.outvars)
        known.update(zip(equation.outvars, outputs, strict=True))
    return [look_up(atom) for atom in jaxpr.outvars]
