"""`Source`, what a PyMC model consists of, and `lift`, which turns its data from constants into inputs of the graphs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.compile import SharedVariable
from pytensor.graph import Constant
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors
from pytensor.tensor import TensorConstant, TensorType
from pytensor.tensor.random.type import RandomType

from jaxlatent.errors import InputError

Shapes = Mapping[str, tuple[int, ...]]

#: Integer arrays of fewer entries may be shapes, which JAX must know when it traces.
_SHAPE = 16


@dataclass(frozen=True, eq=False)
class Source:
    """What a PyMC model consists of when it is handed over; what is added to it later does not count.

    Args:
        label: the name of the model.
        free, observed, potentials, deterministics: its variables, by name and in its order.
        values: value variables, of free variables in unconstrained space, of observed ones the data.
        transforms: of free variables, None where there is none.
        initial_values: of free variables, as given by ``initval``.
        containers: ``pm.Data`` by name.
        lengths: of the dimensions that no container decides, as pairs of a scalar variable and its value.
        dims: names of the dimensions by variable.
        coords: labels by dimension.
        check_bounds: whether parameters outside their support give a log density of minus infinity.
    """

    label: str
    free: dict[str, Any]
    observed: dict[str, Any]
    potentials: dict[str, Any]
    deterministics: dict[str, Any]
    values: dict[str, Any]
    transforms: dict[str, Any]
    initial_values: dict[str, Any]
    containers: dict[str, Any]
    lengths: dict[str, tuple[Any, int]]
    dims: dict[str, tuple[str | None, ...]]
    coords: dict[str, tuple[Any, ...]]
    check_bounds: bool

    @staticmethod
    def of(model: Any) -> "Source":
        """The parts of a `pymc.Model`."""
        return Source(
            label=model.name or "PyMC model",
            free=_named(model.free_RVs),
            observed=_named(model.observed_RVs),
            potentials=_named(model.potentials),
            deterministics=_named(model.deterministics),
            values={rv.name: model.rvs_to_values[rv] for rv in model.basic_RVs},
            transforms={rv.name: model.rvs_to_transforms[rv] for rv in model.free_RVs},
            initial_values={rv.name: model.rvs_to_initial_values.get(rv) for rv in model.free_RVs},
            containers=_named(v for v in model.data_vars if isinstance(v, SharedVariable)),
            lengths={
                dim: (length, int(length.get_value()))
                for dim, length in model.dim_lengths.items()
                if isinstance(length, SharedVariable)
            },
            dims={name: tuple(dims) for name, dims in model.named_vars_to_dims.items()},
            coords={dim: tuple(labels) for dim, labels in model.coords.items() if labels is not None},
            check_bounds=model.check_bounds,
        )

    @property
    def variables(self) -> dict[str, Any]:
        """All variables that have graphs, by name."""
        return {**self.free, **self.observed, **self.potentials, **self.deterministics}

    @property
    def axes(self) -> dict[str, int]:
        """The number of axes of the data that can be replaced, by name: containers and observed values."""
        return {name: v.type.ndim for name, v in {**self.containers, **self._observed_constants()}.items()}

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the data that are observed values."""
        values = set(ancestors([self.values[name] for name in self.observed]))
        return (*self._observed_constants(), *(name for name, v in self.containers.items() if v in values))

    def arrays(self) -> dict[str, np.ndarray]:
        """The data of the model, which become the leaves of the posterior.

        They are its containers, its observed values, and under numbered names the arrays that its expressions hold.
        """
        found = {name: container.get_value() for name, container in self.containers.items()}
        found |= {name: value.data for name, value in self._observed_constants().items()}
        found |= {_numbered(i): value for i, (_, value) in enumerate(self._held())}
        return {name: np.asarray(value) for name, value in found.items()}

    def _observed_constants(self) -> dict[str, Any]:
        return {name: self.values[name] for name in self.observed if isinstance(self.values[name], Constant)}

    def _held(self) -> list[tuple[Any, np.ndarray]]:
        """The arrays that expressions hold: constants, and shared variables that are not containers."""
        graphs = [*self.variables.values(), *self.values.values()]
        own = [*self.containers.values(), *self._observed_constants().values(), *(v for v, _ in self.lengths.values())]
        known = {id(variable) for variable in own}
        leaves = [v for v in ancestors(graphs) if v.owner is None and id(v) not in known]
        held = []
        for leaf in leaves:
            if isinstance(leaf, TensorConstant) and _is_data(leaf.data):
                held.append((leaf, leaf.data))
            elif isinstance(leaf, SharedVariable) and not isinstance(leaf.type, RandomType):
                held.append((leaf, np.asarray(leaf.get_value())))
        return held


