"""`Posterior`: a model conditioned on data, as a log density over a flat unconstrained vector.

The data are pytree *leaves* and everything else is static, so a posterior is an ordinary argument of ``jit``, ``vmap`` and
``shard_map``: one compiled program serves every dataset of the same shapes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.data.arrays import take_rows
from jaxlatent.distributions.centring import LikelihoodFactor
from jaxlatent.errors import InputError, require
from jaxlatent.posterior.density import Density
from jaxlatent.typing import Array, Key, Params, Position, PyTree


@partial(jax.tree_util.register_dataclass, data_fields=["index"], meta_fields=["names"])
@dataclass(frozen=True)
class Datasets:
    """The datasets of a batched posterior.

    Args:
        names: static.
        index: ``(dataset,)``; a scalar under ``vmap`` over datasets, which tells one dataset from the batch.
    """

    names: tuple[Any, ...]
    index: Array


@partial(jax.tree_util.register_dataclass, data_fields=["data", "guides", "datasets"], meta_fields=["density"])
@dataclass(frozen=True)
class Posterior:
    """A log density over flat positions, with its data as pytree leaves; or a batch of posteriors, to ``vmap`` over.

    Args:
        density: the static part.
        data: a pytree of arrays.
        guides: Gaussian factors of `jaxlatent.informed` effects, by name; they affect coordinates only.
        datasets: of a batch, whose data and guides lead with ``dataset``; None for one dataset.
    """

    density: Density
    data: PyTree
    guides: dict[str, LikelihoodFactor] = field(default_factory=dict)
    datasets: Datasets | None = None

    @property
    def dim(self) -> int:
        """The length of a position."""
        return self.density.dim

    @property
    def names(self) -> tuple[Any, ...] | None:
        """Names of the datasets of a batch; None for one dataset, also one taken from a batch."""
        return self.datasets.names if self.datasets is not None and self.datasets.index.shape else None

    @property
    def nameless(self) -> "Posterior":
        """A copy without the names of datasets, which would be part of the cache key of compiled programs."""
        return replace(self, datasets=None)

    def some(self, datasets: Sequence[int] | np.ndarray) -> "Posterior":
        """The posterior of the datasets at these positions of a batch."""
        part = take_rows(self.nameless, np.asarray(datasets))
        return batched(part.density, part.data, tuple((self.names or ())[i] for i in datasets), part.guides)

    def one(self, dataset: int) -> "Posterior":
        """The posterior of one dataset of a batch, by its place in it.

        Raises:
            InputError: if there are not so many datasets.
        """
        if self.names is not None:
            count = len(self.names)
            fits = -count <= dataset < count
            require(fits, "posterior.one(...)", got=dataset, expected=f"0 to {count - 1}", remedy="count from zero.")
        one: Posterior = jax.tree.map(lambda x: x[dataset], self)
        return one

    def _repr_html_(self) -> str:
        from jaxlatent.pages.notebook import posterior_html

        return posterior_html(self)

    def log_density(self, position: Position, jacobian: bool = True) -> Array:
        """The log density at a position ``(dim,)``, up to a constant.

        Args:
            position: ``(dim,)``.
            jacobian: True for the density of the position, which samplers need; False for that of the named, constrained values,
                whose maximum does not depend on the coordinates (centring included).

        Raises:
            InputError: for a batch, as in every method.
        """
        self._require_one("log_density")
        return self.density.log_density(position, self.data, self.guides, jacobian)

    def constrain(self, position: Position) -> Params:
        """The named, constrained values at a position ``(dim,)``."""
        self._require_one("constrain")
        return self.density.constrain(position, self.data, self.guides)

    def unconstrain(self, params: Mapping[str, Any]) -> Position:
        """The position ``(dim,)`` of named, constrained values."""
        self._require_one("unconstrain")
        return self.density.unconstrain(params, self.data, self.guides)

    def initial_position(self, key: Key) -> Position:
        """A random start: the model's own, or uniform(-2, 2) in each unconstrained coordinate (as in Stan)."""
        self._require_one("initial_position")
        return self.density.initial_position(key, self.data, self.guides)

    def _require_one(self, what: str) -> None:
        # The log density of stacked data would be that of all datasets pooled.
        if self.names is not None:
            raise InputError(
                f"posterior.{what}(...)",
                got=f"a batch of {len(self.names)} datasets",
                expected="one dataset",
                remedy=f"map over the batch, as in jax.vmap(lambda posterior, x: posterior.{what}(x))(posterior, xs).",
            )


def batched(
    density: Density, data: PyTree, names: tuple[Any, ...], guides: Mapping[str, LikelihoodFactor] | None = None
) -> Posterior:
    """The posterior of a batch: ``data`` and ``guides`` lead with ``dataset``."""
    return Posterior(density, data, dict(guides or {}), Datasets(names, jnp.arange(len(names))))
