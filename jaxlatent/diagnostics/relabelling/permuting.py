"""Permutation of the labels of parameters and of paths of states."""

from collections.abc import Mapping

import numpy as np

from jaxlatent.diagnostics.relabelling.checking import Axes, check_axes, check_labels, check_perm
from jaxlatent.errors import InputError
from jaxlatent.typing import ArrayLike


def permute(params: Mapping[str, ArrayLike], perm: ArrayLike, axes: Axes) -> dict[str, np.ndarray]:
    """Permute the labels of parameters.

    Args:
        params: name -> ``(..., *value)``.
        perm: integers ``(..., K)``; as many leading axes as the parameters, of the same sizes or 1, as in
            ``perm[:, None, None]`` for one order per dataset.
        axes: name -> the axes of the value that the label indexes, each of which is permuted.

    Returns:
        All of ``params``; those not in ``axes`` are unchanged.

    Raises:
        InputError: not permutations of ``K`` labels, or axes that do not fit.
    """
    perm = check_perm(perm, "permute(perm)")
    leading = perm.ndim - 1
    labels, lead = check_axes(params, axes, leading, "permute")
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
    """Rename the labels in paths of states, in line with `permute`.

    Args:
        states: integers ``(..., *path)``, below ``K``; -1 where absent.
        perm: integers ``(..., K)``, with the leading axes of the states or 1.

    Returns:
        The renamed states; -1 is unchanged.

    Raises:
        InputError: values that are not labels, not permutations, or shapes that do not fit.
    """
    perm = check_perm(perm, "permute_states(perm)")
    states = check_labels("permute_states(states)", states, perm.shape[-1])
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
