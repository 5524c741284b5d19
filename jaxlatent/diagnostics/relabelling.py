"""Label switching: put the labels of components or states in the same order everywhere.

The likelihood of a mixture or a hidden Markov model does not change when its labels are permuted, so draws, chains,
restarts and datasets may each have their own order. Here every one of them, an entry of the leading axes, gets a
permutation: ``perm[..., k]`` is its label that goes to place ``k``.

What a label indexes is told by ``axes``, axes counted in the value, without leading axes::

    {"weights": (0,), "means": (0,), "transition_matrix": (0, 1)}

Parameters are matched by a squared distance, summed over labels and over the entries of all parameters, with each
entry in units of its spread within labels. The spread is found along with the match, each in turn from the other, as
if draws were normal around their label's centre with one variance for each entry. So units drop out, and entries that
tell labels apart outweigh those that do not. In units of the spread over all labels, which would need no such turns,
eight entries of noise beside one that separated three labels perfectly led every second draw astray.

A parameter with several label axes counts only with its diagonal: of a transition matrix, how likely each state is to
stay. An entry off the diagonal belongs to two labels; it would make the cost of one label depend on the places of all
others, a quadratic assignment problem, which is NP-hard.

All functions work on the host and return NumPy arrays.
"""

import math
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.typing import ArrayLike

#: Up to this many labels all permutations are tried. On a CPU 4,000 matrices of 5 labels take 0.7 ms so and 7 ms one by
#: one with SciPy; of 6 labels 5 ms and 8 ms, of 7 labels 50 ms and 10 ms.
ENUMERATED = 5

#: Matrices whose permutations are tried together, to bound memory.
BLOCK = 4096

#: Starts of each kind that are compared: typical draws, and entries to sort by.
STARTS = 10

#: The least spread within labels of an entry, as a fraction of that over all labels: a few draws may agree by chance.
LEAST_SPREAD = 0.01

Axes = Mapping[str, tuple[int, ...]]


class Relabelled(NamedTuple):
    """Draws with their labels in the same order.

    Attributes:
        params: as given, with labels put in order; what has no label axis is unchanged.
        permutations: ``(*leading, K)``: the label of the given draws that went to each place.
        iterations: how often all draws were matched to their mean.
        converged: whether the last of these changed no permutation.
    """

    params: dict[str, np.ndarray]
    permutations: np.ndarray
    iterations: int
    converged: bool


def relabel(
    params: Mapping[str, ArrayLike],
    axes: Axes,
    names: Iterable[str] | None = None,
    *,
    leading: int = 2,
    pivot: tuple[int, ...] | None = None,
    max_iter: int = 100,
) -> Relabelled:
    """Align all draws with each other.

    All draws are matched to the mean of the aligned draws, in units of their spread within labels, and mean and spread
    computed again, until no permutation changes: k-means over permutations (Stephens 2000, section 4, with a normal
    classification likelihood). Each round raises that likelihood; the end may be a local optimum. The start is the
    likeliest of several: all draws matched to one pivot, for each of the most typical draws, or sorted by one entry,
    for each of those that separate labels best.

    Args:
        params: name -> ``(chain, draw, ...)``.
        axes: name -> the axes of the value that the label indexes.
        names: the parameters that decide the match; all in ``axes`` by default. All in ``axes`` are permuted.
        leading: number of leading axes: 1 for restarts, 2 for chains and draws, 3 with datasets in front.
        pivot: index of a draw that keeps its order; it settles how labels are called, not how draws are aligned. By
            default the order of the start is kept.
        max_iter: rounds of matching at most.

    Raises:
        InputError: a name, axis or pivot that does not exist, unequal numbers of labels or leading axes, or a value
            that decides the match and is not finite.
    """
    labels, lead = _check_axes(params, axes, leading, "relabel")
    names = _check_names(names, axes)
    if pivot is not None and not (len(pivot) == leading and all(0 <= i < n for i, n in zip(pivot, lead, strict=True))):
        raise InputError(
            "relabel(pivot=...)",
            got=str(pivot),
            expected=f"an index into the leading axes {lead}",
            remedy="give one non-negative index for each leading axis.",
        )
    features = np.concatenate([_features(params, axes, name, leading) for name in names], -1)
    features = features.reshape(-1, labels, features.shape[-1])
    features = _standardiser(features)(features)
    perm, iterations, converged = _align(features, None, max_iter)
    if pivot is not None:
        perm = perm[:, np.argsort(perm[np.ravel_multi_index(pivot, lead)])]
    perm = perm.reshape(*lead, labels)
    return Relabelled(permute(params, perm, axes), perm, iterations, converged)


