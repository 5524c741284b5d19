"""`HiddenMarkov`: a hidden Markov model as a distribution of whole sequences."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxlatent.distributions.components import by_component
from jaxlatent.distributions.masking import feasible
from jaxlatent.errors import InputError
from jaxlatent.latent import markov
from jaxlatent.masks import cover
from jaxlatent.typing import AnyArray, Array, Key


class HiddenMarkov(dist.Distribution):
    """Distribution of sequences ``(..., T, *event)``, marginal over all paths of ``K`` hidden states.

    It works in a `jaxlatent.Model` and in a NumPyro model. The gradient of its log density takes one backward pass, see
    `jaxlatent.latent.markov.log_normalizer`.

    Args:
        initial_probs: ``(K,)``.
        transition_matrix: ``(K, K)``, from row to column; or ``(..., T - 1, K, K)``, into each step after the first.
        emissions: of batch shape ``(K,)``, the same at every step, or ``(..., T, K)``; any event shape.
        shape: of a value without event dimensions, ``(..., T)``. Needed only to sample, if emissions and transitions do not determine it;
            in a `jaxlatent.Model` it follows from the data.

    Raises:
        InputError: if the numbers of states disagree.
    """

    pytree_data_fields = ("initial_probs", "transition_matrix", "emissions")
    pytree_aux_fields = ("sequences",)

    def __init__(
        self,
        initial_probs: Array,
        transition_matrix: Array,
        emissions: dist.Distribution,
        shape: tuple[int, ...] | None = None,
    ):
        states = {
            "initial_probs": jnp.shape(initial_probs)[-1:],
            "transition_matrix": jnp.shape(transition_matrix)[-1:],
            "emissions": emissions.batch_shape[-1:],
        }
        if len(set(states.values())) != 1 or jnp.ndim(transition_matrix) < 2:
            raise InputError(
                "HiddenMarkov(...)",
                got=", ".join(f"{name} with last axis {end}" for name, end in states.items()),
                expected="the same number of states K everywhere: (K,), (..., K, K) and a batch shape (..., K)",
                remedy="emissions need a batch axis for the states; use `to_event` for the axes of one observation.",
            )
        self.initial_probs, self.transition_matrix, self.emissions = initial_probs, transition_matrix, emissions
        leading = emissions.batch_shape[:-1]
        if jnp.ndim(transition_matrix) > 2:
            varying = (*jnp.shape(transition_matrix)[:-3], jnp.shape(transition_matrix)[-3] + 1)
            leading = jnp.broadcast_shapes(leading, varying) if leading else varying
        self.sequences = tuple(shape) if shape is not None else leading or None
        # NumPyro compares shapes by broadcasting: a length of one matches any number of steps.
        known = self.sequences or (1,)
        super().__init__(known[:-1], (known[-1], *emissions.event_shape))

    @property
    def support(self) -> constraints.Constraint:
        """Sequences in the support of the emissions."""
        inner = self.emissions.support
        return constraints.independent(inner, 1) if inner is not None else constraints.real_vector

    @property
    def num_states(self) -> int:
        """``K``."""
        return self.initial_probs.shape[-1]

    def of_shape(self, shape: tuple[int, ...]) -> "HiddenMarkov":
        """A copy for values of ``shape``, ``(..., T, *event)``."""
        sequences = shape[: len(shape) - self.emissions.event_dim]
        emissions, varying = self.emissions, (*sequences, self.num_states)
        if len(emissions.batch_shape) > 1 and emissions.batch_shape != varying:
            emissions = emissions.expand(varying)
        return HiddenMarkov(self.initial_probs, self.transition_matrix, emissions, sequences)

    def log_prob(self, value: AnyArray, mask: AnyArray | None = None) -> Array:
        """The log density of every sequence, ``(...)``.

        Args:
            value: ``(..., T, *event)``.
            mask: ``(..., T)`` or its leading axes, False where missing; see `jaxlatent.latent.markov.log_normalizer`.
        """
        likelihoods = self.state_log_likelihoods(value, mask)
        mask = cover(mask, likelihoods.shape[:-1])
        return markov.log_normalizer(self.initial_probs, self.transition_matrix, likelihoods, mask)

    def state_log_likelihoods(self, value: AnyArray, mask: AnyArray | None = None) -> Array:
        """The log likelihood of each step in each state, ``(..., T, K)``."""
        if mask is not None:
            value = feasible(self.emissions, value, mask)
        return jnp.moveaxis(by_component(self.emissions, value), 0, -1)

    def smooth(self, value: AnyArray, mask: AnyArray | None = None) -> markov.Smoothed:
        """Smoothed probabilities and expected transitions."""
        likelihoods = self.state_log_likelihoods(value, mask)
        mask = cover(mask, likelihoods.shape[:-1])
        return markov.smooth(self.initial_probs, self.transition_matrix, likelihoods, mask)

    def filtered(self, value: AnyArray, mask: AnyArray | None = None) -> Array:
        """Probabilities of each state given the steps so far, ``(..., T, K)``."""
        likelihoods = self.state_log_likelihoods(value, mask)
        mask = cover(mask, likelihoods.shape[:-1])
        return markov.filtered(self.initial_probs, self.transition_matrix, likelihoods, mask).probs

    def most_likely_states(self, value: AnyArray, mask: AnyArray | None = None) -> tuple[Array, Array]:
        """The most likely path of every sequence, ``(..., T)``, -1 past its end, and the joint log density of both, ``(...)``."""
        likelihoods = self.state_log_likelihoods(value, mask)
        mask = cover(mask, likelihoods.shape[:-1])
        return markov.most_likely_states(self.initial_probs, self.transition_matrix, likelihoods, mask)

    def sample_states(self, key: Key, value: AnyArray, mask: AnyArray | None = None) -> Array:
        """A posterior draw of the path of every sequence, ``(..., T)``; -1 past its end."""
        likelihoods = self.state_log_likelihoods(value, mask)
        mask = cover(mask, likelihoods.shape[:-1])
        return markov.sample_states(key, self.initial_probs, self.transition_matrix, likelihoods, mask)

    def sample_with_states(self, key: Key, sample_shape: tuple[int, ...] = ()) -> tuple[Array, Array]:
        """Sequences and the paths behind them: ``sample_shape + (..., T, *event)`` and ``sample_shape + (..., T)``."""
        if self.sequences is None:
            raise InputError(
                "draws of HiddenMarkov",
                got="emissions and transitions that are the same at every step",
                expected="a number of steps",
                remedy="pass shape=(T,), or data of that shape.",
            )
        shape = (*sample_shape, *self.sequences)
        key_states, key_values = jax.random.split(key)
        keys = jax.random.split(key_states, shape[:-1])
        matrices = self.transition_matrix
        if matrices.ndim > 2:
            matrices = jnp.broadcast_to(matrices, (*shape[:-1], *matrices.shape[-3:]))
        draw: Callable[[Key, Array], Array] = lambda key, matrix: markov.simulate_states(
            key, self.initial_probs, matrix, shape[-1]
        )
        for _ in shape[:-1]:
            draw = jax.vmap(draw, (0, None if matrices.ndim == 2 else 0))
        states = draw(keys, matrices)
        over = () if len(self.emissions.batch_shape) > 1 else shape
        values = self.emissions.sample(key_values, over or sample_shape)
        axis = len(shape)
        index = states.reshape(states.shape + (1,) * (1 + self.emissions.event_dim))
        return jnp.take_along_axis(values, index, axis).squeeze(axis), states

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Array:
        """Sequences ``sample_shape + (..., T, *event)``."""
        return self.sample_with_states(key, sample_shape)[0]
