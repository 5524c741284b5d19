"""Families whose regressions differ between groups, such as animals, around a population."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.distributions.centring import noncentred
from jaxlatent.errors import InputError
from jaxlatent.model.model import Model
from jaxlatent.model.pickling import family
from jaxlatent.models.emissions.glm import GeneralisedLinear
from jaxlatent.models.population import Population
from jaxlatent.models.settings import require_count, require_positive
from jaxlatent.typing import Array, Key, Params


@family
def hierarchical(
    model: Model,
    over: str,
    num_groups: int,
    scale: float = 1.0,
    coordinates: Callable[[dist.Distribution], dist.Distribution] = noncentred,
) -> Model:
    """A hidden Markov model or mixture of regressions whose coefficients vary between groups around those of a population.

    Every group has the same states, weights and biases of its own, and the transitions of all. How far groups differ is a parameter for
    each state and input, so that those with few trials borrow from the others as much as their data ask for. It serves NUTS on the
    marginal likelihood of the states, and EM, which integrates over the groups by Laplace's approximation, see
    `jaxlatent.models.population`.

    Args:
        model: of `jaxlatent.models.hmm` or `jaxlatent.models.mixture`, with logistic or Poisson regressions.
        over: the entry of the data with the group of every sequence (of mixtures, row), ``(sequences,)``, integers from 0; and what groups
            are called in parameters and dimensions, as "animal".
        num_groups: ``A``.
        scale: the mode of the prior of the scales, as the change of a linear predictor per standard deviation of an input; see
            `jaxlatent.models.population.Population.prior`.
        coordinates: in which NUTS sees the groups: `jaxlatent.noncentred`, or `jaxlatent.centred` where there are many trials of each.

    Returns:
        A model with the parameters of ``model`` for the population, and for ``over="animal"``: ``animal_weights`` ``(A, K, num_inputs)``
        and ``animal_biases`` ``(A, K)``, and the standard deviations ``weights_scale`` ``(K, num_inputs)`` and ``biases_scale`` ``(K,)`` of
        animals about the population. Predictions for animals that were not in the data need ``new_levels=True``, and draw their
        coefficients from the population.

    Raises:
        InputError: for other models, and for fewer than 2 groups.
    """
    require_count("hierarchical(num_groups=...)", num_groups, 2)
    require_positive("hierarchical(scale=...)", scale)
    num_states, emission = _parts_of(model)
    population = Population(emission, over, num_groups, scale, coordinates)
    likelihood, start, m_step = model.likelihood, model.start, model.m_step
    assert likelihood is not None and start is not None and m_step is not None

    def starting(key: Key, d: Namespace) -> Params:
        return population.start(dict(start(key, d)), d)

    def updates(p: Namespace, d: Namespace, expected: Any) -> tuple[Array, ...]:
        return population.m_step(p, d, expected["y"])

    def observed(p: Namespace, d: Namespace) -> Any:
        _check_groups(over, d)
        return likelihood(population.of_elements(p, d), d)

    own = zip(population.names, population.own, population.spreads, strict=True)
    dims = {name: value for names, mine, scales in own for name, value in _dims(model, over, names, mine, scales)}
    others = {names: update for names, update in m_step.items() if names not in (population.names, *population.names)}
    return replace(
        model,
        prior={**model.prior, **population.prior(num_states)},
        likelihood=observed,
        dims={**model.dims, **dims},
        start=starting,
        m_step={**others, population.updated: updates},
        adjustment=lambda p, d, expected: population.adjustment(p, d, expected["y"]),
        name=f"{model.name} by {over}",
        key=("hierarchical", model.key, over, num_groups, scale, coordinates),
    )


def _dims(model: Model, over: str, name: str, own: str, scale: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(own, (over, *model.dims[name])), (scale, model.dims[name])]


def _parts_of(model: Model) -> tuple[int, GeneralisedLinear]:
    """The number of states or components of a family and its regression, which are in its key."""
    parts = model.key if isinstance(model, Model) and isinstance(model.key, tuple) else ()
    if parts[:1] in (("hmm",), ("mixture",)) and isinstance(parts[2], GeneralisedLinear):
        return parts[1], parts[2]
    raise InputError(
        "hierarchical(model)",
        got=getattr(model, "name", type(model).__name__),
        expected="jl.models.hmm or jl.models.mixture with BernoulliRegression or PoissonRegression emissions",
        remedy="write another hierarchy as a jl.Model, with jl.HiddenMarkov in its likelihood.",
    )


def _check_groups(over: str, d: Namespace) -> None:
    """Raise `InputError` unless the data say which group every sequence or row belongs to."""
    expected = f"the group of every sequence or row, {jnp.shape(d.x)[:1]}, as integers from 0"
    if over not in d:
        raise InputError(
            f"data {over!r}",
            got=f"no such entry among {sorted(d)}",
            expected=expected,
            remedy=f"add it to the data, as jl.sequences(..., group={over!r}) does.",
        )
    groups = jnp.asarray(d[over])
    if groups.shape != jnp.shape(d.x)[:1] or jnp.ndim(d.x) < 2 or not jnp.issubdtype(groups.dtype, jnp.integer):
        raise InputError(
            f"data {over!r}",
            got=f"{groups.dtype} of shape {groups.shape} for x of shape {jnp.shape(d.x)}",
            expected=expected,
            remedy="give one integer for each sequence, not for each step.",
        )
