"""`condition`: where a model meets its data."""

import jax

from jaxlatent.data import Batch, as_data
from jaxlatent.guides import find_guides
from jaxlatent.model import Model
from jaxlatent.posterior import ModelDensity, Posterior, batched, layout
from jaxlatent.typing import Data


def condition(model: Model, data: Data | Batch | None = None) -> Posterior:
    """The posterior of ``model`` given ``data``, for engines and for people who bring their own algorithm.

    Args:
        model: the declaration.
        data: observed values under the names that the likelihood returns, covariates under any other name. A `Batch` gives a
            batched posterior, whose data lead with ``dataset``: to be fitted, or mapped over.

    Raises:
        InputError: if the data hold something that no model can use (NaN, infinity, text); see `jaxlatent.checks` for the rest.
    """
    if isinstance(data, Batch):
        data.checked()
        density = ModelDensity(model, layout(model, data[0]))
        return batched(density, data.data, data.names, jax.vmap(lambda one: find_guides(density, one))(data.data))
    arrays = as_data({} if data is None else data)
    density = ModelDensity(model, layout(model, arrays))
    return Posterior(density, arrays, find_guides(density, arrays))
