"""The interfaces of emissions, transitions and weights, the parts of `jaxlatent.models.hmm` and `jaxlatent.models.mixture`.

A part is a frozen dataclass: equal settings are equal parts, and models of equal parts share compiled programs. It names its
parameters in its priors, starts and updates; no two parts of one model use the same name. ``p`` holds the parameters and ``d`` the
data, by name; ``K`` is the number of states or components.

A part may have ``dims``: by parameter, the names of its dimensions after the first, which is ``state`` or ``component``. Results name
their axes so. A part may have ``softmax``: by parameter that holds logits, the axis of the softmax, see `jaxlatent.Model`.
`jaxlatent.sequences` has labels for ``input``, ``transition_input``, ``category`` and ``feature``.
"""

from collections.abc import Hashable
from typing import Protocol, runtime_checkable

import numpyro.distributions as dist

from jaxlatent.data.namespace import Namespace
from jaxlatent.models.parts import Priors, Updates
from jaxlatent.typing import Array, Key, Params


@runtime_checkable
class Emission(Hashable, Protocol):
    """What each state or component emits: one observation ``y`` ``(..., *event)`` of a step. See `jaxlatent.models.emissions`."""

    @property
    def event_dim(self) -> int:
        """How many axes of ``y`` one observation has: 0 for numbers, 1 for vectors."""
        ...

    def prior(self, num_states: int, /) -> Priors:
        """The priors of its parameters, which lead with ``K`` unless all states share them."""
        ...

    def distribution(self, p: Namespace, d: Namespace, /) -> dist.Distribution:
        """The distributions of all states: batch shape ``(K,)``, the same at every step, or ``(..., K)`` with the leading axes of ``y``."""
        ...

    def m_step(self) -> Updates:
        """Updates of all its parameters, see `jaxlatent.Model`, given `Expected.weights` ``(..., K)`` of ``y``."""
        ...

    def labels(self, key: Key, d: Namespace, mask: Array, num_states: int, sequences: bool, /) -> Array:
        """Initial assignment of steps to states, one-hot ``(N, K)``, over the ``N`` steps of all sequences.

        Args:
            key: for random starts.
            d: the data.
            mask: ``(N,)``: which steps have an observation.
            num_states: ``K``.
            sequences: whether neighbouring steps belong together.
        """
        ...

    def start(self, num_states: int, d: Namespace, /) -> Params:
        """Values of its parameters before the first M-step, which is given the initial labels."""
        ...


@runtime_checkable
class Transitions(Hashable, Protocol):
    """How the states of a hidden Markov model follow each other. See `jaxlatent.models.Stationary`, `jaxlatent.models.InputDriven`."""

    def prior(self, num_states: int, /) -> Priors:
        """The priors of its parameters."""
        ...

    def start(self, num_states: int, /) -> Params:
        """Where its parameters start."""
        ...

    def matrix(self, p: Namespace, d: Namespace, /) -> Array:
        """Transition probabilities from row to column: ``(K, K)``, or ``(..., T - 1, K, K)`` into each later step."""
        ...

    def m_step(self) -> Updates:
        """Updates of all its parameters, see `jaxlatent.Model`, given `Expected.transitions`, of the shape of the matrix."""
        ...


@runtime_checkable
class Weights(Hashable, Protocol):
    """The weights of a mixture. See `jaxlatent.models.Constant`, `jaxlatent.models.Gate`."""

    def prior(self, num_components: int, /) -> Priors:
        """The priors of its parameters."""
        ...

    def start(self, num_components: int, /) -> Params:
        """Where its parameters start."""
        ...

    def shape(self, d: Namespace, /) -> tuple[int, ...]:
        """The leading axes of the observations where the weights depend on inputs, otherwise ``()``."""
        ...

    def labels(self, p: Namespace, d: Namespace, /) -> dist.Distribution:
        """A categorical distribution over ``K``, of batch shape ``shape(d)``."""
        ...

    def m_step(self) -> Updates:
        """Updates of all its parameters, see `jaxlatent.Model`, given `Expected.weights` ``(..., K)``."""
        ...
