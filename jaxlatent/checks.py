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


def explain_start(posterior: Posterior, key: Key, label: str) -> InputError:
    """Why no start with a finite density was found for one dataset: which prior or observation is to blame."""
    expected = "a finite log density somewhere in uniform(-2, 2) of unconstrained space (100 tries)"
    # Traced, because at concrete parameters outside their range NumPyro itself raises, without a name.
    terms = _log_densities(posterior, key)
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
    inside, values = map(np.asarray, _contained(posterior, position, name))
    names: list[str] = []

    def look(posterior: Posterior, position: Array) -> None:
        d = posterior.density.observed(posterior.constrain(position), posterior.data)[name]
        names.extend([_name_of(d), _name_of(d.support)])

    jax.eval_shape(look, posterior, position)
    where = tuple(int(i) for i in np.argwhere(~inside)[0])
    value = values[where]
    return InputError(
        f"{label}observation {name!r}",
        got=f"{int((~inside).sum())} of {inside.size} values outside the support, the first at index {where}: {value}",
        expected=f"values in the support of {names[0]}: {names[1]}",
        remedy="correct the data (integers where it counts, categories from 0), or choose another distribution.",
    )


@jax.jit
def _log_densities(posterior: Posterior, key: Key) -> dict[str, Array]:
    return posterior.density.log_densities(posterior.initial_position(key), posterior.data, posterior.guides)


@partial(jax.jit, static_argnames="name")
def _contained(posterior: Posterior, position: Array, name: str) -> tuple[Array, Array]:
    """Which values of an observation lie in its support, and the values."""
    params = posterior.constrain(position)
    observation = posterior.density.observation(name, params, posterior.data)
    return inside_support(posterior.density.observed(params, posterior.data)[name], observation), split(observation)[0]


def _name_of(thing: Any) -> str:
    while hasattr(thing, "base_dist") or hasattr(thing, "base_constraint"):
        thing = getattr(thing, "base_dist", None) or thing.base_constraint
    return type(thing).__name__.lstrip("_")
