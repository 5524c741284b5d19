"""Check that some value of an observation has a density, where its distribution leaves values out, as an autoregression does."""

from collections.abc import Callable

import numpy as np

from jaxlatent.errors import InputError
from jaxlatent.latent import counted
from jaxlatent.model.checks.terms import Reading
from jaxlatent.model.model import Model
from jaxlatent.typing import Data, Params


def check_densities(model: Model, params: Callable[[], Params], data: Data, reading: Reading, label: str) -> None:
    """Refuse an observation of which no value has a density: the posterior would be the prior, and a score 0 / 0.

    Args:
        model: the declaration.
        params: any values of the parameters, made when needed.
        data: one dataset.
        reading: of the model.
        label: prefix of names in messages.

    Raises:
        InputError: naming the observation.
    """
    partial = [name for name, axes in reading.axes.items() if axes.partial]
    if not partial:
        return
    observed = model.observed(params(), data)
    for name in partial:
        if not np.any(counted(observed[name], data[name])):
            raise InputError(
                f"{label}observation {name!r}",
                got="values of which none has a density: the likelihood masks all, or conditions on them",
                expected="at least one that has",
                remedy="give an autoregression sequences longer than its lags, or fewer lags; else see what masks the distribution.",
            )
