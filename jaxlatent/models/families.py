"""Ready families, composed of parts: what a state emits, how states follow each other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data import split, values_of
from jaxlatent.distributions.hidden_markov import HiddenMarkov
from jaxlatent.engines.base import require
from jaxlatent.latent import Expected
from jaxlatent.model import Model
from jaxlatent.models.chains import Initial, InputDriven, Stationary
from jaxlatent.models.emissions.gaussian import Gaussian
from jaxlatent.models.emissions.regressions import LinearRegression
from jaxlatent.models.parts import Updates, simplex_mode
from jaxlatent.namespace import Namespace
from jaxlatent.typing import Array, Key, Params

#: What belongs to every component at the start, so that none begins empty.
_SHARED = 0.02


def hmm(
    num_states: int,
    emissions: Any,
    transitions: Stationary | InputDriven | None = None,
    initial: Initial | None = None,
) -> Model:
    """A hidden Markov model of sequences ``y``; with inputs ``x`` of the emissions, a GLM-HMM; with ``u``, transitions driven by inputs.

    Lanes start from k-means clusters of the observations, or for regressions from fits to random stretches of them.

    Args:
        num_states: ``K``, at least 1.
        emissions: a part of `jaxlatent.models.emissions`, such as ``Gaussian(2)`` or ``BernoulliRegression(4)``.
        transitions: `Stationary` by default.
        initial: `Initial` by default.

    Returns:
        A model of ``initial_probs`` ``(K,)``, ``transition_matrix`` ``(K, K)`` (or coefficients of inputs) and the parameters of the
        emissions; data ``y`` ``(T, *event)``, ``(sequences, T, *event)`` or a list of sequences of unequal length.
    """
    require(num_states >= 1, "hmm(num_states=...)", got=num_states, expected="at least 1 state")
    transitions, initial = transitions or Stationary(), initial or Initial()

    def likelihood(p: Any, d: Any) -> dict[str, Any]:
        return {"y": HiddenMarkov(p.initial_probs, transitions.matrix(p, d), emissions.distribution(p, d))}

    def start(key: Key, d: Any) -> Params:
        first = {**initial.start(num_states), **transitions.start(num_states)}
        return first | _started(key, d, emissions, num_states)

    return Model(
        prior={**initial.prior(num_states), **transitions.prior(num_states), **emissions.prior(num_states)},
        likelihood=likelihood,
        start=start,
        m_step=_of_y({**initial.m_step(), **transitions.m_step(), **emissions.m_step()}),
        name=f"{num_states}-state HMM, {type(emissions).__name__}",
        key=("hmm", num_states, emissions, transitions, initial),
    )


def mixture(num_components: int, emissions: Any, concentration: float = 1.1) -> Model:
    """A mixture of any emissions, under ``mixture_weights`` ``(K,)`` with a Dirichlet prior.

    Args:
        num_components: ``K``, at least 1.
        emissions: a part of `jaxlatent.models.emissions`.
        concentration: of the Dirichlet prior; 1 is flat.

    Returns:
        A model of ``mixture_weights`` and the parameters of the emissions; data ``y`` ``(N, *event)``.
    """
    require(num_components >= 1, "mixture(num_components=...)", got=num_components, expected="at least 1 component")

    def likelihood(p: Any, d: Any) -> dict[str, Any]:
        shape = (*d.y.shape[: d.y.ndim - emissions.event_dim], num_components)
        components = emissions.distribution(p, d)
        if components.batch_shape != shape:
            components = components.expand(shape)
        return {"y": dist.MixtureSameFamily(dist.Categorical(jnp.broadcast_to(p.mixture_weights, shape)), components)}

    def mixture_weights(p: Any, d: Any, expected: Expected) -> Array:
        assert expected.weights is not None
        return simplex_mode(jnp.sum(expected.weights.reshape(-1, num_components), 0), concentration)

    def start(key: Key, d: Any) -> Params:
        return {"mixture_weights": jnp.full(num_components, 1 / num_components)} | _started(
            key, d, emissions, num_components
        )

    return Model(
        prior={"mixture_weights": dist.Dirichlet(jnp.full(num_components, concentration))}
        | emissions.prior(num_components),
        likelihood=likelihood,
        start=start,
        m_step=_of_y({"mixture_weights": mixture_weights, **emissions.m_step()}),
        name=f"mixture of {num_components}, {type(emissions).__name__}",
        key=("mixture", num_components, emissions, concentration),
    )


def gaussian_mixture(
    num_components: int, dim: int | None, covariance: Any = "full", concentration: float = 1.1, **prior: Any
) -> Model:
    """A mixture of normals: `mixture` of `jaxlatent.models.emissions.Gaussian`, whose ``prior`` settings it takes."""
    return mixture(num_components, Gaussian(dim, covariance, **prior), concentration)


def regression_mixture(num_components: int, num_inputs: int, prior_scale: float | None = None) -> Model:
    """A mixture of linear regressions: `mixture` of `jaxlatent.models.emissions.LinearRegression`."""
    return mixture(num_components, LinearRegression(num_inputs, prior_scale))


def _started(key: Key, d: Any, emissions: Any, count: int) -> Params:
    """Parameters of emissions fitted to the labels that they start from."""
    values, mask = split(d.y)
    plain = Namespace("data", values_of(d))
    leading = values.shape[: values.ndim - emissions.event_dim]
    mask = jnp.ones(leading, bool) if mask is None else mask
    labels = emissions.labels(key, plain, mask.ravel(), count)
    weights = ((1 - _SHARED) * labels + _SHARED / count) * mask.ravel()[:, None]
    params: Params = dict(emissions.start(count, plain))
    expected = Expected(jnp.zeros(()), weights.reshape(*leading, count))
    for names, update in emissions.m_step().items():
        raised = update(Namespace("parameter", params), plain, expected)
        params.update(zip(names, raised, strict=True) if isinstance(names, tuple) else {names: raised})
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), params)


def _of_y(updates: Updates) -> dict[Any, Callable[[Any, Any, Any], Any]]:
    """Updates of parts look at the expected counts behind ``y``."""

    def of_y(update: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
        return lambda p, d, expected: update(p, d, expected["y"])

    return {names: of_y(update) for names, update in updates.items()}
