"""`sample_prior`: prior and prior predictive draws."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import as_data, blamed
from jaxlatent.keys import Purpose, key_for
from jaxlatent.model.checks import check_use
from jaxlatent.model.dims import coords_for
from jaxlatent.model.model import Model
from jaxlatent.results import container
from jaxlatent.typing import Array, Data, Key, Params


class PriorDraws(NamedTuple):
    """Prior and prior predictive draws, each leading with ``draw``.

    Attributes:
        params: parameters.
        derived: derived quantities.
        observed: observations, the prior predictive.
        dims: names of their other axes.
        coords: labels by dimension, those of the model and of data from tables.
    """

    params: Params
    derived: dict[str, Array]
    observed: dict[str, Array]
    dims: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, Sequence[Any]]

    def to_arviz(self, coords: Mapping[str, Sequence[Any]] | None = None) -> Any:
        """The groups prior and prior_predictive, with one chain, in ArviZ's container: see `jaxlatent.Result.to_arviz`.

        Args:
            coords: labels by dimension, before those of the draws.
        """
        labels = {**self.coords, **(coords or {})}

        def group(values: Mapping[str, Array]) -> Any:
            arrays = {name: np.asarray(value)[None] for name, value in values.items()}
            return container.dataset(arrays, ("chain", "draw"), self.dims, labels)

        return container.inference_data(
            {"prior": group({**self.params, **self.derived}), "prior_predictive": group(self.observed)}
        )

    def _repr_html_(self) -> str:
        html: str = self.to_arviz()._repr_html_()
        return html


@compiled("model", "draws")
def _draw(model: Model, key: Key, data: Data, draws: int) -> tuple[Params, dict[str, Array], dict[str, Array]]:
    def one(key: Key) -> tuple[Params, dict[str, Array], dict[str, Array]]:
        prior_key, observed_key = jax.random.split(key)
        params = model.sample_prior(prior_key, data)
        return params, model.deterministic(params, data), model.sample_observed(observed_key, params, data)

    return jax.vmap(one)(jax.random.split(key, draws))


def sample_prior(model: Model, data: Data, draws: int, seed: int | Key) -> PriorDraws:
    """Draws of parameters, derived quantities and observations from the prior.

    Args:
        model: with proper priors.
        data: covariates; observations are optional, and give the shapes of their draws.
        draws: number of draws.
        seed: an int or a typed JAX key.

    Raises:
        InputError: if a prior is improper, or for data that the model cannot use.
    """
    arrays = as_data(data)
    key = key_for(Purpose.SAMPLE_PRIOR, seed)
    params, derived, observed = blamed("a prior or the likelihood", lambda: _draw(model, key, arrays, draws), arrays)
    check_use(model, {name: value[0] for name, value in params.items()}, arrays, "predict")
    return PriorDraws(params, derived, observed, model.dims, coords_for(model, data, None))
