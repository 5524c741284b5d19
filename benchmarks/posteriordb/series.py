"""Time series and hidden Markov models, each as a model and its data, under the names of posteriordb."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import constraints

import jaxlatent as jl
from benchmarks.posteriordb.data import load_data

ModelAndData = tuple[jl.Model, dict[str, Any]]

FLAT_SIMPLEX = dist.Dirichlet(jnp.ones(2))
EQUAL = jnp.array([0.5, 0.5])


def autoregression() -> ModelAndData:
    """An autoregression of order five, given the first five values."""
    d = load_data("arK")
    y, order = d["y"], d["K"]
    model = jl.Model(
        prior={
            "alpha": dist.Normal(0.0, 10.0),
            "beta": dist.Normal(0.0, 10.0).expand([order]).to_event(1),
            "sigma": dist.HalfCauchy(2.5),
        },
        likelihood=lambda p, d: {"y": dist.Normal(p.alpha + d.before @ p.beta, p.sigma)},
    )
    return model, {"before": np.column_stack([y[order - k : -k] for k in range(1, order + 1)]), "y": y[order:]}


def moving_average() -> ModelAndData:
    """An ARMA(1, 1): what is expected depends on the error before."""

    def expected(p: Any, y: jax.Array) -> jax.Array:
        def step(error: jax.Array, pair: Any) -> tuple[jax.Array, jax.Array]:
            before, now = pair
            mean = p.mu + p.phi * before + p.theta * error
            return now - mean, mean

        first = p.mu + p.phi * p.mu
        return jnp.append(first, jax.lax.scan(step, y[0] - first, (y[:-1], y[1:]))[1])

    model = jl.Model(
        prior={
            "mu": dist.Normal(0.0, 10.0),
            "phi": dist.Normal(0.0, 2.0),
            "theta": dist.Normal(0.0, 2.0),
            "sigma": dist.HalfCauchy(2.5),
        },
        likelihood=lambda p, d: {"y": dist.Normal(expected(p, d.y), p.sigma)},
    )
    return model, {"y": load_data("arma")["y"]}


def garch() -> ModelAndData:
    """A GARCH(1, 1), flat on all shares of variance that are stationary."""

    def scales(p: Any, d: Any) -> jax.Array:
        def step(variance: jax.Array, before: jax.Array) -> tuple[jax.Array, jax.Array]:
            variance = p.alpha0 + p.alpha1 * (before - p.mu) ** 2 + p.beta1 * variance
            return variance, variance

        first = d.sigma1**2
        return jnp.sqrt(jnp.append(first, jax.lax.scan(step, first, d.y[:-1])[1]))

    model = jl.Model(
        prior={
            "mu": dist.ImproperUniform(constraints.real, (), ()),
            "alpha0": dist.ImproperUniform(constraints.positive, (), ()),
            "alpha1": dist.Uniform(0.0, 1.0),
            "beta1": lambda p: dist.ImproperUniform(constraints.interval(0.0, 1.0 - p.alpha1), (), ()),
        },
        likelihood=lambda p, d: {"y": dist.Normal(p.mu, scales(p, d))},
    )
    d = load_data("garch")
    return model, {"y": d["y"], "sigma1": d["sigma1"]}


def hmm_example() -> ModelAndData:
    """Two hidden states with normal emissions; the first state is not modelled, here it is uniform."""
    model = jl.Model(
        prior={
            "theta1": FLAT_SIMPLEX,
            "theta2": FLAT_SIMPLEX,
            "mu": jl.ordered(dist.TruncatedNormal(jnp.array([3.0, 10.0]), 1.0, low=0.0)),
        },
        likelihood=lambda p, d: {"y": jl.HiddenMarkov(EQUAL, jnp.stack([p.theta1, p.theta2]), dist.Normal(p.mu, 1.0))},
    )
    return model, {"y": load_data("hmm_example")["y"]}


def drive(normal: bool) -> ModelAndData:
    """Whether a basketball player drives, from inverse speed and distance to the hoop, which have exponential or normal errors."""
    d = load_data(f"bball_drive_event_{normal:d}")
    levels = jnp.array([0.0, 3.0])
    increasing = jl.ordered(dist.Normal(levels, 1.0) if normal else dist.TruncatedNormal(levels, 1.0, low=0.0))

    def emission(p: Any) -> dist.Distribution:
        rates = jnp.stack([p.phi, getattr(p, "lambda")], -1)
        each = dist.Normal(rates, jnp.array([d["tau"], d["rho"]])) if normal else dist.Exponential(rates)
        return each.to_event(1)

    model = jl.Model(
        prior={
            "theta1": dist.Dirichlet(d["alpha"][0]),
            "theta2": dist.Dirichlet(d["alpha"][1]),
            "phi": increasing,
            "lambda": increasing,
        },
        likelihood=lambda p, d: {"y": jl.HiddenMarkov(EQUAL, jnp.stack([p.theta1, p.theta2]), emission(p))},
    )
    return model, {"y": np.column_stack([d["u"], d["v"]])}


SERIES: dict[str, Callable[[], ModelAndData]] = {
    "arK-arK": autoregression,
    "arma-arma11": moving_average,
    "garch-garch11": garch,
    "hmm_example-hmm_example": hmm_example,
    "bball_drive_event_0-hmm_drive_0": partial(drive, normal=False),
    "bball_drive_event_1-hmm_drive_1": partial(drive, normal=True),
}
