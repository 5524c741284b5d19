"""`PyMCDensity`: the log density of a PyMC model over the flat vector of its value variables."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.data.arrays import Masked, as_data, on_device
from jaxlatent.data.reading import narrow, read
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.model.pickling import ByValue
from jaxlatent.posterior.adapters.pymc.graphs import Program
from jaxlatent.posterior.density import Density, Guides
from jaxlatent.typing import AnyArray, Array, Data, Key, Params, Position


@dataclass(frozen=True)
class PyMCDensity(ByValue, Density):
    """The density of a PyMC model without discrete free variables.

    Its data are the containers and observed values of the model by name, and under numbered names the arrays that its expressions hold.

    Args:
        program: the graphs of the model.
        names: of its free variables, in the order of the position.
        shapes: unconstrained, by free variable.
        title: the name of the model.
        axes: names of dimensions, by variable.
        labels: of the dimensions.
        arrays: the data of the model, in place of those that are not given.
    """

    program: Program
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    title: str = field(compare=False)
    axes: Mapping[str, tuple[str, ...]] = field(compare=False)
    labels: Mapping[str, tuple[Any, ...]] = field(compare=False)
    arrays: Mapping[str, np.ndarray] = field(compare=False, repr=False)
    remedy: ClassVar[str] = "use pm.sample_posterior_predictive(result.to_arviz(), model=model), or declare a jl.Model."

    @property
    def dim(self) -> int:
        """The length of a position."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def label(self) -> str:
        """The name of the model."""
        return self.title

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of dimensions of variables, as the model declares them."""
        return {name: dims for name, dims in self.axes.items() if name in self.program.source.variables}

    @property
    def covariate_dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of dimensions of the containers."""
        return {name: dims for name, dims in self.axes.items() if name in self.program.source.containers}

    @property
    def coords(self) -> Mapping[str, tuple[Any, ...]]:
        """The labels of the model's dimensions."""
        return self.labels

    def log_density(self, position: Position, data: Data, guides: Guides, jacobian: bool = True) -> Array:
        """PyMC's ``model.logp(jacobian=True)``; without ``jacobian`` that of the constrained values."""
        if jacobian:
            return _total(self.program.evaluate("log_density", self._parts(position), data))
        return _total(self._joint(self.constrain(position, data, guides), data))

    def constrain(self, position: Position, data: Data, guides: Guides) -> Params:
        """The free variables at ``position``."""
        return self.program.evaluate("constrained", self._parts(position), data)

    def unconstrain(self, params: Mapping[str, Any], data: Data, guides: Guides) -> Position:
        """The position of named values."""
        parts = self.program.evaluate("unconstrained", self._values(params), data)
        return jnp.concatenate([jnp.ravel(part) for part in parts.values()])

    def derived(self, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        """The deterministics."""
        return self.program.evaluate("derived", self._values(params), data)

    def observation(self, name: str, params: Mapping[str, AnyArray], data: Data) -> Any:
        """The observed value of an observed variable."""
        return self.program.evaluate("observations", (), data)[name]

    def covariates(self, data: Data, observed: Collection[str]) -> dict[str, Any]:
        """The containers that are not observed values."""
        source = self.program.source
        return {
            name: value for name, value in data.items() if name in source.containers and name not in source.outcomes
        }

    def with_data(self, data: Data) -> tuple["PyMCDensity", dict[str, Any]]:
        """The same density, and the model's data with some replaced."""
        axes = self.program.source.axes
        given = as_data(data)
        for name, value in given.items():
            if isinstance(value, Masked):
                raise InputError(
                    f"data {name!r}",
                    got="masked values, or arrays of unequal shapes",
                    expected="arrays as the PyMC model has them, of equal shapes in all datasets of a batch",
                    remedy="leave missing rows out, or give observed values with NaN to the model, which imputes them.",
                )
            if name not in axes:
                raise InputError(
                    f"data {name!r}",
                    got="a name that the PyMC model does not have",
                    expected=f"pm.Data or observed variables: {list(axes)}",
                    remedy=did_you_mean(name, axes),
                )
        batches = [value.shape[0] for name, value in given.items() if value.ndim > axes[name]]
        own = leaves(self.arrays)
        if batches:
            own = {name: jnp.broadcast_to(value, (batches[0], *value.shape)) for name, value in own.items()}
        return self, {**own, **given}

    def log_likelihood(self, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        """Pointwise log likelihood of the observed variables; potentials are not among them."""
        terms = self._joint(params, data)
        return {name: terms[name] for name in self.program.source.observed}

    def log_prior(self, params: Params, data: Data) -> Array:
        """The log density of the free variables, and the potentials."""
        observed = self.program.source.observed
        return _total({name: term for name, term in self._joint(params, data).items() if name not in observed})

    def sample_observed(self, key: Key, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        """One draw of every observed variable."""
        try:
            return self.program.evaluate("predictions", self._values(params), data, key)
        except NotImplementedError as error:
            raise InputError(
                "predictive draws of a PyMC model",
                got=str(error),
                expected="distributions that PyTensor draws from in JAX",
                remedy="pm.sample_posterior_predictive(result.to_arviz(), model=model).",
            ) from error

    def log_densities(self, position: Position, data: Data, guides: Guides) -> dict[str, Array]:
        """The terms of `log_density` by variable or potential."""
        source = self.program.source
        terms = self.program.evaluate("log_density", self._parts(position), data)
        kinds = {**dict.fromkeys(source.free, "prior"), **dict.fromkeys(source.observed, "likelihood")}
        return {f"{kinds.get(name, 'potential')} of {name!r}": term for name, term in terms.items()}

    def initial_position(self, key: Key, data: Data, guides: Guides) -> Position:
        """PyMC's initial point (support points, or ``initval``) plus uniform(-1, 1), as in ``pm.sample``."""
        point, jitter = jax.random.split(key)
        parts = self.program.evaluate("start", (), data, point)
        start = jnp.concatenate([jnp.ravel(part) for part in parts.values()])
        return start + jax.random.uniform(jitter, start.shape, start.dtype, -1.0, 1.0)

    def _joint(self, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        return self.program.evaluate("joint", self._values(params), data)

    def _values(self, params: Mapping[str, Any]) -> list[Array]:
        return [jnp.asarray(params[name]) for name in self.names]

    def _parts(self, position: Position) -> list[Array]:
        parts, start = [], 0
        for shape in self.shapes:
            parts.append(position[start : start + math.prod(shape)].reshape(shape))
            start += math.prod(shape)
        return parts


def leaves(arrays: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """The data of a model in JAX's precision; as bounds they may be infinite."""
    narrowed: dict[str, Any] = {}
    for name, value in arrays.items():
        what = f"data {name!r}"
        narrowed[name] = narrow(what, read(what, value)) if np.isfinite(value).all() else value
    return on_device(narrowed)


def _total(terms: Mapping[str, Array]) -> Array:
    return sum((jnp.sum(term) for term in terms.values()), start=jnp.zeros(()))
