"""`Hidden`: the numbers that the figures of hidden states draw, computed when asked for and shared by the panels of one figure.

Draws are averaged: those of the chains that did not fail, or of the best lane of an approximation. Of point fits the best lane counts.
Whatever needs the states of every step is computed at evenly spaced draws, at most `MOST_DRAWS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.data.arrays import split
from jaxlatent.errors import InputError, require
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.masks import widen
from jaxlatent.plots import _chains
from jaxlatent.plots.style import colours_of
from jaxlatent.results.result import Result

#: Most draws whose states are computed, and the most probabilities that are held for them.
MOST_DRAWS, _MOST_NUMBERS = 200, 50_000_000


@dataclass(frozen=True)
class Hidden:
    """A fit of a hidden Markov model, of one dataset or a batch, without failed datasets.

    Arrays lead with ``D`` datasets, then ``S`` draws (1 for points); observations have ``N`` sequences of ``T`` steps.

    Attributes:
        result: of the lanes that count.
        coords: labels by dimension.
        name: of the observation.
        chain: its abstract distribution.
    """

    result: Result
    coords: Mapping[str, Any]
    name: str
    chain: HiddenMarkov

    @property
    def datasets(self) -> tuple[Any, ...]:
        """Names of the datasets; one None for a fit of one dataset."""
        return self.result.names or (None,)

    @property
    def number(self) -> int:
        """``K``."""
        return self.chain.num_states

    @property
    def states(self) -> list[str]:
        """Labels of the states."""
        return [str(label) for label in self.coords.get("state", range(self.number))]

    @property
    def colours(self) -> list[Any]:
        """One colour a state."""
        return colours_of(self.number)

    @property
    def categories(self) -> list[str] | None:
        """Labels of the values of choices, zeros and ones included; None for other observations."""
        number = _chains.number_of_choices(self.chain.emissions)
        return [str(label) for label in self.coords.get("category", range(number))] if number else None

    @property
    def varying(self) -> bool:
        """Whether transitions depend on the step."""
        return len(self.chain.transition_matrix.shape) > 2

    @cached_property
    def params(self) -> dict[str, np.ndarray]:
        """Values by name, ``(D, S, ...)``; NaN for missing draws."""
        return {name: self._flat(np.asarray(self.result.params[name])) for name in self.result.params}

    @cached_property
    def transitions(self) -> np.ndarray:
        """Transition matrices ``(D, S, K, K)``: where they depend on inputs their mean over the steps that are reached by one."""
        posterior, params = self.result._gridded()
        return self._flat(
            self.result._ungridded({"": _chains.matrices(posterior, params, self.name, self.result.has_draws)})[""]
        )

    @cached_property
    def observed(self) -> tuple[np.ndarray, np.ndarray]:
        """Observations ``(D, N, T, *event)`` and which of them are there ``(D, N, T)``."""
        values, mask = (
            None if x is None else np.asarray(x) for x in split(self.result._observations((self.name,))[self.name])
        )
        assert values is not None
        values = values if self.result.names is not None else values[None]
        steps = values.shape[: values.ndim - len(self.chain.emissions.event_shape)]
        event = values.shape[len(steps) :]
        mask = np.ones(steps, bool) if mask is None else mask if self.result.names is not None else mask[None]
        mask = np.broadcast_to(widen(mask, len(steps)), steps)
        return values.reshape(steps[0], -1, steps[-1], *event), mask.reshape(steps[0], -1, steps[-1])

    @cached_property
    def inputs(self) -> np.ndarray | None:
        """Inputs ``(D, N, T, P)`` of the regressions that states emit; None for other emissions."""
        data, dims = self.result._own_data(), self.result.posterior.density.dims
        if dims.get("weights", ())[-1:] != ("input",) or not isinstance(data, Mapping):
            return None
        x, steps = np.asarray(split(data["x"])[0]), self.observed[1].shape
        # Sequences may share their inputs.
        return np.broadcast_to(x.reshape(steps[0], -1, steps[-1], x.shape[-1]), (*steps, x.shape[-1]))

    @cached_property
    def thinned(self) -> Result:
        """The result at evenly spaced draws."""
        if not self.result.has_draws:
            return self.result
        mask = self.observed[1]
        most = int(np.clip(_MOST_NUMBERS // (mask.size * self.number), 20, MOST_DRAWS))
        chains, draws = self.result.positions.shape[-3:-1]
        index = np.linspace(0, draws - 1, min(draws, -(-most // chains))).astype(int)
        take: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]] = lambda values: {
            name: np.take(values[name], index, len(self.result.leading) - 1) for name in values
        }
        return replace(
            self.result,
            params=take(self.result.params),
            unconstrained=take(self.result.unconstrained),
            derived={},
            statistics={},
        )

    @cached_property
    def probs(self) -> np.ndarray:
        """Smoothed probabilities ``(D, S, N, T, K)`` at the thinned draws; zero past the end of a sequence."""
        steps = self.observed[1].shape[1:]
        return self._flat(self.thinned.smooth()[self.name]).reshape(len(self.datasets), -1, *steps, self.number)

    @cached_property
    def mean_probs(self) -> np.ndarray:
        """Smoothed probabilities ``(D, N, T, K)``, averaged over draws."""
        mean: np.ndarray = np.nanmean(self.probs, 1)
        return mean

    @cached_property
    def paths(self) -> np.ndarray:
        """Most likely paths ``(D, S, N, T)`` at the thinned draws; -1 past the end of a sequence."""
        steps = self.observed[1].shape[1:]
        return self._flat(self.thinned.most_likely_states()[self.name]).reshape(len(self.datasets), -1, *steps)

    @cached_property
    def occupancy(self) -> np.ndarray:
        """The mean smoothed probability of each state over the observed steps, ``(D, S, K)``."""
        seen = self.observed[1][:, None, ..., None]
        share: np.ndarray = np.where(seen, self.probs, 0).sum((2, 3)) / np.maximum(seen.sum((2, 3)), 1)
        return share

    def curves(self, x: np.ndarray) -> np.ndarray:
        """The mean of the observation in each state at inputs ``(G, P)``, of categories their probabilities: ``(D, S, G, K[, C])``."""
        posterior, params = self.thinned._gridded()
        means = _chains.means(
            posterior, params, jnp.asarray(x, jnp.result_type(float)), self.name, self.result.has_draws
        )
        return self._flat(self.thinned._ungridded({"": means})[""])

    def _flat(self, values: np.ndarray) -> np.ndarray:
        """``(D, S, ...)`` from ``(dataset?, chain?, draw?, ...)``."""
        values = values if self.result.names is not None else values[None]
        if not self.result.has_draws:
            return values[:, None]
        return values.reshape(len(values), -1, *values.shape[3:])


def hidden_of(result: Result, coords: Mapping[str, Any] | None = None) -> Hidden:
    """The numbers of a result.

    Args:
        result: a fit of a hidden Markov model.
        coords: more labels by dimension, which come first.

    Raises:
        InputError: for other models, and where all lanes failed.
    """
    result = _counting(result)
    density = result.posterior.density
    posterior, params = jax.tree.map(lambda x: x[0], result._at_first_draws())
    observed = jax.eval_shape(density.observed, params, posterior.data)
    result._require(observed, "plots.states")
    chains = {name: d for name, d in observed.items() if isinstance(d, HiddenMarkov)}
    if len(chains) != 1:
        raise InputError(
            "plots.states(result)",
            got=f"hidden Markov models of {list(chains)}"
            if chains
            else f"observations {list(observed)} without hidden states",
            expected="one observation with hidden states that follow each other",
            remedy="draw mixtures with plots.labelled_draws or plots.component_bands.",
        )
    ((name, chain),) = chains.items()
    return Hidden(result, {**result.coords, **(coords or {})}, name, chain)


def _counting(result: Result) -> Result:
    """The lanes that count, of the datasets that have some."""
    if result.names is not None and result.failed:
        usable = [name for name in result.names if name not in result.failed]
        require(
            bool(usable),
            "plots.states(result)",
            got="datasets whose lanes all failed",
            expected="one that did not",
            remedy="see result.check().",
        )
        result = result.select(usable)
    if result.engine.kind != "chains" or result._failed().all():
        return result.best()
    gone = result._failed()
    if not gone.any():
        return result
    blanked = {
        name: np.where(widen(gone, value.ndim), np.nan, value)
        for name, value in {**result.params, "": result.positions}.items()
    }
    position = blanked.pop("")
    return replace(result, params=blanked, unconstrained={"position": position}, derived={}, statistics={})