@dataclass(frozen=True, eq=False)
class Lifted:
    """The variables of a `Source` as graphs of inputs.

    Args:
        inputs: by name of the data.
        free, observed, potentials, deterministics: as in `Source`.
        observations: graphs of the observed values, by name of the observed variable.
    """

    inputs: dict[str, Any]
    free: dict[str, Any]
    observed: dict[str, Any]
    potentials: dict[str, Any]
    deterministics: dict[str, Any]
    observations: dict[str, Any]


def lift(source: Source, shapes: Shapes) -> Lifted:
    """The graphs of a model for data of given shapes.

    Args:
        source: the model.
        shapes: of all data, by name.

    Raises:
        InputError: for shapes that do not go together.
    """
    replace: dict[Any, Any] = {}
    inputs: dict[str, Any] = {}

    def add(name: str, old: Any) -> None:
        inputs[name] = replace[old] = TensorType(old.type.dtype, shape=shapes[name])(name)

    for name, container in source.containers.items():
        add(name, container)
    for name, constant in source._observed_constants().items():
        add(name, constant)
    for i, (old, _) in enumerate(source._held()):
        add(_numbered(i), old)
    for dim, (length, own) in source.lengths.items():
        replace[length] = pt.constant(_length(source, dim, shapes, own), dtype=length.type.dtype)
    outputs = {**source.variables, **{_observation(name): source.values[name] for name in source.observed}}
    try:
        graphs = dict(zip(outputs, _replaced(list(outputs.values()), replace), strict=True))
    except Exception as error:
        raise InputError(
            "the data of the PyMC model",
            got=f"{type(error).__name__}: {error}",
            expected=f"arrays whose shapes go together: {dict(shapes)}",
            remedy="give all data of the model that change together, as with pm.set_data.",
        ) from error
    part: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda names: {name: graphs[name] for name in names}
    observations = {name: graphs[_observation(name)] for name in source.observed}
    return Lifted(
        inputs,
        part(source.free),
        part(source.observed),
        part(source.potentials),
        part(source.deterministics),
        observations,
    )


def _replaced(outputs: Sequence[Any], replace: Mapping[Any, Any]) -> list[Any]:
    """Clone graphs with replaced leaves, some of which are outputs themselves."""
    graphs = [output for output in outputs if output not in replace]
    cloned = iter(clone_replace(graphs, replace=dict(replace), rebuild_strict=False))
    return [replace[output] if output in replace else next(cloned) for output in outputs]


def _length(source: Source, dim: str, shapes: Shapes, own: int) -> int:
    """The length of a dimension: of the containers that have it, else the model's own."""
    for name in source.containers:
        for axis, named in enumerate(source.dims.get(name, ())):
            if named == dim:
                return shapes[name][axis]
    return own


def _named(variables: Iterable[Any]) -> dict[str, Any]:
    return {variable.name: variable for variable in variables}


def _is_data(value: np.ndarray) -> bool:
    """Whether an array in an expression is data rather than a shape or an infinite bound, by which PyMC chooses a transform."""
    kind = value.dtype.kind
    return (kind == "f" and value.size > 1 and bool(np.isfinite(value).all())) or (
        kind in "iu" and value.size >= _SHAPE
    )


def _numbered(i: int) -> str:
    return f"array {i}"


def _observation(name: str) -> str:
    return f"observed {name}"
