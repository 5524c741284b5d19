"""Replicates of datasets, of their shapes and masks: observations drawn from a fit, or units drawn with replacement."""

from typing import Any

import jax
import numpy as np

from jaxlatent.data.arrays import Masked, split
from jaxlatent.data.batches import Batch
from jaxlatent.errors import InputError
from jaxlatent.results import predictive
from jaxlatent.selection.layout import Layout, counts_of, masks_of, take_units
from jaxlatent.selection.points import Points
from jaxlatent.status import Status
from jaxlatent.typing import Data, Key


def replicate_names(names: tuple[Any, ...] | None, count: int) -> tuple[str, ...]:
    """Names of ``count`` replicates of every dataset: "replicate 0", ..., for a batch "name, replicate 0", ..."""
    own = [f"replicate {i}" for i in range(count)]
    return tuple(own if names is None else (f"{name}, {one}" for name in names for one in own))


def batch_of(study: str, points: Points, data: Data, count: int, quarantine: bool) -> Batch:
    """Replicates as a batch, in which those of datasets without a fit have a problem.

    Args:
        study: the caller, for messages.
        points: of the fit to the data.
        data: ``(dataset * count, ...)``.
        count: number of replicates of each dataset.
        quarantine: whether a dataset without a fit is set aside rather than raises.

    Raises:
        InputError: for datasets whose names agree as text, and unless ``quarantine`` for one without a fit.
    """
    names = replicate_names(points.names, count)
    if len(set(names)) < len(names):
        raise InputError(
            f"{study}(), the names of the datasets",
            got=repr(points.names),
            expected="names that differ as text",
            remedy="rename them.",
        )
    problems: dict[str, InputError] = {}
    for dataset in np.flatnonzero(points.failed).tolist():
        status = Status(int(points.status[dataset]))
        problem = InputError(
            f"{study}(), dataset {(points.names or ())[dataset]!r}",
            got=f"no fit to the data: all lanes failed, the best with {status.name}",
            expected="a fit to start from",
            remedy=f"{status.advice} Or leave it out, or set it aside by on_bad_data='quarantine'.",
        )
        if not quarantine:
            raise problem
        problems |= dict.fromkeys(names[dataset * count : (dataset + 1) * count], problem)
    return Batch(dict(data), names, problems)


def simulate(points: Points, count: int, key: Key) -> dict[str, Any]:
    """Copies of all datasets with other observations, drawn from the model at the best points: ``(dataset * count, ...)``.

    Covariates and masks are those of the data; see `jaxlatent.selection.assumptions.check_simulation`.
    """
    data = points.posterior.data
    copies = {name: np.broadcast_to(x[:, None], (len(x), count, *x.shape[1:])) for name, x in points.params.items()}
    drawn = predictive.predict(points.posterior, copies, key, False)
    made = {name: jax.tree.map(lambda x: np.repeat(np.asarray(x), count, 0), value) for name, value in data.items()}
    for name, values in drawn.items():
        given, mask = split(made[name])
        # Counts in data of real numbers stay real; real draws for data that happen to be whole are not cut.
        dtype = given.dtype if given.dtype.kind == "f" else values.dtype
        flat = np.asarray(values, dtype).reshape(given.shape)
        made[name] = flat if mask is None else Masked(flat, mask)
    return made


def resample(layout: Layout, points: Points, count: int, key: Key) -> dict[str, Any]:
    """Copies of all datasets whose units (rows or sequences) are drawn with replacement: ``(dataset * count, ...)``.

    Each unit with an observed value is replaced by one of these; the others stay in their place. See
    `jaxlatent.selection.assumptions.check_units`.
    """
    data = jax.tree.map(np.asarray, dict(points.posterior.data))
    seen = counts_of(layout, masks_of(layout, data)) > 0
    datasets, size = seen.shape
    numbers = np.maximum(seen.sum(1), 1)[:, None, None]
    drawn = np.asarray(jax.random.randint(key, (datasets, count, size), 0, numbers))
    # The elements that are seen come first.
    places = np.argsort(~seen, 1, kind="stable")
    index = np.where(seen[:, None], np.take_along_axis(places[:, None], drawn, 2), np.arange(size))
    taken = [
        take_units(layout, jax.tree.map(lambda x, i=i: x[i], data), own) for i, each in enumerate(index) for own in each
    ]
    stacked: dict[str, Any] = jax.tree.map(lambda *x: np.stack(x), *taken)
    return stacked
