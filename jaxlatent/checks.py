"""What can be wrong with a model and its data, said before any long work.

Shapes and names are checked from shapes alone, without compiling; supports and the initial density need one evaluation of the log
density, without gradient, at the starting positions.
"""

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data import blamed, shape_of, shapes_of, split
from jaxlatent.distributions.masking import inside_support
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.model import Model
from jaxlatent.posterior import Posterior, require_continuous
from jaxlatent.typing import Array, Data, Key, Params


def check_shapes(model: Model, data: Data) -> dict[str, tuple[int, ...]]:
    """Every observation is in the data, under its name and in its shape.

    Returns:
        The shapes of parameters, derived quantities and observations by name.

    Raises:
        InputError: naming the observation or the function that failed.
    """
    return dict(_check_shapes(model, shapes_of(data)))


@lru_cache(maxsize=256)
def _check_shapes(model: Model, described: tuple[tuple[str, Any], ...]) -> dict[str, tuple[int, ...]]:
    """As `check_shapes`; remembered, because tracing a model takes longer than a small fit."""
    shapes: dict[str, tuple[int, ...]] = {}

    def walk(data: Data) -> None:
        params: Params = {}
        for name in model.prior:
            d = blamed(f"the prior of {name!r}", partial(model.prior_of, name, params, data), data)
            require_continuous(name, d)
            params[name] = jnp.zeros(d.shape())
        observed = blamed("the likelihood", lambda: model.observed(params, data), data)
        derived = blamed("the derived quantities", lambda: model.deterministic(params, data), data)
        for name, d in observed.items():
            if not isinstance(d, dist.Distribution):
                raise InputError(
                    f"the likelihood of {name!r}",
                    got=type(d).__name__,
                    expected="a numpyro distribution",
                    remedy="return {observation: distribution}; what is computed from parameters goes to `derived`.",
                )
            if name not in data:
                raise InputError(
                    f"observation {name!r}",
                    got=f"data named {sorted(data)}",
                    expected=f"data for every name that the likelihood returns: {sorted(observed)}",
                    remedy=did_you_mean(name, data) + " Or add it to the data.",
                )
            if shape_of(data[name]) != tuple(d.shape()):
                raise InputError(
                    f"observation {name!r}",
                    got=f"data of shape {shape_of(data[name])}",
                    expected=f"the shape of its distribution {_name_of(d)}: {tuple(d.shape())}",
                    remedy="give the observation one value for each row of the covariates.",
                )
            if 0 in d.shape():
                raise InputError(
                    f"observation {name!r}",
                    got=f"no values, shape {tuple(d.shape())}",
                    expected="at least one value",
                    remedy="check how the data were selected; for draws from the prior use jl.sample_prior.",
                )
        for group in (params, derived, observed):
            shapes.update(
                {name: tuple(value.shape() if callable(value.shape) else value.shape) for name, value in group.items()}
            )

    with tracing_for():
        jax.eval_shape(walk, dict(described))
    return shapes


def check_dims(model: Model, shapes: dict[str, tuple[int, ...]], coords: dict[str, Any]) -> None:
    """Named dimensions fit the shapes of what they name, and coordinates their lengths."""
    for name, dims in model.dims.items():
        if name not in shapes:
            raise InputError(
                f"Model(dims=...) for {name!r}",
                got=f"a name that is none of {sorted(shapes)}",
                expected="a parameter, derived quantity or observation",
                remedy=did_you_mean(name, shapes),
            )
        if len(dims) != len(shapes[name]):
            raise InputError(
                f"Model(dims=...) for {name!r}",
                got=f"{len(dims)} dimensions {tuple(dims)}",
                expected=f"one name for each axis of shape {shapes[name]}",
                remedy="name every axis after chain and draw.",
            )
        for dim, length in zip(dims, shapes[name], strict=True):
            if dim in coords and len(coords[dim]) != length:
                raise InputError(
                    f"coords[{dim!r}]",
                    got=f"{len(coords[dim])} labels",
                    expected=f"{length}, the length of that axis of {name!r}",
                    remedy="give one label for each position.",
                )
    known = {dim for dims in model.dims.values() for dim in dims}
    known |= {f"{name}_dim_{i}" for name, shape in shapes.items() for i in range(len(shape))}
    for dim in coords:
        if dim not in known:
            raise InputError(
                f"coords[{dim!r}]",
                got="labels of a dimension that nothing has",
                expected="a dimension named in Model(dims=...)",
                remedy=did_you_mean(dim, {dim for dims in model.dims.values() for dim in dims}),
            )


def explain_start(posterior: Posterior, key: Key, label: str) -> InputError:
    """Why no start with a finite density was found for one dataset: which prior or observation is to blame."""
    expected = "a finite log density somewhere in uniform(-2, 2) of unconstrained space (100 tries)"
    density = posterior.density
    # Traced, because at concrete parameters outside their range NumPyro itself raises, without a name.
    terms = jax.jit(lambda p: density.log_densities(p.initial_position(key), p.data, p.guides))(posterior)
    names = [name for name, term in terms.items() if not np.isfinite(term)]
    values = ", ".join(f"{name} = {float(terms[name]):.4g}" for name in names) or "the sum overflows"
    return InputError(
        label + (names[0] if names else "the log density"),
        got=f"no finite log density at the start ({values})",
        expected=expected,
        remedy="check scales and supports there, or start from plausible values (`init=`).",
    )


def explain_support(posterior: Posterior, position: Array, name: str, label: str) -> InputError:
    """Which values of observation ``name`` of one dataset lie outside the support of their distribution."""
    names: list[str] = []

    def contains(posterior: Posterior, position: Array) -> Array:
        d = posterior.density.observed(posterior.constrain(position), posterior.data)[name]
        names[:] = [_name_of(d), _name_of(d.support)]
        return inside_support(d, posterior.data[name])

    inside = np.asarray(jax.jit(contains)(posterior, position))
    where = tuple(int(i) for i in np.argwhere(~inside)[0])
    value = np.asarray(split(posterior.data[name])[0])[where]
    return InputError(
        f"{label}observation {name!r}",
        got=f"{int((~inside).sum())} of {inside.size} values outside the support, the first at index {where}: {value}",
        expected=f"values in the support of {names[0]}: {names[1]}",
        remedy="correct the data (integers where it counts, categories from 0), or choose another distribution.",
    )


def _name_of(thing: Any) -> str:
    while hasattr(thing, "base_dist") or hasattr(thing, "base_constraint"):
        thing = getattr(thing, "base_dist", None) or thing.base_constraint
    return type(thing).__name__.lstrip("_")
