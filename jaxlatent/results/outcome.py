"""`Outcome`: the arrays of a fit, and the selection of datasets and lanes."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import jax
import numpy as np

from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, listed
from jaxlatent.masks import blank
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.provenance import Provenance
from jaxlatent.status import Status, has_failed, in_words
from jaxlatent.store.lazy import Lazy

#: The fields that lead with ``(dataset?, lane)``.
_ARRAYS = ("params", "derived", "unconstrained", "statistics", "objective", "status", "trace")


@dataclass(frozen=True)
class Outcome:
    """The arrays of a fit; see `jaxlatent.Result`."""

    posterior: Posterior
    engine: Engine
    params: Mapping[str, np.ndarray]
    derived: Mapping[str, np.ndarray]
    unconstrained: Mapping[str, np.ndarray]
    statistics: Mapping[str, np.ndarray]
    objective: np.ndarray
    status: np.ndarray
    trace: np.ndarray | None
    names: tuple[Any, ...] | None
    provenance: Provenance
    coords: dict[str, list[Any]] = field(default_factory=dict)
    quarantined: dict[Any, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.params, dict):
            # JAX sorts dicts by name: restore the order of the declaration.
            ordered = {name: self.params[name] for name in self.posterior.density.names}
            object.__setattr__(self, "params", ordered)

    @property
    def positions(self) -> np.ndarray:
        """The parameters as unconstrained, flat vectors: ``(dataset?, lane, draw?, dim)``."""
        return self.unconstrained["position"]

    def __repr__(self) -> str:
        shape = ", ".join(f"{name} {_shape(self.params, name)}" for name in self.params)
        agreed = (
            ""
            if self.trace is None or self.status.size == 1
            else f"; {np.sum(self.agreeing())} reached the best objective"
        )
        return f"Result({self.provenance.engine}; {shape}; lanes: {in_words(self.status)}{agreed})"

    def agreeing(self, within: float = 1.0) -> np.ndarray | np.integer:
        """The number of lanes whose objective is ``within`` so many nats of the best, by dataset.

        Args:
            within: nats.
        """
        ended = np.where(self._failed(), -np.inf, self.objective)
        best = np.max(ended, -1, keepdims=True)
        count: np.ndarray | np.integer = np.sum(np.isfinite(ended) & (ended >= best - within), -1)
        return count

    @property
    def has_draws(self) -> bool:
        """Whether the engine returns draws rather than points."""
        return self.engine.kind != "point"

    @property
    def leading(self) -> tuple[str, ...]:
        """Names of the leading axes of `params`."""
        if self.has_draws:
            axes: tuple[str, ...] = ("dataset", "chain", "draw")
        else:
            axes = ("dataset",) if self._is_best else ("dataset", "lane")
        return axes if self.names is not None else axes[1:]

    @property
    def _is_best(self) -> bool:
        """Whether these are points selected by `best`, without a lane axis."""
        return not self.has_draws and len(_shape(self.unconstrained, "position")) == (1 if self.names is None else 2)

    def __getitem__(self, dataset: Any) -> Self:
        """The result of one dataset of a batch, by name.

        What follows from it, such as predictions and log likelihoods, is of its own rows, without those that only longer datasets have.
        A model without covariates by row cannot tell these from missing values: there they stay, masked.
        """
        if self.names is None or dataset not in self.names:
            remedy = "use the result itself." if self.names is None else "use result.names to see them."
            for field_name in ("params", "derived"):
                if isinstance(dataset, str) and dataset in getattr(self, field_name):
                    remedy = f"use result.{field_name}[{dataset!r}]."
            raise InputError(
                f"result[{dataset!r}]",
                got="a result of one dataset"
                if self.names is None
                else f"no such dataset among {list(self.names)[:8]}",
                expected="the name of a dataset of a batch",
                remedy=remedy,
            )
        one = self._select(self.names.index(dataset), None)
        made = np.flatnonzero(np.any(one._exists(), 0)) if one.has_draws else np.zeros(0, int)
        return one._cut(int(made[-1]) + 1) if made.size else one

    def select(self, names: Sequence[Any]) -> Self:
        """The result of some datasets of a batch, by name, as in ``result.select(names)``; arrays on disk are read for it.

        Raises:
            InputError: for a result of one dataset, an unknown name, or no names.
        """
        own = self.names or ()
        unknown = [name for name in names if name not in own]
        if unknown or not len(names):
            raise InputError(
                "result.select(names)",
                got=f"no dataset {unknown[0]!r}" if unknown else "no names",
                expected=f"a list of names among {list(own)[:8]}" if own else "a result of a batch",
                remedy="use result.names to see them.",
            )
        rows = np.array([own.index(name) for name in names])
        picked: dict[str, Any] = {
            name: {key: values[key][rows] for key in values} if isinstance(values, Mapping) else values[rows]
            for name in _ARRAYS
            if (values := getattr(self, name)) is not None
        }
        reasons = {name: self.quarantined[name] for name in names if name in self.quarantined}
        return replace(self, posterior=self.posterior.some(rows), names=tuple(names), quarantined=reasons, **picked)

    def best(self) -> Self:
        """The lane of highest objective that did not fail, for each dataset; point fits lose their lane axis.

        A dataset of a batch whose lanes all failed keeps a status and has NaN for values, with a warning.

        Raises:
            InputError: if every lane of the only dataset failed.
        """
        if self._is_best:
            return self
        failed = self._failed()
        all_failed = np.asarray(failed.all(-1))
        if self.names is None and all_failed:
            first = Status(int(self.status[0]))
            # Without a finite objective a lane has failed, whatever its status.
            cause = first if first.failed else Status.NON_FINITE
            raise InputError(
                "result.best()",
                got=f"only failed lanes ({', '.join(sorted({Status(code).name for code in self.status}))})",
                expected="at least one",
                remedy=cause.advice,
            )
        lane = np.argmax(np.where(failed, -np.inf, self.objective), -1)
        if self.names is None:
            return self._select(None, int(lane))
        if all_failed.any():
            warnings.warn(
                f"result.best(): all lanes of {listed(self.failed)} failed; their values are NaN.", stacklevel=2
            )
        picked = [self._select(i, int(k)) for i, k in enumerate(lane)]
        stacked = {
            name: jax.tree.map(lambda *x: np.stack(x), *(getattr(one, name) for one in picked)) for name in _ARRAYS
        }
        status = stacked.pop("status")
        return replace(self, **blank(stacked, ~all_failed), status=status)

    @property
    def failed(self) -> tuple[Any, ...]:
        """Names of the datasets of a batch whose lanes all failed, as for ``batch.select(result.failed)``.

        Raises:
            InputError: for one dataset.
        """
        if self.names is None:
            raise InputError(
                "result.failed",
                got="a result of one dataset",
                expected="a result of a batch",
                remedy="look at result.status, by lane.",
            )
        all_failed = np.all(self._failed().reshape(len(self.names), -1), -1).tolist()
        return tuple(name for name, gone in zip(self.names, all_failed, strict=True) if gone)

    def _failed(self) -> np.ndarray:
        return np.asarray(has_failed(self.status) | ~np.isfinite(self.objective))

    def mean(self) -> dict[str, np.ndarray | np.floating]:
        """Posterior mean by parameter, over chains and draws; for point fits the point estimates."""
        if not self.has_draws:
            return dict(self.params)
        if self._ragged:
            means: dict[str, np.ndarray | np.floating]
            means = jax.tree.map(lambda *x: np.stack(x), *(self[name].mean() for name in self.names or ()))
            return means
        axes = tuple(self.leading.index(axis) for axis in ("chain", "draw"))
        return {name: value.mean(axes) for name, value in self.params.items()}

    def _exists(self) -> np.ndarray:
        """Which draws or points exist: none of a failed lane, and no draws after a dataset stopped early."""
        return np.asarray(~np.isnan(self.objective) if not self.has_draws else ~np.isnan(self.positions).any(-1))

    @property
    def _ragged(self) -> bool:
        """Whether some datasets of a batch have fewer draws than others."""
        if self.names is None or not self.has_draws:
            return False
        exists = np.any(self._exists(), 1)
        return bool(np.any(np.any(exists, -1) & ~exists[:, -1]))

    def _cut(self, draws: int) -> Self:
        """The first draws of one dataset."""
        length = _shape(self.unconstrained, "position")[:2]
        first: Callable[[Any], Any] = lambda values: part_of(
            values, (slice(None), slice(draws)), lambda shape: shape[:2] == length
        )
        return replace(self, **{name: first(getattr(self, name)) for name in _ARRAYS[:4]})

    def _select(self, dataset: int | None, lane: int | None) -> Self:
        """Select one dataset, one lane, or both; a lane of draws keeps its axis, of length 1."""
        index: tuple[Any, ...] = () if dataset is None else (dataset,)
        if lane is not None:
            index += (slice(lane, lane + 1) if self.has_draws else lane,)
        picked = {name: part_of(getattr(self, name), index) for name in _ARRAYS}
        if dataset is None:
            return replace(self, **picked)
        posterior = self.posterior.one(dataset)
        name = (self.names or ())[dataset]
        reasons = {name: self.quarantined[name]} if name in self.quarantined else {}
        return replace(self, posterior=posterior, names=None, quarantined=reasons, **picked)


def _shape(values: Mapping[str, np.ndarray], name: str) -> tuple[int, ...]:
    """The shape of an array, which is not read for that."""
    return values.shape(name) if isinstance(values, Lazy) else values[name].shape


def part_of(values: Any, index: tuple[Any, ...], fits: Callable[[tuple[int, ...]], bool] = lambda shape: True) -> Any:
    """The part at ``index`` of each array whose shape ``fits``; arrays on disk are not read for that."""
    if isinstance(values, Lazy):
        return values.at(index, fits)
    # Arrays also where one number is left, as the annotations say.
    return jax.tree.map(lambda x: np.asarray(x[index]) if fits(x.shape) else x, values)
