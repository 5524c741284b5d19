"""Observations whose axes are taken for others than was meant: one-hot rows, columns, and tables of a few columns as sequences.

They have a density, so that nothing else would tell.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpyro.distributions as dist

from jaxlatent.data.arrays import shape_of, split
from jaxlatent.errors import InputError
from jaxlatent.latent import modelled
from jaxlatent.latent.hidden_markov import HiddenMarkov

#: Fewer rows may look one-hot by chance.
_ROWS = 10
#: A table with at most so many columns, and so many times as many rows, is seldom meant as sequences of as many steps.
_COLUMNS, _TIMES = 10, 10


class Axes(NamedTuple):
    """What the axes of an observation are.

    Attributes:
        sequences: whether the axis before those of an event is that of steps, of a hidden Markov model.
        event_dim: the number of axes of an event.
        categories: number of categories; None for other observations.
        partial: whether the distribution leaves some values out, as an autoregression does.
    """

    sequences: bool
    event_dim: int
    categories: int | None
    partial: bool


def axes_of(d: dist.Distribution) -> Axes:
    """The axes of an observation with this distribution, which may be abstract."""
    sequences = isinstance(d, HiddenMarkov)
    each = d.emissions if isinstance(d, HiddenMarkov) else d
    core = each
    while isinstance(core, dist.ExpandedDistribution | dist.MixtureSameFamily):
        core = core.base_dist if isinstance(core, dist.ExpandedDistribution) else core.component_distribution
    categories = None
    if isinstance(core, dist.CategoricalProbs):
        categories = core.probs.shape[-1]
    elif isinstance(core, dist.CategoricalLogits):
        categories = core.logits.shape[-1]
    return Axes(sequences, each.event_dim, categories, modelled(d) is not None)


def check_axes(axes: Mapping[str, Axes], data: Mapping[str, Any], fits: bool, label: str) -> None:
    """Refuse one-hot rows where categories are counted from 0, and sequences of one step each.

    Args:
        axes: of the observations, by name.
        data: one dataset.
        fits: whether transitions are estimated, which takes two steps.
        label: prefix of names in messages.

    Raises:
        InputError: naming the observation.
    """
    for name, one in axes.items():
        shape = shape_of(data[name])
        if one.categories is not None and _one_hot(data[name], one.categories):
            raise InputError(
                f"{label}observation {name!r}",
                got=f"one-hot rows, shape {shape}",
                expected=f"the number of the category, from 0 to {one.categories - 1}, in the place of each row",
                remedy=f"give {name}.argmax(-1).",
            )
        if fits and one.sequences and _steps(one, shape) == 1 and np.prod(shape) > 1:
            raise InputError(
                f"{label}observation {name!r}",
                got=f"shape {shape}: {np.prod(shape[: len(shape) - one.event_dim])} sequences of one step each",
                expected="sequences of two steps or more, on the last axis"
                + (" but that of vectors" if one.event_dim else ""),
                remedy=f"for one sequence of numbers give {name}[..., 0]; for vectors of one entry give the emissions that "
                "dimension, as in emissions.Gaussian(1).",
            )


def doubts(axes: Mapping[str, Axes], data: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about observations that can be what they are taken for, but seldom are."""
    for name, one in axes.items():
        values, mask = split(data[name])
        shape = np.shape(values)
        if mask is not None and not np.any(mask):
            yield (
                f"{name!r} has no observed value, so that the posterior is the prior: True marks what is observed in jl.Masked, and what "
                "is missing in NumPy's masked arrays"
            )
        plain = mask is None and one.sequences and not one.event_dim and len(shape) == 2
        if plain and 1 < shape[1] <= _COLUMNS and shape[0] >= _TIMES * shape[1]:
            yield (
                f"{name!r} of shape {shape} is read as {shape[0]} sequences of {shape[1]} steps; if it is one sequence of "
                f"{shape[0]} vectors, give the emissions their dimension, as in emissions.Gaussian({shape[1]})"
            )


def _steps(axes: Axes, shape: tuple[int, ...]) -> int:
    return shape[len(shape) - axes.event_dim - 1]


def _one_hot(observation: Any, categories: int) -> bool:
    values, mask = map(np.asarray, split(observation))
    if values.ndim < 2 or values.shape[-1] != categories or categories < 2:
        return False
    rows = values.reshape(-1, categories)
    if mask.ndim == values.ndim:
        return False
    if mask.ndim:
        rows = values[mask.astype(bool)].reshape(-1, categories)
    return len(rows) >= _ROWS and bool(np.all((rows == 0) | (rows == 1)) and np.all(rows.sum(-1) == 1))
