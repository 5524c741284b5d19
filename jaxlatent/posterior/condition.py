"""`condition`: where a model meets its data."""

from dataclasses import replace

import jax

from jaxlatent.data.arrays import Batch, as_data, labelled
from jaxlatent.model.checks import check_fit
from jaxlatent.model.model import Model
from jaxlatent.posterior.guides import find_guides
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior, batched
from jaxlatent.typing import Data


def condition(model: Model, data: Data | Batch | None = None) -> Posterior:
    """The posterior of ``model`` given ``data``, for engines and for people who bring their own algorithm.

    Args:
        model: the declaration.
        data: observed values under the names that the likelihood returns, covariates under any other name. A `Batch` gives a
            batched posterior, whose data lead with ``dataset``: to be fitted, or mapped over.

    Raises:
        InputError: for data that the model cannot use (NaN, infinity, text, other shapes, indices out of range, masked entries that are
            read). Inside a trace only shapes are known, and nothing but what they tell is checked.
    """
    if isinstance(data, Batch):
        data.checked()
    else:
        data = as_data({} if data is None else data)
    model.shapes(data[0] if isinstance(data, Batch) else data)
    if not any(
        isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(data.data if isinstance(data, Batch) else data)
    ):
        for label, one in labelled(data):
            check_fit(model, one, label)
    return conditioned(model, data)


def conditioned(model: Model, data: Data | Batch) -> Posterior:
    """As `condition`, of data that were read and checked."""
    posterior = unguided(model, data)
    return replace(posterior, guides=find_guides(posterior, isinstance(data, Batch)))


def unguided(model: Model, data: Data | Batch) -> Posterior:
    """As `conditioned`, without what the data say about varying effects."""
    if isinstance(data, Batch):
        return batched(ModelDensity(model, model.shapes(data[0]).sites), data.data, data.names)
    return Posterior(ModelDensity(model, model.shapes(data).sites), dict(data))
