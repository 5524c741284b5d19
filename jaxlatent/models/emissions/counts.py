"""Emissions of binary, categorical and count data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.distributions import counts
from jaxlatent.engines.optimize.newton import damped_newton
from jaxlatent.latent import Expected
from jaxlatent.models.parts import Priors, Updates, event_shape, rows, simplex_mode, weights_of
from jaxlatent.models.settings import require_count, require_dim, require_positive
from jaxlatent.models.starts import Clustered
from jaxlatent.models.units import units_of_y
from jaxlatent.typing import Array, Params

#: Rate of the prior of Poisson rates, for counts near one.
_WEAK_RATE = 0.1


@dataclass(frozen=True)
class Bernoulli(Clustered):
    """Zeros and ones: ``probs`` ``(K,)``, or ``(K, D)`` for ``D`` independent ones; beta prior.

    Args:
        dim: ``D``; None for scalar observations.
        concentration1, concentration0: of the prior, of ones and zeros; 1 is flat.
    """

    dim: int | None = None
    concentration1: float = 1.1
    concentration0: float = 1.1

    def __post_init__(self) -> None:
        require_dim("Bernoulli(dim=...)", self.dim)
        require_positive("Bernoulli(concentration1=...)", self.concentration1)
        require_positive("Bernoulli(concentration0=...)", self.concentration0)

    @property
    def event_dim(self) -> int:
        """1 for vectors, 0 for numbers."""
        return 0 if self.dim is None else 1

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"probs": () if self.dim is None else ("feature",)}

    def prior(self, num_states: int) -> Priors:
        """``probs``."""
        shape = event_shape(num_states, self.dim)
        return {"probs": dist.Beta(self.concentration1, self.concentration0).expand(shape).to_event(len(shape))}

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(K,)``."""
        return dist.Bernoulli(probs=p.probs).to_event(self.event_dim)

    def m_step(self) -> Updates:
        """The M-step in closed form."""

        def probs(p: Namespace, d: Namespace, expected: Expected) -> Array:
            w, y = weights_of(expected), rows(d.y, self.event_dim)
            size = jnp.sum(w, 0).reshape(-1, *(1,) * self.event_dim)
            ones = w.T @ y.astype(w.dtype) + self.concentration1 - 1
            mass = size + self.concentration1 + self.concentration0 - 2
            border = jnp.finfo(ones.dtype)
            return jnp.clip(ones / jnp.where(mass > 0, mass, 1.0), border.tiny, 1 - border.epsneg)

        return {"probs": probs}

    def start(self, num_states: int, d: Namespace) -> Params:
        """Probabilities of one half."""
        return {"probs": jnp.full(event_shape(num_states, self.dim), 0.5)}


