"""`Program`: everything that a posterior computes, as PyTensor graphs of a PyMC model and as JAX functions."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytensor.tensor as pt
from pymc.initial_point import make_initial_point_expression
from pymc.logprob.basic import transformed_conditional_logp
from pymc.logprob.utils import replace_rvs_by_values
from pytensor.compile.mode import get_mode
from pytensor.graph.basic import equal_computations
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import graph_inputs
from pytensor.tensor.random.type import RandomType

from jaxlatent._compat.pytensor import in_own_precision, jax_dispatch, without_scalar_increments
from jaxlatent.errors import InputError
from jaxlatent.posterior.adapters.pymc.lifting import Shapes, Source, lift
from jaxlatent.typing import AnyArray, Array, Key


class Graph(NamedTuple):
    """Outputs by name as graphs of inputs; data are inputs of all graphs, and random generators are found in them."""

    inputs: tuple[Any, ...]
    outputs: dict[str, Any]

    @property
    def generators(self) -> list[Any]:
        """The shared random generators."""
        return [v for v in graph_inputs(list(self.outputs.values())) if isinstance(v.type, RandomType)]


class Graphs:
    """The graphs of a PyMC model for data of given shapes; each method gives one.

    Args:
        source: the model.
        shapes: of all data, by name.

    Raises:
        InputError: for shapes that do not go together.
    """

    def __init__(self, source: Source, shapes: Shapes):
        self.source, self.lifted = source, lift(source, shapes)
        self.position = {name: source.values[name] for name in self.lifted.free}
        self.params = {name: rv.type(name) for name, rv in self.lifted.free.items()}
        self._graphs: dict[str, Graph] = {}
        self._functions: dict[Any, Callable[..., list[Array]]] = {}

    def log_density(self) -> Graph:
        """Terms of the log density of the position, summed, by variable or potential."""
        terms = self._terms(self.position, self.source.transforms)
        return Graph(tuple(self.position.values()), {name: pt.sum(term) for name, term in terms.items()})

    def joint(self) -> Graph:
        """Terms of the log density of named values, pointwise, by variable or potential."""
        return Graph(tuple(self.params.values()), self._terms(self.params, {}))

    def constrained(self) -> Graph:
        """Named values at the position."""
        graphs = self._at(self.lifted.free, self.position, self.source.transforms)
        return Graph(tuple(self.position.values()), graphs)

    def unconstrained(self) -> Graph:
        """The parts of the position at named values."""
        moved = {}
        for name, rv in self.lifted.free.items():
            transform = self.source.transforms[name]
            moved[name] = rv if transform is None else transform.forward(rv, *rv.owner.inputs)
        return Graph(tuple(self.params.values()), self._at(moved, self.params, {}))

    def derived(self) -> Graph:
        """Deterministics at named values."""
        return Graph(tuple(self.params.values()), self._at(self.lifted.deterministics, self.params, {}))

    def observations(self) -> Graph:
        """Observed values."""
        return Graph((), self.lifted.observations)

    def start(self) -> Graph:
        """PyMC's initial point, in unconstrained space."""
        free = self.lifted.free
        points = make_initial_point_expression(
            free_rvs=list(free.values()),
            rvs_to_transforms={rv: self.source.transforms[name] for name, rv in free.items()},
            initval_strategies={rv: self.source.initial_values[name] for name, rv in free.items()},
            return_transformed=True,
        )
        # PyMC copies the graph, with its inputs.
        copies = {v: self.lifted.inputs[v.name] for v in graph_inputs(points) if v.name in self.lifted.inputs}
        return Graph((), dict(zip(free, clone_replace(points, replace=copies), strict=True)))

    def predictions(self) -> Graph:
        """Draws of observed variables at named values."""
        given = {rv: self.params[name] for name, rv in self.lifted.free.items()}
        observed = self.lifted.observed
        graphs = replace_rvs_by_values(list(observed.values()), rvs_to_values=given)
        return Graph(tuple(self.params.values()), dict(zip(observed, graphs, strict=True)))

    def _terms(self, free: Mapping[str, Any], transforms: Mapping[str, Any]) -> dict[str, Any]:
        rvs = {**self.lifted.free, **self.lifted.observed}
        terms = transformed_conditional_logp(
            list(rvs.values()),
            rvs_to_values=self._values(free),
            rvs_to_transforms={rv: transforms.get(name) for name, rv in rvs.items()},
        )
        return {**dict(zip(rvs, terms, strict=True)), **self._at(self.lifted.potentials, free, transforms)}

    def _at(self, graphs: Mapping[str, Any], free: Mapping[str, Any], transforms: Mapping[str, Any]) -> dict[str, Any]:
        """Graphs in which variables are replaced by their values, which are transformed back."""
        if not graphs:
            return {}
        replaced = replace_rvs_by_values(
            list(graphs.values()),
            rvs_to_values=self._values(free),
            rvs_to_transforms={rv: transforms.get(name) for name, rv in self.lifted.free.items()},
        )
        return dict(zip(graphs, replaced, strict=True))

    def _values(self, free: Mapping[str, Any]) -> dict[Any, Any]:
        lifted = self.lifted
        return {
            **{rv: free[name] for name, rv in lifted.free.items()},
            **{rv: lifted.observations[name] for name, rv in lifted.observed.items()},
        }

    def evaluate(
        self, name: str, given: Sequence[AnyArray], data: Mapping[str, AnyArray], key: Key | None = None
    ) -> dict[str, Array]:
        """The outputs of a graph in JAX.

        Args:
            name: of the method that gives the graph.
            given: the inputs of the graph.
            data: all data, by name.
            key: for graphs that draw random numbers.

        Raises:
            InputError: for operations that PyTensor does not translate to JAX.
            NotImplementedError: for random variables that it does not draw from in JAX.
        """
        graph = self.graph(name)
        if not graph.outputs:
            return {}
        leaves = [data[name] for name in self.lifted.inputs]
        states = [] if key is None else [_state(jax.random.fold_in(key, i)) for i in range(len(graph.generators))]
        with in_own_precision():
            values = self._function(name)(*given, *leaves, *states)
            # Inputs that are outputs may be Python numbers, and Bernoulli draws are booleans in JAX.
            typed = [jnp.asarray(x, v.type.dtype) for x, v in zip(values, graph.outputs.values(), strict=True)]
        return dict(zip(graph.outputs, typed, strict=True))

    def graph(self, name: str) -> Graph:
        """A graph by the name of its method, made once."""
        if name not in self._graphs:
            self._graphs[name] = getattr(self, name)()
        return self._graphs[name]

    def _function(self, name: str) -> Callable[..., list[Array]]:
        # PyTensor makes JAX arrays of constants, in the precision of the moment and, within a trace, as tracers of it.
        key = name, jax.config.jax_enable_x64  # type: ignore[attr-defined]
        if key not in self._functions:
            graph = self.graph(name)
            inputs = [*graph.inputs, *self.lifted.inputs.values(), *graph.generators]
            with jax.ensure_compile_time_eval(), in_own_precision():
                self._functions[key] = _translated(inputs, list(graph.outputs.values()), self.source.check_bounds)
        return self._functions[key]

    def computes_as(self, other: "Graphs") -> bool:
        """Whether two models are the same computation under the same names."""
        one, two = self.source, other.source
        return (one.axes, one.outcomes, one.check_bounds) == (two.axes, two.outcomes, two.check_bounds) and all(
            _same(self.graph(name), self.lifted.inputs, other.graph(name), other.lifted.inputs)
            for name in ("log_density", "constrained", "derived", "observations", "start", "predictions")
        )


