"""Posteriors whose curvature varies, and a few that only look so, each as a model and its data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from benchmarks.posteriordb.populations import eight_schools
from benchmarks.posteriordb.series import hmm_example
from jaxlatent.datasets import census_income
from jaxlatent.demos import census

ModelAndData = tuple[jl.Model, dict[str, Any]]


def census_model(model: jl.Model) -> ModelAndData:
    """A census model with its data."""
    return model, dict(census_income().data)


def funnel() -> ModelAndData:
    """Neal's funnel in ten dimensions, centred."""
    model = jl.Model(
        prior={
            "v": dist.Normal(0.0, 3.0),
            "x": lambda p: dist.Normal(0.0, jnp.exp(p.v / 2)).expand([9]).to_event(1),
        },
        likelihood=lambda p, d: {"nothing": jl.Factor(d.zero)},
    )
    return model, {"zero": np.zeros(())}


def banana() -> ModelAndData:
    """Rosenbrock's function as a density."""
    model = jl.Model(
        prior={"a": dist.Normal(1.0, 1.0), "b": lambda p: dist.Normal(p.a**2, 0.2)},
        likelihood=lambda p, d: {"nothing": jl.Factor(d.zero)},
    )
    return model, {"zero": np.zeros(())}


def stochastic_volatility(steps: int = 60) -> ModelAndData:
    """Simulated returns, whose log volatility is an autoregression, non-centred."""
    rng = np.random.default_rng(4)
    h = np.zeros(steps)
    for t in range(1, steps):
        h[t] = 0.95 * h[t - 1] + 0.3 * rng.normal()

    def volatility(p: Any) -> Any:
        first = p.z[0] * p.sigma / jnp.sqrt(1 - p.phi**2)

        def step(h: Any, z: Any) -> Any:
            h = p.phi * h + p.sigma * z
            return h, h

        return jnp.exp((p.mu + jnp.concatenate([first[None], jax.lax.scan(step, first, p.z[1:])[1]])) / 2)

    model = jl.Model(
        prior={
            "phi": dist.Beta(10.0, 1.0),
            "sigma": dist.HalfNormal(0.5),
            "mu": dist.Normal(0.0, 1.0),
            "z": dist.Normal(0.0, 1.0).expand([steps]).to_event(1),
        },
        likelihood=lambda p, d: {"y": dist.Normal(0.0, volatility(p))},
    )
    return model, {"y": np.exp(h / 2) * rng.normal(size=steps)}


def horseshoe() -> ModelAndData:
    """A regression with a horseshoe prior, non-centred, one of whose ten columns matters."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 10))
    model = jl.Model(
        prior={
            "tau": dist.HalfCauchy(0.2),
            "lam": dist.HalfCauchy(1.0).expand([10]).to_event(1),
            "z": dist.Normal(0.0, 1.0).expand([10]).to_event(1),
            "sigma": dist.HalfNormal(1.0),
        },
        likelihood=lambda p, d: {"y": dist.Normal(d.x @ (p.z * p.lam * p.tau), p.sigma)},
    )
    return model, {"x": x, "y": 2 * x[:, 0] + rng.normal(size=40)}


def cox_process(bins: int = 30) -> ModelAndData:
    """A Poisson process whose log rate is a Gaussian process of unknown scale and length, non-centred."""
    rng = np.random.default_rng(2)
    x = np.linspace(0.0, 1.0, bins)

    def log_rate(p: Any, x: Any) -> Any:
        kernel = p.scale**2 * jnp.exp(-0.5 * ((x[:, None] - x) / p.length) ** 2) + 1e-3 * jnp.eye(bins)
        return p.level + jnp.linalg.cholesky(kernel) @ p.z

    model = jl.Model(
        prior={
            "level": dist.Normal(0.0, 3.0),
            "scale": dist.HalfNormal(1.0),
            "length": dist.InverseGamma(3.0, 0.5),
            "z": dist.Normal(0.0, 1.0).expand([bins]).to_event(1),
        },
        likelihood=lambda p, d: {"y": dist.Poisson(jnp.exp(log_rate(p, d.x)))},
    )
    return model, {"x": x, "y": rng.poisson(np.exp(1 + 0.8 * np.sin(6 * x)))}


BENT: dict[str, Callable[[], ModelAndData]] = {
    "hmm_example": hmm_example,
    "eight_schools_centered": lambda: eight_schools(jl.centred),
    "eight_schools_noncentered": lambda: eight_schools(jl.noncentred),
    "census C3": lambda: census_model(census.partial_pooling()),
    "census C4": lambda: census_model(census.correlated(jl.centred)),
    "census C5, non-centred": lambda: census_model(census.correlated(jl.noncentred)),
    "census C5, informed": lambda: census_model(census.correlated(jl.informed)),
    "funnel": funnel,
    "banana": banana,
    "stochastic volatility": stochastic_volatility,
    "horseshoe": horseshoe,
    "Cox process": cox_process,
}
