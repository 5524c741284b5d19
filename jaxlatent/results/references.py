"""`reference_of`: the values of the parameters whose order of labels others are given."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxlatent.diagnostics import relabel
from jaxlatent.errors import InputError, listed
from jaxlatent.results.fitted import Fitted
from jaxlatent.results.label_axes import Labels


def reference_of(result: Fitted, to: Fitted | Mapping[str, Any], labels: Labels) -> dict[str, np.ndarray]:
    """The values of the reference, leading with ``dataset``: at least of the parameters that labels index.

    Args:
        result: to be aligned.
        to: see `jaxlatent.Result.align`.
        labels: of the model of ``result``.

    Raises:
        InputError: for a reference that does not fit, or failed.
    """
    datasets = 1 if result.names is None else len(result.names)
    own = {name: np.shape(value)[len(result.leading) :] for name, value in result.params.items()}
    points = []
    for one in _references(result, to):
        values, lead = (one.params, len(one.leading)) if isinstance(one, Fitted) else (one, 0)
        _check_shapes({name: np.shape(value)[lead:] for name, value in values.items()}, own, labels)
        points.append(_point(one, labels.axes) if isinstance(one, Fitted) else one)
    known = [name for name in own if all(name in point for point in points)]
    stacked = {name: np.stack([np.asarray(point[name]) for point in points]) for name in known}
    wrong = [name for name in labels.axes if not np.isfinite(stacked[name]).all()]
    if wrong:
        raise InputError(
            f"result.align(to), {wrong[0]!r}",
            got="values that are not finite",
            expected="finite values",
            remedy="align to a fit that did not fail.",
        )
    return {name: np.broadcast_to(value, (datasets, *value.shape[1:])) for name, value in stacked.items()}


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], own: Mapping[str, tuple[int, ...]], labels: Labels) -> None:
    """Check that a reference has a value for every parameter that labels index, and its other values fit the parameters."""
    for name, shape in own.items():
        if shapes.get(name, None if name in labels.axes else shape) != shape:
            raise InputError(
                f"result.align(to), {name!r}",
                got=f"shape {shapes[name]}" if name in shapes else f"a reference with {list(shapes)}",
                expected=f"shape {shape}, as in this fit with {labels.number} labels",
                remedy="give a fit of the same model with as many labels, or one value for each parameter that they index: "
                f"{list(labels.axes)}.",
            )


def _references(result: Fitted, to: Fitted | Mapping[str, Any]) -> list[Fitted | Mapping[str, Any]]:
    """One reference for all datasets, or one for each."""
    if not isinstance(to, Fitted) or to.names is None:
        return [to]
    own = result.names or ()
    missing = [name for name in own if name not in to.names]
    if missing or not own:
        raise InputError(
            "result.align(to)",
            got=f"fits of datasets {listed([repr(name) for name in to.names])}",
            expected=f"those of this result, {listed([repr(name) for name in own])}" if own else "a fit of one dataset",
            remedy="pick one as the reference of all, as in result.align(other[name]).",
        )
    without = [name for name in own if name in to.failed and name not in result.failed]
    if without:
        raise InputError(
            "result.align(to)",
            got=f"a reference whose lanes all failed for {listed([repr(name) for name in without])}",
            expected="a reference for every dataset",
            remedy="leave these out, as in result.select(names).align(to).",
        )
    # Where both failed nothing is permuted, and any reference does.
    some = next((name for name in own if name not in to.failed), None)
    return [to[some if name in to.failed else name] for name in own] if some is not None else [to[own[0]]]


def _point(one: Fitted, axes: Mapping[str, tuple[int, ...]]) -> Mapping[str, np.ndarray]:
    """The values at the best lane; of draws their mean, after they are aligned with each other in the order of the first."""
    best = one.best()
    if not best.has_draws:
        return best.params
    made = best._exists()[0]
    draws = {name: np.asarray(best.params[name])[:, made] for name in best.params}
    return {name: value.mean((0, 1)) for name, value in relabel(draws, axes, pivot=(0, 0)).params.items()}
