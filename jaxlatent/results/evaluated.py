"""`Evaluated`: functions of a model, evaluated at the parameters of a result, for its data or others, over its datasets and lanes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.data.arrays import blamed
from jaxlatent.data.batches import Batch, labelled
from jaxlatent.errors import InputError
from jaxlatent.masks import widen
from jaxlatent.model.checks import Purpose as Use
from jaxlatent.model.checks import check_use
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.posterior.support import require_support
from jaxlatent.results.outcome import Outcome, part_of
from jaxlatent.results.padding import unpadded
from jaxlatent.typing import Data

Computed = TypeVar("Computed")


@dataclass(frozen=True, repr=False)
class Evaluated(Outcome):
    """An `Outcome` that evaluates functions of its model at its parameters."""

    def _computed(
        self, fn: Callable[..., Computed], data: Data | Batch | None, *rest: Any, use: Use = "score"
    ) -> Computed:
        """``fn(posterior, params, ...)``, whose exceptions with other data become an `InputError`."""
        posterior, params = self._gridded(data, use)
        if data is None:
            return fn(posterior, params, *rest)

        def checked(posterior: Posterior, params: dict[str, Any]) -> Computed:
            if use == "score":
                require_support(posterior, params, 3 if self.has_draws else 2, self.names)
            return fn(posterior, params, *rest)

        remedy = "give every covariate, and for likelihoods the observations, in shapes that go together."
        return blamed(
            "what follows from a result on other data", lambda: checked(posterior, params), posterior.data, remedy
        )

    def _gridded(self, data: Data | Batch | None = None, use: Use = "score") -> tuple[Posterior, dict[str, Any]]:
        """Posterior and parameters with a dataset axis, and for `best` points a lane axis; with other ``data`` if given, checked.

        Missing draws are replaced by other draws of the dataset, since integer results of NaN would not be recognised.
        """
        posterior, params = self.posterior.nameless, dict(self.params)
        if self.names is None:
            posterior, params = jax.tree.map(lambda x: x[None], (posterior, params))
        if data is not None:
            data = self._paired(data) if isinstance(data, Batch) else data
            density, other = posterior.density.with_data(data.data if isinstance(data, Batch) else data)
            if isinstance(density, ModelDensity):
                for label, one in labelled(data if isinstance(data, Batch) else other):
                    check_use(density.model, self._first(), one, use, other, label)
            if not isinstance(data, Batch):
                datasets = next(iter(params.values())).shape[0]
                other = jax.tree.map(lambda x: jnp.broadcast_to(x, (datasets, *x.shape)), other)
            posterior = replace(posterior, density=density, data=other)
        if self._is_best:
            params = jax.tree.map(lambda x: x[:, None], params)
        if self.has_draws:
            params = _filled(params, self._exists().reshape(-1, *self.positions.shape[-3:-1]))
        return posterior, params

    def _ungridded(self, values: Mapping[str, Any], fill: float = np.nan) -> dict[str, np.ndarray]:
        """Undo `_gridded`: drop the added axes, and set ``fill`` for missing draws."""
        own = {name: self._stripped(np.asarray(value)) for name, value in values.items()}
        exists = self._exists()
        if exists.all():
            return own
        return {name: np.where(widen(exists, value.ndim), value, fill) for name, value in own.items()}

    def _stripped(self, value: np.ndarray) -> np.ndarray:
        """Drop the axes added by `_gridded`."""
        value = value[:, 0] if self._is_best else value
        return np.asarray(value[0] if self.names is None else value)

    def _paired(self, data: Batch) -> Batch:
        """Other data in the order of the datasets of the result: by name, or by position if unnamed."""
        own, given = self.names or (), data.checked().names
        if set(given) == set(own):
            return data.select(own)
        if own and given == tuple(range(len(own))):
            return data
        raise InputError(
            "other data",
            got=f"a batch of {list(given)[:8]}",
            expected=f"the datasets of the result, {list(own)[:8]}" if own else "the data of one dataset",
            remedy="name them as in the fit, or pick datasets first, as in result[name].",
        )

    def _first(self) -> dict[str, Any]:
        """The parameters of the first lane, at its first draw."""
        first = part_of(self.params, (0,) * len(self.leading))
        return {name: jnp.asarray(x) for name, x in first.items()}

    def _at_first_draws(self) -> tuple[Posterior, dict[str, Any]]:
        """The posterior and one value of the parameters, leading with ``dataset``."""
        lane = (0,) * (len(self.leading) - (self.names is not None))
        index = lane if self.names is None else (slice(None), *lane)
        both = self.posterior.nameless, dict(part_of(self.params, index))
        return both if self.names is not None else jax.tree.map(lambda x: x[None], both)

    def _observed(self) -> tuple[str, ...]:
        """Names of the observations that have a likelihood; none for a bare log density."""
        posterior, params = jax.tree.map(lambda x: x[0], self._at_first_draws())
        terms: Callable[[Posterior, Any], Any] = lambda p, params: p.density.log_likelihood(params, p.data)
        return tuple(jax.eval_shape(terms, posterior, params))

    def _own_data(self) -> Any:
        """The data of the fit; of one dataset of a ragged batch without padding."""
        data = self.posterior.data
        return self._unpadded(data) if isinstance(data, Mapping) else data

    def _by_row(self, values: dict[str, Any], data: Data | Batch | None = None) -> dict[str, Any]:
        """Values that lead like `params`, of one dataset of a ragged batch without the rows that only the longer ones have."""
        return values if data is not None else self._unpadded(values, len(self.leading))

    def _unpadded(self, values: Mapping[str, Any], leading: int = 0) -> dict[str, Any]:
        return (
            dict(values) if self.names is not None else unpadded(values, leading, self.posterior.data, self._observed)
        )


def _filled(params: dict[str, Any], exists: np.ndarray) -> dict[str, Any]:
    """Replace missing draws ``(dataset, lane, draw, ...)`` by existing ones of the same dataset, cyclically."""
    if exists.all():
        return params
    own = [np.flatnonzero(one) for one in exists.reshape(len(exists), -1)]
    index = np.stack([np.resize(one if len(one) else 0, exists[0].size) for one in own]).reshape(exists.shape)
    index = np.where(exists, np.arange(exists[0].size).reshape(exists.shape[1:]), index)
    row = np.arange(len(exists))[:, None, None]
    return {name: np.asarray(x).reshape(len(exists), -1, *x.shape[3:])[row, index] for name, x in params.items()}
