"""`label_axes`: which axes of which parameters index the states of a hidden Markov model or the components of a mixture."""

from collections.abc import Mapping

import numpyro.distributions as dist

from jaxlatent.latent import hidden_in
from jaxlatent.latent.hidden_markov import HiddenMarkov

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
