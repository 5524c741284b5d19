"""The checks of one dataset, before a fit and before later use of the fit."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from jaxlatent.model.checks.indices import check_indices
from jaxlatent.model.checks.masks import check_masks
from jaxlatent.model.checks.terms import Purpose, reading_of, some_params
from jaxlatent.model.model import Model
from jaxlatent.typing import Data, Params


def check_fit(model: Model, data: Data, label: str = "") -> None:
    """Check masks and indices of one dataset before a fit.

    Args:
        model: the declaration.
        data: arrays of valid shapes.
        label: prefix of names in messages.

    Raises:
        InputError: naming the entry.
    """
    dtype = jnp.result_type(float)
    shapes = {site.name: jax.ShapeDtypeStruct(site.shape, dtype) for site in model.shapes(data).sites}
    _check(model, shapes, cache(lambda: some_params(model, data)), data, "fit", data, label)


def check_use(
    model: Model, params: Params, data: Data, purpose: Purpose, whole: Data | None = None, label: str = ""
) -> None:
    """Check names, shapes, masks and indices of new data for a fitted model.

    Args:
        model: the declaration.
        params: one draw.
        data: arrays of one dataset.
        purpose: "score" or "predict".
        whole: all datasets, stacked, if there are several.
        label: prefix of names in messages.

    Raises:
        InputError: naming the entry.
    """
    _check(model, params, lambda: params, data, purpose, data if whole is None else whole, label)


def _check(
    model: Model,
    shapes: Mapping[str, Any],
    params: Callable[[], Params],
    data: Data,
    purpose: Purpose,
    whole: Data,
    label: str,
) -> None:
    reading = reading_of(model, shapes, data, purpose)
    check_indices(model, params, data, purpose, reading, label)
    check_masks(model, params, data, purpose, reading, whole, label)