def match_parameters(
    params: Mapping[str, ArrayLike], reference: Mapping[str, ArrayLike], axes: Axes, *, max_iter: int = 100
) -> np.ndarray:
    """The order of labels that brings parameters nearest to those of a reference.

    Every entry of the leading axes gets its own order; they share the units of distance, which are estimated from all.

    Args:
        params: name -> ``(..., *value)``, any leading axes (datasets, chains, draws, restarts).
        reference: name -> one value, such as the truth of a simulation, a point fit or one dataset's posterior mean.
        axes: name -> the axes of the value that the label indexes; every name decides the match.
        max_iter: rounds of matching at most.

    Returns:
        ``(..., K)``: the label of ``params`` that goes to the place of each label of ``reference``.

    Raises:
        InputError: a name or axis that does not exist, shapes that differ from the reference, unequal numbers of
            labels or leading axes, or values that are not finite.
    """
    leading, leads = 0, {}
    for name in axes:
        _check_known(name, params, "match_parameters(params)")
        _check_known(name, reference, "match_parameters(reference)")
        shape, value = np.shape(params[name]), np.shape(reference[name])
        leading = len(shape) - len(value)
        if leading < 0 or shape[leading:] != value:
            raise InputError(
                f"reference {name!r}",
                got=f"shape {value} for parameters of shape {shape}",
                expected="one value, of the shape that the parameters have after their leading axes",
                remedy="give a single draw, restart or dataset as the reference.",
            )
        leads[name] = shape[:leading]
    _check_leads(leads, "match_parameters(params)")
    labels, lead = _check_axes(params, axes, leading, "match_parameters")
    features = np.concatenate([_features(params, axes, name, leading) for name in axes], -1)
    target = np.concatenate([_features(reference, axes, name, 0) for name in axes], -1)
    features = features.reshape(-1, labels, features.shape[-1])
    standardise = _standardiser(features)
    return _align(standardise(features), standardise(target), max_iter)[0].reshape(*lead, labels)


def match_states(states: ArrayLike, reference: ArrayLike, num_states: int, mask: ArrayLike | None = None) -> np.ndarray:
    """The order of labels that makes the most steps of paths of states agree with a reference.

    Args:
        states: integers ``(..., *path)``, below ``num_states``; -1 where absent.
        reference: integers ``(*path)``, likewise: one sequence, or a stack of them that shares its labels.
        num_states: number of labels ``K``, seen or not.
        mask: False at steps that do not count; broadcast against ``states``.

    Returns:
        ``(..., K)``: the label of ``states`` that goes to the place of each label of ``reference``.

    Raises:
        InputError: values that are not labels, or shapes that do not fit.
    """
    states = _check_labels("match_states(states)", states, num_states)
    reference = _check_labels("match_states(reference)", reference, num_states)
    leading = states.ndim - reference.ndim
    if leading < 0 or states.shape[leading:] != reference.shape:
        raise InputError(
            "match_states(reference)",
            got=f"shape {reference.shape} for states of shape {states.shape}",
            expected="the shape of the states, or of what follows their leading axes",
            remedy="compare paths of the same observations.",
        )
    counts = (states >= 0) & (reference >= 0)
    if mask is not None:
        try:
            counts &= np.asarray(mask, bool)
        except ValueError:
            raise InputError(
                "match_states(mask=...)",
                got=f"shape {np.shape(mask)}",
                expected=f"a shape that broadcasts to that of the states, {states.shape}",
                remedy="give True or False for each step.",
            ) from None
    lead = states.shape[:leading]
    paths = np.prod(lead, dtype=int)
    row = np.arange(paths).reshape(*lead, *[1] * reference.ndim)
    cell = (row * num_states + reference) * num_states + states
    overlap = np.bincount(cell[counts], minlength=paths * num_states**2)
    return assign(-overlap.reshape(*lead, num_states, num_states))


def assign(cost: ArrayLike) -> np.ndarray:
    """The assignment of labels to places that costs least, for each of many cost matrices.

    Args:
        cost: ``(..., K, K)``, finite; ``cost[k, l]`` is what label ``l`` costs in place ``k``.

    Returns:
        Integers ``(..., K)``: the label for each place. Of equally good orders of up to five labels, that which comes
        first in the dictionary: no matrix without preferences changes the order.

    Raises:
        InputError: matrices that are not square or not finite.
    """
    cost = np.asarray(cost, float)
    if cost.ndim < 2 or cost.shape[-1] != cost.shape[-2] or cost.shape[-1] == 0:
        raise InputError(
            "assign(cost)",
            got=f"shape {cost.shape}",
            expected="(..., K, K)",
            remedy="give one row for each place and one column for each label.",
        )
    _check_finite("assign(cost)", cost)
    size = cost.shape[-1]
    solve = _enumerate if size <= ENUMERATED else _solve
    return solve(cost.reshape(-1, size, size)).reshape(cost.shape[:-1])


