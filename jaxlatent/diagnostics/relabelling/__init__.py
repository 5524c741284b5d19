"""Relabelling against label switching: permute the labels of components or states to a common order.

The likelihood of a mixture or a hidden Markov model is invariant under permutations of its labels, so draws, chains,
restarts and datasets may each have their own order. Each entry of the leading axes gets a permutation: ``perm[..., k]`` is
its label that goes to place ``k``.

The axes that a label indexes are given by ``axes``, counted without leading axes::

    {"weights": (0,), "means": (0,), "transition_matrix": (0, 1)}

All functions work on the host and return NumPy arrays.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from jaxlatent.diagnostics.relabelling.alignment import align, features_of, standardiser
from jaxlatent.diagnostics.relabelling.assignment import assign
from jaxlatent.diagnostics.relabelling.checking import (
    Axes,
    check_axes,
    check_known,
    check_labels,
    check_leads,
    check_names,
)
from jaxlatent.diagnostics.relabelling.permuting import permute, permute_states
from jaxlatent.errors import InputError
from jaxlatent.typing import ArrayLike


class Relabelled(NamedTuple):
    """Draws with a common order of labels.

    Attributes:
        params: relabelled; parameters without label axes are unchanged.
        permutations: ``(*leading, K)``: the original label at each place.
        iterations: rounds of matching all draws to their mean.
        converged: whether the last round changed no permutation.
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
    are recomputed, until no permutation changes: k-means over permutations (Stephens 2000, section 4, with a normal
    classification likelihood). Each round increases that likelihood, perhaps to a local optimum. The start is the
    likeliest of several: all draws matched to one of the most typical draws, or sorted by one of the entries that
    separate labels best.

    Args:
        params: name -> ``(chain, draw, ...)``.
        axes: name -> the axes of the value that the label indexes.
        names: the parameters used for matching; all in ``axes`` by default. All in ``axes`` are permuted.
        leading: number of leading axes: 1 for restarts, 2 for chains and draws, 3 with datasets in front.
        pivot: index of a draw that keeps its order; it determines the numbering of labels, not the alignment of draws.
            By default the order of the start is kept.
        max_iter: maximum number of rounds.

    Raises:
        InputError: a name, axis or pivot that does not exist, unequal numbers of labels or leading axes, or a value
            that decides the match and is not finite.
    """
    labels, lead = check_axes(params, axes, leading, "relabel")
    names = check_names(names, axes)
    if pivot is not None and not (len(pivot) == leading and all(0 <= i < n for i, n in zip(pivot, lead, strict=True))):
        raise InputError(
            "relabel(pivot=...)",
            got=str(pivot),
            expected=f"an index into the leading axes {lead}",
            remedy="give one non-negative index for each leading axis.",
        )
    features = np.concatenate([features_of(params, axes, name, leading) for name in names], -1)
    features = features.reshape(-1, labels, features.shape[-1])
    features = standardiser(features)(features)
    perm, iterations, converged = align(features, None, max_iter)
    if pivot is not None:
        perm = perm[:, np.argsort(perm[np.ravel_multi_index(pivot, lead)])]
    perm = perm.reshape(*lead, labels)
    return Relabelled(permute(params, perm, axes), perm, iterations, converged)


def match_parameters(
    params: Mapping[str, ArrayLike], reference: Mapping[str, ArrayLike], axes: Axes, *, max_iter: int = 100
) -> np.ndarray:
    """The order of labels that brings parameters closest to those of a reference.

    Every entry of the leading axes gets its own order; the scale of the distance is estimated from all.

    Args:
        params: name -> ``(..., *value)``, any leading axes (datasets, chains, draws, restarts).
        reference: name -> one value, such as the truth of a simulation, a point fit or one dataset's posterior mean.
        axes: name -> the axes of the value that the label indexes; every name is used for matching.
        max_iter: maximum number of rounds.

    Returns:
        ``(..., K)``: the label of ``params`` that goes to the place of each label of ``reference``.

    Raises:
        InputError: a name or axis that does not exist, shapes that differ from the reference, unequal numbers of
            labels or leading axes, or values that are not finite.
    """
    leading, leads = 0, {}
    for name in axes:
        check_known(name, params, "match_parameters(params)")
        check_known(name, reference, "match_parameters(reference)")
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
    check_leads(leads, "match_parameters(params)")
    labels, lead = check_axes(params, axes, leading, "match_parameters")
    features = np.concatenate([features_of(params, axes, name, leading) for name in axes], -1)
    target = np.concatenate([features_of(reference, axes, name, 0) for name in axes], -1)
    features = features.reshape(-1, labels, features.shape[-1])
    standardise = standardiser(features)
    return align(standardise(features), standardise(target), max_iter)[0].reshape(*lead, labels)


def match_states(states: ArrayLike, reference: ArrayLike, num_states: int, mask: ArrayLike | None = None) -> np.ndarray:
    """The order of labels that makes the most steps of paths of states agree with a reference.

    Args:
        states: integers ``(..., *path)``, below ``num_states``; -1 where absent.
        reference: integers ``(*path)``, likewise: one sequence, or a stack of them that shares its labels.
        num_states: number of labels ``K``, including absent ones.
        mask: False at steps that do not count; broadcast against ``states``.

    Returns:
        ``(..., K)``: the label of ``states`` that goes to the place of each label of ``reference``.

    Raises:
        InputError: values that are not labels, or shapes that do not fit.
    """
    states = check_labels("match_states(states)", states, num_states)
    reference = check_labels("match_states(reference)", reference, num_states)
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


__all__ = ["Relabelled", "assign", "match_parameters", "match_states", "permute", "permute_states", "relabel"]
