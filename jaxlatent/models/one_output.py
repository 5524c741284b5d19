"""`with_columns`: one output as a column ``(N, 1)``, as users of scikit-learn and Flax hold it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jaxlatent.data.namespace import Namespace, replaced
from jaxlatent.model.model import Model


def with_columns(model: Model) -> Model:
    """A model of scalars ``y`` ``(...)`` given inputs ``x`` ``(..., num_inputs)`` that also takes ``y`` of shape ``(..., 1)``.

    The inputs then have that axis too, and so have all results: each value is an observation of its own, as in a vector.
    """
    m_step = model.m_step or {}
    return replace(
        model,
        prior={name: _given(model, name) if callable(prior) else prior for name, prior in model.prior.items()},
        likelihood=_reading(model.likelihood),
        start=None if model.start is None else _reading(model.start),
        m_step={names: _reading(update) for names, update in m_step.items()} or None,
    )


def _given(model: Model, name: str) -> Callable[[Namespace, Namespace], Any]:
    return lambda p, d: model.prior_of(name, p, _spread(d))


def _reading(function: Any) -> Callable[..., Any]:
    """``function`` of parameters (or a key), data and more."""
    return lambda first, d, *rest: function(first, _spread(d), *rest)


def _spread(d: Namespace) -> Namespace:
    """The data, with an axis of length one in the inputs where the observation is a column."""
    if "x" not in d or "y" not in d or d.y.shape != (*d.x.shape[:-1], 1):
        return d
    return replaced(d, x=d.x[..., None, :])
