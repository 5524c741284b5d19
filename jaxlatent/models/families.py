"""Hidden Markov models and mixtures, composed of emissions, transitions and weights."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxlatent.data.namespace import Namespace
from jaxlatent.distributions.mixture import Mixture
from jaxlatent.errors import require
from jaxlatent.latent import Expected
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.model.model import Model, apply_m_step
from jaxlatent.model.pickling import family
from jaxlatent.models.chains import Initial, Stationary
from jaxlatent.models.coefficients import Scale
from jaxlatent.models.emissions.gaussian import Covariance, Gaussian
from jaxlatent.models.emissions.regressions import HeteroscedasticRegression, LinearRegression
from jaxlatent.models.interfaces import Emission, Transitions, Weights
from jaxlatent.models.one_output import with_columns
from jaxlatent.models.parts import Updates, dims_of, softmax_of
from jaxlatent.models.settings import require_count
from jaxlatent.models.units import seen_steps
from jaxlatent.models.weights import Constant, Gate
from jaxlatent.typing import Key, Params

#: Weight spread over all components at the start, so that none is empty.
_SHARED = 0.02


@family
def hmm(
    num_states: int,
    emissions: Emission,
    transitions: Transitions | None = None,
    initial: Initial | None = None,
) -> Model:
    """A hidden Markov model of sequences ``y``; emissions may depend on inputs ``x`` (GLM-HMM), transitions on inputs ``u``.

    Lanes start from k-means clusters of the observations, or for regressions from fits to random windows.

    Args:
        num_states: ``K``, at least 1.
        emissions: a part of `jaxlatent.models.emissions`, such as ``Gaussian(2)`` or ``BernoulliRegression(4)``.
        transitions: `Stationary` by default.
        initial: `Initial` by default.

    Returns:
        A model with ``initial_probs`` ``(K,)``, ``transition_matrix`` ``(K, K)`` (or coefficients of inputs) and the parameters of the
        emissions; data ``y`` ``(T, *event)``, ``(sequences, T, *event)`` or a list of sequences of unequal length.
    """
    _check("hmm", "num_states", num_states, emissions)
    transitions, initial = transitions or Stationary(), initial or Initial()

    def likelihood(p: Namespace, d: Namespace) -> dict[str, Any]:
        return {"y": HiddenMarkov(p.initial_probs, transitions.matrix(p, d), emissions.distribution(p, d))}

    def start(key: Key, d: Namespace) -> Params:
        first = {**initial.start(num_states), **transitions.start(num_states)}
        return _start(key, d, emissions, num_states, first, emissions.m_step(), True)

    prior = {**initial.prior(num_states), **transitions.prior(num_states), **emissions.prior(num_states)}
    return Model(
        prior=prior,
        likelihood=likelihood,
        dims=dims_of("state", prior, (initial, transitions, emissions)),
        softmax=softmax_of(prior, (initial, transitions, emissions)),
        start=start,
        m_step=_of_y({**initial.m_step(), **transitions.m_step(), **emissions.m_step()}),
        row_wise=True,
        name=f"{num_states}-state HMM, {type(emissions).__name__}",
        key=("hmm", num_states, emissions, transitions, initial),
    )


@family
def mixture(num_components: int, emissions: Emission, weights: Weights | None = None) -> Model:
    """A mixture of any emissions.

    Lanes start from k-means clusters of the observations, for regressions of inputs and observations together.

    Args:
        num_components: ``K``, at least 1.
        emissions: a part of `jaxlatent.models.emissions`.
        weights: `Constant` by default: ``mixture_weights`` ``(K,)`` with a Dirichlet prior; or a `Gate`.

    Returns:
        A model with the parameters of weights and emissions; data ``y`` ``(N, *event)``, and ``x`` ``(N, num_inputs)`` if a part needs it.
        A scalar ``y`` may be a column ``(N, 1)``, and has that shape in results too.
    """
    _check("mixture", "num_components", num_components, emissions)
    weights = weights or Constant()

    def likelihood(p: Namespace, d: Namespace) -> dict[str, Any]:
        components = emissions.distribution(p, d)
        known = components.batch_shape[:-1] or weights.shape(d)
        leading = known or d.y.shape[: d.y.ndim - emissions.event_dim]
        shape = (*leading, num_components)
        components = components if components.batch_shape == shape else components.expand(shape)
        return {"y": Mixture(weights.labels(p, d), components)}

    updates = {**weights.m_step(), **emissions.m_step()}
    prior = {**weights.prior(num_components), **emissions.prior(num_components)}
    model = Model(
        prior=prior,
        likelihood=likelihood,
        dims=dims_of("component", prior, (weights, emissions)),
        softmax=softmax_of(prior, (weights, emissions)),
        start=lambda key, d: _start(key, d, emissions, num_components, weights.start(num_components), updates, False),
        m_step=_of_y(updates),
        row_wise=True,
        name=f"mixture of {num_components}, {type(emissions).__name__}",
        key=("mixture", num_components, emissions, weights),
    )
    return model if emissions.event_dim else with_columns(model)


def gaussian_mixture(
    num_components: int, dim: int | None, covariance: Covariance = "full", concentration: float = 1.1, **prior: Any
) -> Model:
    """A mixture of normals: `mixture` of `jaxlatent.models.emissions.Gaussian` with its ``prior`` settings."""
    return mixture(num_components, Gaussian(dim, covariance, **prior), Constant(concentration))


def regression_mixture(num_components: int, num_inputs: int, prior_scale: Scale = "auto") -> Model:
    """A mixture of linear regressions: `mixture` of `jaxlatent.models.emissions.LinearRegression`."""
    return mixture(num_components, LinearRegression(num_inputs, prior_scale))


def mixture_of_experts(
    num_experts: int, num_inputs: int, experts: Emission | None = None, gate: Gate | None = None
) -> Model:
    """A mixture of experts with a softmax gate (Jacobs et al. 1991; Jordan and Jacobs 1994).

    A `mixture` with a `Gate`: means, log scales and gate logits are linear in ``x``, with weak normal priors.

    Args:
        num_experts: ``K``.
        num_inputs: of ``x``.
        experts: regressions of `jaxlatent.models.emissions`; `HeteroscedasticRegression` by default, `BernoulliRegression` or
            `PoissonRegression` for events and counts.
        gate: a `Gate`, for other priors.
    """
    return mixture(num_experts, experts or HeteroscedasticRegression(num_inputs), gate or Gate(num_inputs))


def _check(family: str, name: str, count: Any, emissions: Any) -> None:
    """Raise `InputError` unless there is a whole number of states or components, and an emission with its settings."""
    require_count(f"{family}({name}=...)", count)
    require(
        isinstance(emissions, Emission) and not isinstance(emissions, type),
        f"{family}(emissions=...)",
        got=emissions,
        expected="a part of jaxlatent.models.emissions with its settings",
        remedy="write it with parentheses, as in emissions.Gaussian(2).",
    )


def _start(
    key: Key, d: Namespace, emissions: Emission, count: int, first: Params, updates: Updates, sequences: bool
) -> Params:
    """Starting parameters: one M-step from ``first`` and the emissions' start, given their initial labels."""
    leading = d.y.shape[: d.y.ndim - emissions.event_dim]
    mask = seen_steps(d, leading)
    seen = jnp.ones(leading, bool).ravel() if mask is None else mask
    labels = emissions.labels(key, d, seen, count, sequences)
    weights = ((1 - _SHARED) * labels + _SHARED / count) * seen[:, None].astype(labels.dtype)
    expected = Expected(jnp.zeros(()), weights.reshape(*leading, count))
    params = apply_m_step(updates, {**first, **emissions.start(count, d)}, d, expected)
    floats: Params = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), params)
    return floats


def _of_y(
    updates: Updates,
) -> dict[str | tuple[str, ...], Callable[[Namespace, Namespace, Mapping[str, Expected]], Any]]:
    """Pass the expected counts of ``y`` to the updates of parts."""

    def of_y(
        update: Callable[[Namespace, Namespace, Expected], Any],
    ) -> Callable[[Namespace, Namespace, Mapping[str, Expected]], Any]:
        return lambda p, d, expected: update(p, d, expected["y"])

    return {names: of_y(update) for names, update in updates.items()}
