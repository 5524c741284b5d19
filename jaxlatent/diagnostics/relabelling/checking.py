"""Checks of the parameters, axes, labels and permutations of relabelling."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np

from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.typing import ArrayLike

Axes: TypeAlias = Mapping[str, tuple[int, ...]]


def check_axes(params: Mapping[str, ArrayLike], axes: Axes, leading: int, caller: str) -> tuple[int, tuple[int, ...]]:
    """Check and return the number of labels and the leading shape common to all parameters in ``axes``."""
    if not axes:
        raise InputError(
            f"{caller}(axes)",
            got="no parameters",
            expected="at least one parameter that the label indexes",
            remedy='name its label axes, as in {"means": (0,)}.',
        )
    labels: dict[str, int] = {}
    leads: dict[str, tuple[int, ...]] = {}
    for name, where in axes.items():
        check_known(name, params, f"{caller}(axes)")
        shape = np.shape(params[name])
        value = shape[leading:]
        if len(shape) < leading or not _are_axes(where, len(value)):
            raise InputError(
                f"{caller}(axes) of {name!r}",
                got=f"{where!r} for an array of shape {shape} with {leading} leading axes",
                expected="a tuple of different axes of the value, counted from 0 after the leading axes",
                remedy='give one axis, as (0,), or one for each place of the label, as (0, 1) of "transition_matrix".',
            )
        labels |= {f"{name!r} axis {axis}": value[axis] for axis in where}
        leads[name] = shape[:leading]
    if len(set(labels.values())) > 1:
        raise InputError(
            f"{caller}(axes)",
            got="numbers of labels " + ", ".join(f"{size} ({which})" for which, size in labels.items()),
            expected="the same number of labels everywhere",
            remedy="leave out axes that index something else.",
        )
    check_leads(leads, f"{caller}(params)")
    return next(iter(labels.values())), next(iter(leads.values()))


def check_leads(leads: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Check that all parameters have the same leading axes."""
    if len(set(leads.values())) > 1 or any(0 in lead for lead in leads.values()):
        raise InputError(
            what,
            got="leading axes " + ", ".join(f"{lead} ({name!r})" for name, lead in leads.items()),
            expected="the same leading axes for every parameter, none of them empty",
            remedy="take all parameters from the same draws.",
        )


def _are_axes(where: object, ndim: int) -> bool:
    return isinstance(where, tuple) and 0 < len(where) == len(set(where)) and all(0 <= axis < ndim for axis in where)


def check_known(name: str, known: Iterable[str], what: str) -> None:
    """Check that a name is known."""
    if name not in known:
        raise InputError(
            what,
            got=f"{name!r}",
            expected="names of parameters that are there",
            remedy=did_you_mean(name, known),
        )


def check_names(names: Iterable[str] | None, axes: Axes) -> tuple[str, ...]:
    """Check the names of the parameters used for matching; all by default."""
    names = tuple(axes if names is None else names)
    for name in names:
        check_known(name, axes, "relabel(names=...)")
    if not names:
        raise InputError(
            "relabel(names=...)",
            got="no names",
            expected="at least one parameter to decide the match",
            remedy="leave it out to use all parameters that have a label axis.",
        )
    return names


def check_finite(what: str, value: np.ndarray) -> None:
    """Check that all values are finite."""
    broken = int((~np.isfinite(value)).sum())
    if broken:
        raise InputError(
            what,
            got=f"{broken} of {value.size} values not finite",
            expected="finite values",
            remedy="leave out failed chains or restarts, or match by other parameters.",
        )


def check_labels(name: str, values: ArrayLike, size: int) -> np.ndarray:
    """Check that labels are integers below ``size``, or -1."""
    value = np.asarray(values)
    if not np.issubdtype(value.dtype, np.integer) or (value.size and not -1 <= value.min() <= value.max() < size):
        found = f"{value.min()} to {value.max()}" if value.size else "no values"
        raise InputError(
            name,
            got=f"{value.dtype} values, {found}",
            expected=f"integers from 0 to {size - 1}, or -1 where absent",
            remedy="give labels counted from 0.",
        )
    return value


def check_perm(values: ArrayLike, what: str) -> np.ndarray:
    """Check that each row is a permutation."""
    perm = np.asarray(values)
    if (
        perm.ndim == 0
        or not np.issubdtype(perm.dtype, np.integer)
        or (np.sort(perm, -1) != np.arange(perm.shape[-1])).any()
    ):
        raise InputError(
            what,
            got=f"{perm.dtype} values of shape {perm.shape} that are not permutations",
            expected="integers (..., K), every label once along the last axis",
            remedy="use what match_parameters, match_states or relabel returned.",
        )
    return perm
