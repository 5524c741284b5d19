"""`label_axes`: which axes of which parameters index the states of a hidden Markov model or the components of a mixture."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
import numpyro.distributions as dist

from jaxlatent.errors import InputError
from jaxlatent.latent import hidden_in
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.results.fitted import Fitted

#: Names of the dimensions that a label indexes, as the ready families give them.
LABEL_DIMS = ("state", "next_state", "component")


def numbers_of_labels(observed: Mapping[str, dist.Distribution]) -> dict[str, int]:
    """The number of states or components ``K`` by observation, of those that have hidden ones."""
    return {
        name: d.num_states if isinstance(d, HiddenMarkov) else d.mixture_size
        for name, d in observed.items()
        if hidden_in(d) is not None
    }


def label_axes(
    shapes: Mapping[str, tuple[int, ...]], dims: Mapping[str, tuple[str, ...]], number: int
) -> dict[str, tuple[int, ...]]:
    """The label axes of each parameter that has some, as `jaxlatent.diagnostics.relabel` takes them.

    They are the axes with a name of `LABEL_DIMS`. In a model that names none they are guessed: the first axis of length ``number``, and
    of "transition_matrix" both.

    Args:
        shapes: of the values of the parameters, without leading axes.
        dims: names of their dimensions, as in `jaxlatent.Model`.
        number: of labels.
    """
    named = {
        name: tuple(axis for axis, dim in enumerate(dims.get(name, ())) if dim in LABEL_DIMS and shape[axis] == number)
        for name, shape in shapes.items()
    }
    if any(named.values()):
        return {name: axes for name, axes in named.items() if axes}
    found = {}
    for name, shape in shapes.items():
        axes = tuple(axis for axis, length in enumerate(shape) if length == number)
        if axes:
            found[name] = axes if name == "transition_matrix" else axes[:1]
    return found


class Labels(NamedTuple):
    """The labels of a model.

    Attributes:
        number: of states or components, ``K``.
        axes: by parameter, the axes of its value that they index.
    """

    number: int
    axes: dict[str, tuple[int, ...]]


def labels_of(result: Fitted, what: str = "align") -> Labels:
    """The labels of the hidden states or components of a fit; ``what`` names the method in messages.

    Raises:
        InputError: if there are none, or several kinds of them.
    """
    density = result.posterior.density
    posterior, params = jax.tree.map(lambda x: x[0], result._at_first_draws())
    observed = jax.eval_shape(density.observed, params, posterior.data)
    result._require(observed, what)
    numbers = numbers_of_labels(observed)
    if len(set(numbers.values())) != 1:
        raise InputError(
            f"result.{what}(...)",
            got=f"numbers of labels {numbers}" if numbers else "observations without latent labels or paths",
            expected="a model with one kind of hidden states or components",
            remedy="change the parameters by hand, as with jaxlatent.diagnostics.permute."
            if numbers
            else "there are no labels to change.",
        )
    number = next(iter(numbers.values()))
    axes = label_axes({name: np.shape(value) for name, value in params.items()}, density.dims, number)
    if not axes:
        raise InputError(
            f"result.{what}(...)",
            got=f"no parameter with an axis of length {number}",
            expected="parameters that the labels index",
            remedy="name that axis 'state' or 'component' in Model(dims=...).",
        )
    return Labels(number, axes)