def _same(one: Graph, first: Mapping[str, Any], two: Graph, second: Mapping[str, Any]) -> bool:
    if list(one.outputs) != list(two.outputs) or list(first) != list(second):
        return False
    inputs = [[*graph.inputs, *data.values(), *graph.generators] for graph, data in ((one, first), (two, second))]
    if len(inputs[0]) != len(inputs[1]):
        return False
    return bool(equal_computations(list(one.outputs.values()), list(two.outputs.values()), *inputs))


class Program:
    """The graphs of a PyMC model for data of any shapes, compared by identity.

    Args:
        source: the model.
        shapes: of its own data, by name.
    """

    def __init__(self, source: Source, shapes: Shapes):
        self.source, self.shapes = source, dict(shapes)
        self._at: dict[Any, Graphs] = {}

    def __reduce__(self) -> Any:
        return interned, (self.source, self.shapes)

    def at(self, shapes: Shapes) -> Graphs:
        """The graphs for data of these shapes, made once."""
        key = tuple(sorted(shapes.items()))
        if key not in self._at:
            self._at[key] = Graphs(self.source, shapes)
        return self._at[key]

    def evaluate(
        self, name: str, given: Sequence[AnyArray], data: Mapping[str, AnyArray], key: Key | None = None
    ) -> dict[str, Array]:
        """The outputs of a graph in JAX; see `Graphs.evaluate`."""
        return self.at({name: jnp.shape(value) for name, value in data.items()}).evaluate(name, given, data, key)


_KNOWN: "weakref.WeakSet[Program]" = weakref.WeakSet()


def interned(source: Source, shapes: Shapes) -> Program:
    """The program of a model: the same object for models that are the same computation, so that these share compiled programs.

    Args:
        source: the model.
        shapes: of its own data, by name.
    """
    program = Program(source, shapes)
    for known in list(_KNOWN):
        if known.shapes == program.shapes and known.at(shapes).computes_as(program.at(shapes)):
            return known
    _KNOWN.add(program)
    return program


def _translated(inputs: list[Any], outputs: list[Any], check_bounds: bool) -> Callable[..., list[Array]]:
    """A JAX function of a graph, after PyTensor's rewrites for JAX and PyMC's for the bounds of parameters."""
    bounds = "local_check_parameter_to_ninf_switch" if check_bounds else "local_remove_check_parameter"
    funcify, graph = jax_dispatch(), FunctionGraph(inputs=inputs, outputs=outputs, clone=True)
    get_mode("JAX").including(bounds).optimizer.rewrite(graph)
    try:
        function: Callable[..., list[Array]] = funcify(without_scalar_increments(graph))
    except NotImplementedError as error:
        raise InputError(
            "from_pymc(model)",
            got=str(error),
            expected="operations that PyTensor translates to JAX",
            remedy="write this part of the model with other operations, or sample it with pm.sample.",
        ) from error
    return function


def _state(key: Key) -> dict[str, Array]:
    """The state of a random generator as PyTensor's JAX functions read and advance it."""
    shape = jax.random.key_data(jax.random.key(0)).shape
    return {"jax_state": jax.random.bits(key, shape, "uint32")}
