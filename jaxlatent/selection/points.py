"""`Points`: the best point of every dataset of a point fit, led by ``dataset`` also where there is one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.errors import InputError, listed
from jaxlatent.model.model import Model
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results import predictive
from jaxlatent.results.result import Result
from jaxlatent.status import Status, has_failed
from jaxlatent.typing import Array, Params

#: How a lane ended that has neither converged nor failed.
_UNFINISHED = (Status.MAX_ITERATIONS, Status.STALLED, Status.DECREASED, Status.UNFINISHED)


class Points(NamedTuple):
    """The best point of every dataset of a fit; all arrays lead with ``dataset``.

    Attributes:
        names: of the datasets of a batch; None for one dataset.
        posterior: with the data.
        params: of the best lane.
        positions: likewise, ``(dataset, dim)``.
        objective: likewise, ``(dataset,)``.
        status: likewise.
        failed: where all lanes failed.
    """

    names: tuple[Any, ...] | None
    posterior: Posterior
    params: dict[str, np.ndarray]
    positions: np.ndarray
    objective: np.ndarray
    status: np.ndarray
    failed: np.ndarray

    @property
    def model(self) -> Model:
        """The model that was fitted."""
        density = self.posterior.density
        assert isinstance(density, ModelDensity)
        return density.model

    def log_likelihood(self) -> np.ndarray:
        """The log likelihood of every dataset, without the prior; NaN where all lanes failed."""
        found = predictive.log_likelihood(self.posterior, {name: x[:, None] for name, x in self.params.items()}, False)
        total = sum(np.asarray(term, float).reshape(len(self.failed), -1).sum(1) for term in found.values())
        return np.where(self.failed, np.nan, total)


def points_of(result: Result) -> Points:
    """The best points of a point fit.

    Raises:
        InputError: if every lane of the only dataset failed.
    """
    if result.names is None:
        best = jax.tree.map(lambda x: x[None], (result.posterior, dict(result.params), result.positions))
        (posterior, params, positions), status, objective = best, result.status[None], result.objective[None]
        result.best()  # raises
    else:
        posterior, params, positions = result.posterior.nameless, dict(result.params), result.positions
        status, objective = result.status, result.objective
    objective = np.where(has_failed(status) | ~np.isfinite(objective), -np.inf, objective)
    each, lane = np.arange(len(objective)), np.argmax(objective, -1)
    params, positions, objective, status = jax.tree.map(
        lambda x: np.asarray(x)[each, lane], (params, positions, objective, status)
    )
    return Points(result.names, posterior, params, positions, objective, status, ~np.isfinite(objective))


@jax.jit
def _constrained(posterior: Posterior, positions: Array) -> Params:
    constrain: Callable[[Posterior, Array], Params] = lambda posterior, position: posterior.constrain(position)
    return jax.vmap(constrain)(posterior, positions)


def starts_at(points: Points, count: int) -> dict[str, np.ndarray]:
    """The points as ``init`` of `jaxlatent.fit` for ``count`` replicates of every dataset: ``(dataset * count, 1, ...)``.

    They are taken from positions: parameters of EM may lie on the boundary of the support, where no other lane can start.
    """
    values = _constrained(points.posterior, jnp.asarray(points.positions))
    return {name: np.repeat(np.asarray(value), count, 0)[:, None] for name, value in values.items()}


def endings(result: Result) -> list[str]:
    """Sentences on the fits of a batch that failed, and on those that ended before they converged, by status; none if there are none."""
    points = points_of(result)
    names, total, said = result.names or (), len(points.failed), []
    for code in np.unique(points.status):
        status = Status(int(code))
        own = np.flatnonzero((points.status == code) & (points.failed | (status in _UNFINISHED)))
        if len(own):
            what = "failed, and are left out" if points.failed[own[0]] else "did not converge, and are counted in"
            where = listed([str(names[i]) for i in own])
            said.append(f"{len(own)} of {total} fits {what}: {where}. {status.name}: {status.advice}")
    return said


def in_order(result: Result, to: Result) -> Result:
    """A fit with its hidden labels in the order of another, by `jaxlatent.Result.align`; as it is where there are none to align."""
    try:
        return result.align(to)
    except InputError:  # no hidden labels, or the model itself tells them apart
        return result