def permute(params: Mapping[str, ArrayLike], perm: ArrayLike, axes: Axes) -> dict[str, np.ndarray]:
    """Put the labels of parameters in order.

    Args:
        params: name -> ``(..., *value)``.
        perm: integers ``(..., K)``, from one of the matches; as many leading axes as the parameters, of the same sizes
            or 1: the order of a dataset serves all its draws as ``perm[:, None, None]``.
        axes: name -> the axes of the value that the label indexes, each of which is permuted.

    Returns:
        All of ``params``; what is not in ``axes`` is unchanged.

    Raises:
        InputError: not permutations of ``K`` labels, or axes that do not fit.
    """
    perm = _check_perm(perm, "permute(perm)")
    leading = perm.ndim - 1
    labels, lead = _check_axes(params, axes, leading, "permute")
    if labels != perm.shape[-1] or any(p not in (1, n) for p, n in zip(perm.shape, lead, strict=False)):
        raise InputError(
            "permute(perm)",
            got=f"shape {perm.shape}",
            expected=f"{(*lead, labels)}, as the parameters; leading axes may be 1",
            remedy="add axes of size 1 where one order serves all.",
        )
    ordered = {name: np.asarray(value) for name, value in params.items()}
    for name, where in axes.items():
        for axis in where:
            shape = [1] * (ordered[name].ndim - leading)
            shape[axis] = labels
            ordered[name] = np.take_along_axis(ordered[name], perm.reshape(*perm.shape[:-1], *shape), leading + axis)
    return ordered


def permute_states(states: ArrayLike, perm: ArrayLike) -> np.ndarray:
    """Rename the labels in paths of states, as `permute` does with the parameters that they index.

    Args:
        states: integers ``(..., *path)``, below ``K``; -1 where absent, which stays.
        perm: integers ``(..., K)``, leading axes as the states' or 1.

    Returns:
        The place of each label, of the shape and type of ``states``.

    Raises:
        InputError: values that are not labels, not permutations, or shapes that do not fit.
    """
    perm = _check_perm(perm, "permute_states(perm)")
    states = _check_labels("permute_states(states)", states, perm.shape[-1])
    leading, labels = perm.ndim - 1, perm.shape[-1]
    lead = states.shape[:leading]
    if len(lead) < leading or any(p not in (1, n) for p, n in zip(perm.shape, lead, strict=False)):
        raise InputError(
            "permute_states(perm)",
            got=f"shape {perm.shape} for states of shape {states.shape}",
            expected="the leading axes of the states, or axes of size 1",
            remedy="add axes of size 1 where one order serves all.",
        )
    place = np.broadcast_to(np.argsort(perm, -1), (*lead, labels))
    renamed = np.take_along_axis(place, np.maximum(states, 0).reshape(*lead, -1), -1).reshape(states.shape)
    return np.where(states < 0, states, renamed).astype(states.dtype)


@cache
def _orders(size):
    """All permutations ``(K!, K)`` in the order of the dictionary, and the cells that each takes ``(K * K, K!)``."""
    orders = np.array(list(permutations(range(size))))
    taken = orders[:, :, None] == np.arange(size)
    return orders, taken.reshape(len(orders), -1).T.astype(float)


def _enumerate(cost):
    orders, taken = _orders(cost.shape[-1])
    cost = cost.reshape(-1, len(taken))
    best = [(cost[start : start + BLOCK] @ taken).argmin(-1) for start in range(0, len(cost), BLOCK)]
    return orders[np.concatenate(best)] if best else orders[:0]


def _solve(cost):
    perm = np.empty(cost.shape[:-1], int)
    for place, matrix in zip(perm, cost, strict=True):
        place[:] = linear_sum_assignment(matrix)[1]
    return perm


def _align(features, target, max_iter):
    """Match all draws to a target, or to their own mean where there is none, in units of the spread about it.

    Args:
        features: standardised, ``(N, K, F)``.
        target: ``(K, F)`` or None.
        max_iter: rounds of matching at most.

    Returns:
        The permutations ``(N, K)``, the number of rounds and whether the last one changed nothing.
    """
    if max_iter < 1:
        raise InputError("max_iter", got=str(max_iter), expected="at least 1", remedy="allow one round of matching.")
    perm = min(_starts(features, target), key=lambda perm: _moments(features, perm, target)[2])
    for iteration in range(1, max_iter + 1):
        center, spread, _ = _moments(features, perm, target)
        previous, perm = perm, _match(features, center, spread)
        if np.array_equal(perm, previous):
            return perm, iteration, True
    return perm, max_iter, False


