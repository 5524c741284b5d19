"""The shapes of a model given data, and their checks."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.arrays import shape_of, split
from jaxlatent.distributions.censoring import require_cdf
from jaxlatent.distributions.centring import family_of
from jaxlatent.distributions.factor import Factor
from jaxlatent.distributions.masking import masked_log_prob
from jaxlatent.errors import InputError, or_add
from jaxlatent.graph.naming import name_of, require_distribution
from jaxlatent.latent import unit_shape
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.typing import Data


class Site(NamedTuple):
    """The slice of the position of one parameter; ``informed`` if its coordinates need a guide from the data."""

    name: str
    shape: tuple[int, ...]
    unconstrained: tuple[int, ...]
    start: int
    stop: int
    informed: bool


class Shapes(NamedTuple):
    """The shapes of a model, see `jaxlatent.model.Model.shapes`.

    Attributes:
        sites: the slice of the position of each parameter, in the order of the declaration.
        named: shapes of parameters, derived quantities and observations by name.
    """

    sites: tuple[Site, ...]
    named: dict[str, tuple[int, ...]]


def require_continuous(name: str, prior: dist.Distribution) -> None:
    """Raise `InputError` for a discrete prior, which positions cannot hold."""
    if prior.support is not None and prior.support.is_discrete:
        raise InputError(
            f"the prior of {name!r}",
            got=f"{type(family_of(prior)).__name__}, which is discrete",
            expected="a continuous distribution",
            remedy="sum the parameter out inside the likelihood, for example with numpyro.distributions.MixtureSameFamily.",
        )


def check_observed(observed: Mapping[str, Any], data: Data) -> None:
    """Check that every observation has a distribution, and data of its shape."""
    for name, d in observed.items():
        require_distribution(name, d)
        if isinstance(d, Factor):
            continue
        if name not in data:
            raise InputError(
                f"observation {name!r}",
                got=f"data named {sorted(data)}",
                expected=f"data for every name that the likelihood returns: {sorted(observed)}",
                remedy=or_add(name, data),
            )
        if shape_of(data[name]) != tuple(d.shape()):
            raise InputError(
                f"observation {name!r}",
                got=f"data of shape {shape_of(data[name])}",
                expected=f"a shape that its distribution {name_of(d)} of shape {tuple(d.shape())} has or broadcasts to",
                remedy=(
                    f"give the column as a vector, {name}[..., 0]; or "
                    if shape_of(data[name]) == (*d.shape(), 1)
                    else f"cut the covariates into the same sequences as {name}, {{name: [x_1, x_2, ...]}}; or "
                    if isinstance(d, HiddenMarkov) and len(shape_of(data[name])) > len(d.shape())
                    else ""
                )
                + "give the observation one value for each row of the covariates; bring distributions of other shapes into "
                "that of the data with `.expand` and `.to_event`; mask missing values with jl.Masked(values, mask).",
            )
        require_rows(name, d, data[name])
        require_codes(name, d, data[name])
        require_cdf(name, d, *split(data[name]))
        if 0 in d.shape():
            raise InputError(
                f"observation {name!r}",
                got=f"no values, shape {tuple(d.shape())}",
                expected="at least one value",
                remedy="check how the data were selected; for draws from the prior use jl.sample_prior.",
            )


def require_rows(name: str, d: dist.Distribution, value: Any) -> None:
    """Raise `InputError` for a mask of single entries of observations that are seen or missing as a whole."""
    mask, units = split(value)[1], unit_shape(d)
    if mask is not None and len(mask.shape) > len(units):
        raise InputError(
            f"observation {name!r}, mask",
            got=f"shape {tuple(mask.shape)}",
            expected=f"shape {units}: an observation of {name_of(d)} with several entries is seen or missing as a whole",
            remedy="mask it where an entry is missing, jl.Masked(values, mask.all(-1)); or declare entries independent, without "
            "`.to_event`, to mask them one by one.",
        )


def require_codes(name: str, d: dist.Distribution, value: Any) -> None:
    """Raise `InputError` where a distribution counts with its values, as categories do, and these are no integers."""
    values, mask = split(value)
    dtype = jnp.result_type(values)
    if d.support is None or not d.support.is_discrete or jnp.issubdtype(dtype, jnp.integer):
        return
    try:
        jax.eval_shape(lambda x, mask: masked_log_prob(d, x, mask), values, mask)
    except TypeError as error:
        raise InputError(
            f"observation {name!r}",
            got=f"values of type {dtype}",
            expected=f"integers, which {name_of(d)} counts from 0",
            remedy=f"give {name}.astype(int), once missing values (NaN) are masked; or {name}.argmax(-1) of one-hot rows.",
        ) from error