@dataclass(frozen=True)
class Categorical(Clustered):
    """One of ``num_classes``, counted from 0: ``probs`` ``(K, C)``; Dirichlet prior.

    Args:
        num_classes: ``C``.
        concentration: of the prior; 1 is flat.
    """

    num_classes: int
    concentration: float = 1.1

    event_dim = 0

    def __post_init__(self) -> None:
        require_count("Categorical(num_classes=...)", self.num_classes)
        require_positive("Categorical(concentration=...)", self.concentration)

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"probs": ("category",)}

    def prior(self, num_states: int) -> Priors:
        """``probs``."""
        return {"probs": dist.Dirichlet(jnp.full((num_states, self.num_classes), self.concentration)).to_event(1)}

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(K,)``."""
        return dist.Categorical(probs=p.probs)

    def m_step(self) -> Updates:
        """The M-step in closed form."""

        def probs(p: Namespace, d: Namespace, expected: Expected) -> Array:
            w = weights_of(expected)
            return simplex_mode(w.T @ jax.nn.one_hot(d.y.ravel(), self.num_classes, dtype=w.dtype), self.concentration)

        return {"probs": probs}

    def start(self, num_states: int, d: Namespace) -> Params:
        """Equal probabilities."""
        return {"probs": jnp.full((num_states, self.num_classes), 1 / self.num_classes)}


@dataclass(frozen=True)
class Poisson(Clustered):
    """Counts: ``rates`` ``(K,)``, or ``(K, D)`` for ``D`` independent ones; gamma prior.

    Args:
        dim: ``D``; None for scalar observations.
        concentration, rate: of the prior. The rate "auto" is 0.1, and less for large counts: 0.1 over their mean. A tenth of an observation
            of one would move the rate of many large counts by more than its standard error.
    """

    dim: int | None = None
    concentration: float = 1.1
    rate: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        require_dim("Poisson(dim=...)", self.dim)
        require_positive("Poisson(concentration=...)", self.concentration)
        if self.rate != "auto":
            require_positive("Poisson(rate=...)", self.rate)

    @property
    def event_dim(self) -> int:
        """1 for vectors, 0 for numbers."""
        return 0 if self.dim is None else 1

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"rates": () if self.dim is None else ("feature",)}

    def prior(self, num_states: int) -> Priors:
        """``rates``."""
        shape = event_shape(num_states, self.dim)
        prior: Callable[[Any], dist.Distribution] = lambda rate: (
            dist.Gamma(self.concentration, rate).expand(shape).to_event(len(shape))
        )
        return {"rates": (lambda p, d: prior(self._rate(d))) if self.rate == "auto" else prior(self.rate)}

    def _rate(self, d: Namespace) -> Array | float:
        """The rate of the prior, a scalar or one for each entry."""
        if self.rate != "auto":
            return self.rate
        return _WEAK_RATE / jnp.maximum(units_of_y(d, self.dim).centre, 1.0)

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(K,)``."""
        return counts.Poisson(p.rates).to_event(self.event_dim)

    def m_step(self) -> Updates:
        """The M-step in closed form."""

        def rates(p: Namespace, d: Namespace, expected: Expected) -> Array:
            w, y = weights_of(expected), rows(d.y, self.event_dim)
            size = jnp.sum(w, 0).reshape(-1, *(1,) * self.event_dim)
            return jnp.maximum(w.T @ y.astype(w.dtype) + self.concentration - 1, 0.0) / (size + self._rate(d))

        return {"rates": rates}

    def start(self, num_states: int, d: Namespace) -> Params:
        """Rates of one."""
        return {"rates": jnp.ones(event_shape(num_states, self.dim))}


@dataclass(frozen=True)
class NegativeBinomial(Clustered):
    """Overdispersed counts: mean ``rates`` and ``concentrations`` ``(K,)``, variance rate + rate^2 / concentration.

    Args:
        prior_scale: of the normal priors of their logarithms.
    """

    prior_scale: float = 5.0

    event_dim = 0

    def __post_init__(self) -> None:
        require_positive("NegativeBinomial(prior_scale=...)", self.prior_scale)

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters after the first."""
        return {"rates": (), "concentrations": ()}

    def prior(self, num_states: int) -> Priors:
        """``rates`` and ``concentrations``."""
        normal = dist.LogNormal(0.0, self.prior_scale).expand([num_states]).to_event(1)
        return {"rates": normal, "concentrations": normal}

    def distribution(self, p: Namespace, d: Namespace) -> dist.Distribution:
        """The distribution of the observation, of batch shape ``(K,)``."""
        return counts.NegativeBinomial2(p.rates, p.concentrations)

    def m_step(self) -> Updates:
        """Three Newton steps for every state, on the log scale."""

        def both(p: Namespace, d: Namespace, expected: Expected) -> tuple[Array, Array]:
            w, y = weights_of(expected), d.y.ravel()
            prior = dist.LogNormal(0.0, self.prior_scale)

            def one(rate: Array, concentration: Array, w: Array) -> Array:
                def objective(logs: Array) -> Array:
                    fit = counts.NegativeBinomial2(*jnp.exp(logs)).log_prob(y)
                    return jnp.sum(w * fit) + jnp.sum(prior.log_prob(jnp.exp(logs)))

                return jnp.exp(damped_newton(objective, jnp.log(jnp.stack([rate, concentration])), 3))

            updated = jax.vmap(one, (0, 0, 1))(p.rates, p.concentrations, w)
            return updated[:, 0], updated[:, 1]

        return {("rates", "concentrations"): both}

    def start(self, num_states: int, d: Namespace) -> Params:
        """The mean of the data, with the dispersion of a geometric distribution."""
        mean = jnp.maximum(units_of_y(d).centre, 0.1)
        return {"rates": jnp.full(num_states, mean), "concentrations": jnp.ones(num_states)}
