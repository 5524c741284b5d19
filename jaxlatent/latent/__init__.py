r"""Latent labels of mixtures and latent paths of hidden Markov models: the E-step, and posterior probabilities.

For parameters :math:`\theta`, the expected complete log likelihood
:math:`Q(\theta \mid \theta') = E[\log p(y, z \mid \theta) \mid y, \theta']` depends on the posterior of the latent ``z`` only through
the `Expected` counts (Dempster, Laird and Rubin 1977). The modules `labels` and `paths` have the same functions; `hidden_in` selects one.
For a distribution without latent variables, the expected complete log likelihood is its log density.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.arrays import split
from jaxlatent.distributions.masking import masked_log_prob
from jaxlatent.latent import labels, paths
from jaxlatent.latent.expected import EStep, Expected
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.latent.modelled import modelled
from jaxlatent.latent.separation import component_probs, separated
from jaxlatent.masks import cover, widen
from jaxlatent.typing import AnyArray, Array, Key


@runtime_checkable
class Hidden(Protocol):
    """One way of hiding: the functions that `labels` and `paths` have, for a value ``(..., *event)`` and its mask ``(...)``."""

    def expect(
        self, d: Any, value: AnyArray, mask: AnyArray | None, how: EStep, key: Key | None, draws: int, /
    ) -> Expected:
        """The E-step; see `jaxlatent.latent.expect`."""
        ...

    def expected_log_prob(self, d: Any, value: AnyArray, mask: AnyArray | None, expected: Expected, /) -> Array:
        """The expected complete log likelihood, a scalar."""
        ...

    def probs(self, d: Any, value: AnyArray, mask: AnyArray | None, /) -> Array:
        """How likely each label is for each value, ``(..., K)``."""
        ...

    def most_likely(self, d: Any, value: AnyArray, mask: AnyArray | None, /) -> tuple[Array, Array]:
        """The most likely labels, integers ``(...)``, and the log density of values and labels together, a scalar."""
        ...

    def sample(self, key: Key, d: Any, value: AnyArray, mask: AnyArray | None, /) -> Array:
        """Labels drawn given the values, integers ``(...)``."""
        ...

    def simulate(self, key: Key, d: Any, /) -> tuple[Array, Array]:
        """Values ``(..., *event)`` drawn together with their labels, integers ``(...)``."""
        ...


def hidden_in(d: dist.Distribution) -> Hidden | None:
    """The module `labels` or `paths` for ``d``; None if ``d`` has no latent variables."""
    if isinstance(d, HiddenMarkov):
        return paths
    return labels if isinstance(d, dist.MixtureSameFamily | dist.MixtureGeneral) else None


def expect(
    d: dist.Distribution, observation: Any, how: EStep = "exact", key: Key | None = None, draws: int = 1
) -> Expected:
    """The E-step for one observation.

    Args:
        d: its distribution at the current parameters.
        observation: an array or `jaxlatent.Masked`.
        how: see `EStep`.
        key: for "draw".
        draws: number of draws to average, for "draw".
    """
    value, mask = split(observation)
    hidden = hidden_in(d)
    if hidden is None:
        return Expected(jnp.sum(masked_log_prob(d, value, mask)))
    return hidden.expect(d, value, mask, how, key, draws)


def expected_log_prob(d: dist.Distribution, observation: Any, expected: Expected) -> Array:
    """The expected complete log likelihood of one observation, a scalar; ``d`` may be at other parameters than ``expected``."""
    value, mask = split(observation)
    hidden = hidden_in(d)
    if hidden is None:
        return jnp.sum(masked_log_prob(d, value, mask))
    return hidden.expected_log_prob(d, value, mask, expected)


def unit_shape(d: dist.Distribution) -> tuple[int, ...]:
    """The shape of the values that are observed or missing as a whole: the batch shape, for hidden Markov models with the steps."""
    event = d.emissions.event_dim if isinstance(d, HiddenMarkov) else d.event_dim
    shape: tuple[int, ...] = d.shape()
    return shape[: len(shape) - event]


def counted(d: dist.Distribution, observation: Any) -> Array | None:
    """Which values of an observation are observed and have a density under ``d``, of its `unit_shape`; None for all."""
    mask, own, units = split(observation)[1], modelled(d), unit_shape(d)
    if own is None:
        return None if mask is None else cover(mask, units)
    seen: Array = jnp.ones(units, bool) if mask is None else cover(mask, units)
    both: Array = seen & widen(own, seen.ndim)
    return both


def responsibilities(d: dist.Distribution, value: Array) -> Array:
    """The posterior probability of each component of a mixture for each value, ``(..., K)``.

    Args:
        d: a `numpyro.distributions.MixtureSameFamily` or ``MixtureGeneral``.
        value: of its batch and event shape.
    """
    return jax.nn.softmax(d.component_log_probs(value), -1)


__all__ = [
    "EStep",
    "Expected",
    "Hidden",
    "component_probs",
    "counted",
    "expect",
    "expected_log_prob",
    "hidden_in",
    "modelled",
    "responsibilities",
    "separated",
    "unit_shape",
]
