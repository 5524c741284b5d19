"""`condition`: the posterior of a model given data."""

import jax

from jaxlatent.data.arrays import as_data
from jaxlatent.data.batches import Batch, labelled
from jaxlatent.model.checks import check_fit, warn_of_data
from jaxlatent.model.model import Model
from jaxlatent.posterior.guides import guided
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior, batched
from jaxlatent.typing import Data


def condition(model: Model, data: Data | Batch | None = None) -> Posterior:
    """The posterior of ``model`` given ``data``, for engines and for your own algorithms.

    Args:
        model: the declaration.
        data: observed values under the names that the likelihood returns, covariates under any other name. A `Batch` gives a
            batched posterior, whose data lead with ``dataset``, to fit or to ``vmap`` over.

    Raises:
        InputError: for data that the model cannot use (NaN, infinity, text, other shapes, indices out of range, masked entries that are
            read). Inside a trace only shapes are checked.
    """
    if isinstance(data, Batch):
        data.checked()
    else:
        data = as_data({} if data is None else data)
    first = data[0] if isinstance(data, Batch) else data
    model.shapes(first)
    if not any(
        isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(data.data if isinstance(data, Batch) else data)
    ):
        for label, one in labelled(data):
            check_fit(model, one, label)
        warn_of_data(model, first, stacklevel=2)
    return conditioned(model, data)


def conditioned(model: Model, data: Data | Batch) -> Posterior:
    """Like `condition`, for data that are already checked arrays."""
    return guided(unguided(model, data))


def unguided(model: Model, data: Data | Batch) -> Posterior:
    """Like `conditioned`, without the guides of varying effects."""
    if isinstance(data, Batch):
        return batched(ModelDensity(model, model.shapes(data[0]).sites), data.data, data.names)
    return Posterior(ModelDensity(model, model.shapes(data).sites), dict(data))
