"""The census models: five binomial regressions, from complete pooling to correlated varying effects.

All model the counts of `jaxlatent.datasets.census_income` as ``income ~ Binomial(total, logits)``; they differ in how the
intercept ``alpha`` and the effect ``bm`` of being a man vary over educations. In all of them, ``p`` is the probability of
more than 50,000 dollars a year by education and sex, and ``advantage`` its difference between men and women.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

import jaxlatent as jl

#: The parts of a varying effect: intercept and effect of being a man.
EFFECTS = ("alpha", "bm")

Centring = Callable[[dist.Distribution], dist.Distribution]


def pooled() -> jl.Model:
    """One intercept and one effect for all educations."""
    return _model(
        "pooled",
        prior={"alpha": dist.Normal(0.0, 10.0), "bm": dist.Normal(0.0, 10.0)},
        logits=lambda p: p.alpha + p.bm * jnp.broadcast_to(jnp.arange(2), (7, 2)),
    )


def no_pooling() -> jl.Model:
    """A separate intercept for each education."""
    return _model(
        "no pooling",
        prior={"alpha": dist.Normal(0.0, 10.0).expand([7]).to_event(1), "bm": dist.Normal(0.0, 1.0)},
        logits=_varying_intercepts,
        dims={"alpha": ("education",)},
    )


def partial_pooling() -> jl.Model:
    """Intercepts from a population whose mean ``a`` and standard deviation ``sigma`` are learned."""
    return _model(
        "partial pooling",
        prior={
            "a": dist.Normal(0.0, 10.0),
            "bm": dist.Normal(0.0, 1.0),
            "sigma": dist.HalfCauchy(2.0),
            "alpha": lambda p: dist.Normal(p.a, p.sigma).expand([7]).to_event(1),
        },
        logits=_varying_intercepts,
        dims={"alpha": ("education",)},
    )


def correlated(centring: Centring = jl.informed) -> jl.Model:
    """Correlated intercepts and effects of sex, both varying over educations.

    Args:
        centring: parameterisation of the effects, `jaxlatent.centred`, `jaxlatent.noncentred` or `jaxlatent.informed`,
            which does not change the posterior.
    """
    return _model(
        "correlated",
        prior={
            "a": dist.Normal(0.0, 10.0),
            "b": dist.Normal(0.0, 1.0),
            "sds": dist.HalfCauchy(2.0).expand([2]).to_event(1),
            "corr_chol": dist.LKJCholesky(2, concentration=2.0),
            "effects": lambda p: centring(
                dist.MultivariateNormal(jnp.stack([p.a, p.b]), scale_tril=p.sds[:, None] * p.corr_chol)
                .expand([7])
                .to_event(1)
            ),
        },
        logits=lambda p: p.effects[:, :1] + p.effects[:, 1:] * jnp.arange(2),
        derived=lambda p: {"rho": p.corr_chol[1, 0]},
        dims={"sds": ("effect",), "effects": ("education", "effect")},
        label=f"correlated, {centring.__name__}",
        key=centring,
    )


def _varying_intercepts(p: Any) -> jax.Array:
    logits: jax.Array = p.alpha[:, None] + p.bm * jnp.arange(2)
    return logits


def _model(
    name: str,
    prior: dict[str, Any],
    logits: Callable[[Any], jax.Array],
    derived: Callable[[Any], dict[str, jax.Array]] = lambda p: {},
    dims: dict[str, tuple[str, ...]] | None = None,
    label: str | None = None,
    key: Any = None,
) -> jl.Model:
    """A census model from its priors and its log odds, ``(education, sex)``."""

    def probabilities(p: Any, d: Any) -> dict[str, jax.Array]:
        p_above = jax.nn.sigmoid(logits(p))
        return derived(p) | {"p": p_above, "advantage": p_above[:, 1] - p_above[:, 0]}

    return jl.Model(
        prior=prior,
        likelihood=lambda p, d: {"income": dist.Binomial(d.total, logits=logits(p)[d.edu, d.sex])},
        derived=probabilities,
        dims={"income": ("cell",), "p": ("education", "sex"), "advantage": ("education",), **(dims or {})},
        name=label or name,
        key=("census", name, key),
    )


class Fits(NamedTuple):
    """One model, fitted three ways.

    Attributes:
        nuts: draws by NUTS, the reference.
        map: posterior modes from several starts.
        advi: draws from the Gaussian approximation.
    """

    nuts: jl.Result
    map: jl.Result
    advi: jl.Result