def _starts(features, target):
    """Permutations ``(N, K)`` to start from, none of which depends on the order in which labels came."""
    ordered = np.sort(features, 1)
    deviation = np.square(ordered - ordered.mean(0))
    typical = np.argsort(deviation.sum((1, 2)), kind="stable")[:STARTS]
    separating = np.argsort(deviation.sum((0, 1)), kind="stable")[:STARTS]
    for center in features[typical] if target is None else [target]:
        yield _match(features, center, np.ones(center.shape[-1]))
    for entry in separating:
        order = np.argsort(features[..., entry], 1, kind="stable")
        yield order if target is None else order[:, np.argsort(np.argsort(target[:, entry]))]


def _moments(features, perm, target):
    """The centre of aligned draws, their spread within labels, and minus their log likelihood per draw and label."""
    aligned = np.take_along_axis(features, perm[..., None], 1)
    center = aligned.mean(0) if target is None else target
    variance = np.square(aligned - center).mean((0, 1))
    spread = np.maximum(np.sqrt(variance), LEAST_SPREAD)
    return center, spread, (np.log(spread) + variance / spread**2 / 2).sum()


def _match(features, center, spread):
    # of the squared distance only the product of the two depends on the order
    return assign(-np.einsum("kf,nlf->nkl", center / spread**2, features, optimize=True))


def _features(params, axes, name, leading):
    """What one parameter says about each label alone, ``(*leading, K, F)``."""
    value = np.asarray(params[name])
    value = value if np.issubdtype(value.dtype, np.floating) else value.astype(float)
    _check_finite(f"parameter {name!r}", value)
    count = len(axes[name])
    value = np.moveaxis(value, [leading + axis for axis in axes[name]], range(leading, leading + count))
    *lead, labels = value.shape[: leading + 1]
    diagonal = value[(slice(None),) * leading + (np.arange(labels),) * count]
    return diagonal.reshape(*lead, labels, math.prod(diagonal.shape[leading + 1 :]))


def _standardiser(features):
    """The map that centres and scales each entry of features ``(N, K, F)`` by its moments over draws and labels."""
    origin, size = features[0, 0].astype(float), np.abs(features).max((0, 1))
    # from the first draw on: a constant then has spread zero to the last bit, a large offset costs no digits
    mean, spread = (features - origin).mean((0, 1)), (features - origin).std((0, 1))
    # rounding is no spread: an entry that is constant up to it says nothing about labels
    known = spread > 8 * np.finfo(features.dtype).eps * size
    scale = np.where(known, 1 / np.where(known, spread, 1), 0)
    return lambda values: (values - origin - mean) * scale


def _check_axes(params, axes, leading, caller):
    """The number of labels and the leading shape that all parameters in ``axes`` share."""
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
        _check_known(name, params, f"{caller}(axes)")
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
    _check_leads(leads, f"{caller}(params)")
    return next(iter(labels.values())), next(iter(leads.values()))


def _check_leads(leads, what):
    if len(set(leads.values())) > 1 or any(0 in lead for lead in leads.values()):
        raise InputError(
            what,
            got="leading axes " + ", ".join(f"{lead} ({name!r})" for name, lead in leads.items()),
            expected="the same leading axes for every parameter, none of them empty",
            remedy="take all parameters from the same draws.",
        )


def _are_axes(where, ndim):
    return isinstance(where, tuple) and 0 < len(where) == len(set(where)) and all(0 <= axis < ndim for axis in where)


def _check_known(name, known, what):
    if name not in known:
        raise InputError(
            what,
            got=f"{name!r}",
            expected="names of parameters that are there",
            remedy=did_you_mean(name, known),
        )


def _check_names(names, axes):
    names = tuple(axes if names is None else names)
    for name in names:
        _check_known(name, axes, "relabel(names=...)")
    if not names:
        raise InputError(
            "relabel(names=...)",
            got="no names",
            expected="at least one parameter to decide the match",
            remedy="leave it out to use all parameters that have a label axis.",
        )
    return names


def _check_finite(what, value):
    broken = int((~np.isfinite(value)).sum())
    if broken:
        raise InputError(
            what,
            got=f"{broken} of {value.size} values not finite",
            expected="finite values",
            remedy="leave out failed chains or restarts, or match by other parameters.",
        )


def _check_labels(name: str, values: ArrayLike, size: int) -> np.ndarray:
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


def _check_perm(values: ArrayLike, what: str) -> np.ndarray:
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
