"""Names and shapes of data, dimensions and coordinates: checked from shapes alone, without compiling."""

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data import blamed, shape_of, shapes_of
from jaxlatent.distributions import Factor
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.graph.naming import name_of
from jaxlatent.model import Model
from jaxlatent.posterior import require_continuous
from jaxlatent.typing import Data, Params


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
        check_observed(observed, data)
        for group in (params, derived, observed):
            shapes.update(
                {name: tuple(value.shape() if callable(value.shape) else value.shape) for name, value in group.items()}
            )

    with tracing_for():
        jax.eval_shape(walk, dict(described))
    return shapes


def check_observed(observed: Mapping[str, Any], data: Data) -> None:
    """Every observation has a distribution, and data of its shape."""
    for name, d in observed.items():
        if not isinstance(d, dist.Distribution):
            raise InputError(
                f"the likelihood of {name!r}",
                got=type(d).__name__,
                expected="a numpyro distribution",
                remedy="return {observation: distribution}; what is computed from parameters goes to `derived`.",
            )
        if isinstance(d, Factor):
            continue
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
                expected=f"a shape that its distribution {name_of(d)} of shape {tuple(d.shape())} has or broadcasts to",
                remedy="give the observation one value for each row of the covariates; bring distributions of other shapes into "
                "that of the data with `.expand` and `.to_event`; mask what was not seen with jl.Masked(values, mask).",
            )
        if 0 in d.shape():
            raise InputError(
                f"observation {name!r}",
                got=f"no values, shape {tuple(d.shape())}",
                expected="at least one value",
                remedy="check how the data were selected; for draws from the prior use jl.sample_prior.",
            )
