"""Hierarchies and mixtures, each as a model and its data, under the names of posteriordb."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

import jaxlatent as jl
from benchmarks.posteriordb.data import load_data

ModelAndData = tuple[jl.Model, dict[str, Any]]


def eight_schools(coordinates: Callable[[Any], Any]) -> ModelAndData:
    """The eight schools."""
    d = load_data("eight_schools")
    model = jl.Model(
        prior={
            "mu": dist.Normal(0.0, 5.0),
            "tau": dist.HalfCauchy(5.0),
            "theta": lambda p: coordinates(dist.Normal(p.mu, p.tau).expand([8]).to_event(1)),
        },
        likelihood=lambda p, d: {"y": dist.Normal(p.theta, d.sigma)},
    )
    return model, {"y": d["y"].astype(float), "sigma": d["sigma"].astype(float)}


def mixture() -> ModelAndData:
    """Two normal components in order; ``theta`` is the share of the first."""

    def components(p: Any) -> dist.Distribution:
        shares = dist.Categorical(probs=jnp.stack([p.theta, 1 - p.theta]))
        return dist.MixtureSameFamily(shares, dist.Normal(p.mu, p.sigma))

    model = jl.Model(
        prior={
            "mu": jl.ordered(dist.Normal(0.0, 2.0).expand([2])),
            "sigma": dist.HalfNormal(2.0).expand([2]).to_event(1),
            "theta": dist.Beta(5.0, 5.0),
        },
        likelihood=lambda p, d: {"y": components(p)},
    )
    return model, {"y": load_data("low_dim_gauss_mix")["y"]}


POPULATIONS: dict[str, Callable[[], ModelAndData]] = {
    "eight_schools-eight_schools_centered": partial(eight_schools, jl.centred),
    "eight_schools-eight_schools_noncentered": partial(eight_schools, jl.noncentred),
    "low_dim_gauss_mix-low_dim_gauss_mix": mixture,
}
