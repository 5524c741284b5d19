"""The posterior of a fit from its arguments, after the checks on the host."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxlatent.data.arrays import as_data
from jaxlatent.data.batches import Batch, labelled
from jaxlatent.errors import InputError, require
from jaxlatent.execute.quarantine import Quarantine
from jaxlatent.model.checks import check_fit, warn_of_data
from jaxlatent.model.dims import check_dims
from jaxlatent.model.model import Model
from jaxlatent.posterior.condition import unguided
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.posterior.shapes import shapes_of
from jaxlatent.typing import Data


def part_of(
    model: Model | Posterior, data: Data | Batch | None, datasets: Sequence[int] | np.ndarray
) -> tuple[Model | Posterior, Data | Batch | None]:
    """A model and the ``datasets`` (indices) of its batch, or those of a batched posterior."""
    if isinstance(data, Batch):
        return model, data.select([data.names[i] for i in datasets])
    assert isinstance(model, Posterior)
    return model.some(datasets), data


def conditioned_for(
    model: Model | Posterior, data: Data | Batch | None, coords: dict[str, list[Any]], wanted: bool, whole: bool = True
) -> tuple[Posterior, Quarantine]:
    """The posterior, and the quarantine of its datasets that fail the checks; without ``wanted`` these raise.

    Args:
        model, data: see `jaxlatent.fit`.
        coords: labels by dimension.
        wanted: see `Quarantine`.
        whole: see `Quarantine`.
    """
    if isinstance(model, Posterior):
        require(
            data is None,
            "fit(posterior, data, ...)",
            got=type(data).__name__,
            expected="None: a posterior holds its data",
            remedy="leave the data out; for other data fit the model, or condition it on them.",
        )
        first = model if model.names is None else model.one(0)
        density = model.density
        if isinstance(density, ModelDensity):
            check_dims(density.dims, density.model.shapes(first.data).named, coords)
        elif coords:
            params, others = shapes_of(first)
            check_dims(density.dims, {name: x.shape for name, x in {**params, **others}.items()}, coords)
        return model, Quarantine(model.names, wanted, {}, whole)
    if not isinstance(model, Model):
        raise InputError(
            "fit(model, ...)",
            got=type(model).__name__,
            expected="a jaxlatent.Model or a jaxlatent.Posterior",
            remedy="the model comes first, then the data."
            if isinstance(model, Mapping | Batch)
            else "wrap NumPyro models with jl.from_numpyro, PyMC models with jl.from_pymc, bare functions with jl.from_log_density.",
        )
    batch = data if isinstance(data, Batch) else None
    quarantine = Quarantine(batch.names if batch else None, wanted, batch.problems if batch else {}, whole)
    arrays = as_data({} if data is None else data) if not isinstance(data, Batch) else data[0]
    check_dims(model.dims, model.shapes(arrays).named, coords)
    for dataset, (label, one) in enumerate(labelled(batch or arrays)):
        if not quarantine.bad[dataset]:
            try:
                check_fit(model, one, label)
            except InputError as problem:
                quarantine.add(dataset, problem)
    warn_of_data(model, arrays, stacklevel=3)
    return unguided(model, batch or arrays), quarantine
