"""The checks of one dataset, before a fit and before later use of the fit."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.data.arrays import shape_of
from jaxlatent.errors import InputError, listed
from jaxlatent.model.checks.axes import check_axes, doubts
from jaxlatent.model.checks.densities import check_densities
from jaxlatent.model.checks.indices import check_indices
from jaxlatent.model.checks.masks import check_masks
from jaxlatent.model.checks.terms import Purpose, reading_of, some_params, unread
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
    _check(model, _described(model, data), cache(lambda: some_params(model, data)), data, "fit", data, label)


#: Whether unread entries are no mistake.
_allowed: ContextVar[bool] = ContextVar("unread_allowed", default=False)


@contextmanager
def unread_allowed() -> Iterator[None]:
    """A context without warnings of unread entries: for studies whose models read unequal parts of the data, as nested ones do."""
    token = _allowed.set(True)
    try:
        yield
    finally:
        _allowed.reset(token)


def warn_of_data(model: Model, data: Data, stacklevel: int) -> None:
    """Warn of entries of the data of a fit that nothing in the model reads, as misspelled ones are, and of what is seldom meant.

    Args:
        model: the declaration.
        data: arrays of one dataset, of valid shapes.
        stacklevel: of the warning, counted from the caller.
    """
    others = [] if _allowed.get() else unread(model, _described(model, data), data, "fit")
    if others:
        known = sorted(set(data) - set(others))
        warnings.warn(
            f"{model.name}: nothing reads {listed([repr(name) for name in others])} of the data; what it reads is "
            f"{listed([repr(name) for name in known], most=12)}. Leave out what has no use, or check the names.",
            stacklevel=stacklevel + 1,
        )
    for sentence in doubts(reading_of(model, _described(model, data), data, "fit").axes, data):
        warnings.warn(f"{model.name}: {sentence}.", stacklevel=stacklevel + 1)


def _described(model: Model, data: Data) -> dict[str, Any]:
    dtype = jnp.result_type(float)
    return {site.name: jax.ShapeDtypeStruct(site.shape, dtype) for site in model.shapes(data).sites}


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
    if "lengths" in data and "lengths" not in reading.entries:
        steps = int(np.sum(np.asarray(data["lengths"])))
        long = [name for name, value in data.items() if name != "lengths" and shape_of(value)[:1] == (steps,)]
        split = ", ".join(f"{name!r}: np.split({name}, np.cumsum(lengths)[:-1])" for name in long or ["y"])
        raise InputError(
            f"{label}data 'lengths'",
            got=f"an array of shape {shape_of(data['lengths'])} that nothing in the model reads",
            expected="sequences of unequal length as a list of arrays",
            remedy=f"split what has a row a step, {{{split}}}; jl.sklearn's estimators take lengths.",
        )
    check_axes({} if purpose == "predict" else reading.axes, data, purpose == "fit", label)
    check_indices(model, params, data, purpose, reading, label)
    if purpose == "fit":
        check_densities(model, params, data, reading, label)
    check_masks(model, params, data, purpose, reading, whole, label)
