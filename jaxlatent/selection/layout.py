"""`Layout`: what the observations of a model consist of, rows or sequences, and how many values of each are observed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import Masked, shape_of, split
from jaxlatent.data.batches import Batch
from jaxlatent.distributions.factor import Factor
from jaxlatent.errors import InputError
from jaxlatent.latent import modelled, unit_shape
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.masks import widen
from jaxlatent.model.model import Model
from jaxlatent.posterior.condition import unguided
from jaxlatent.typing import Array, Data


class Layout(NamedTuple):
    """The parts of the data that can be held out: its elements, along one axis that all observations share.

    Attributes:
        kind: of an element: "row", "sequence", or "step" of the only sequence.
        size: number of elements, of which some may have no observed value.
        axis: of the elements, in the observations of one dataset.
        units: by observation, the shape of the values that are observed or missing as a whole.
        partial: observations of which some values are conditioned on, see `jaxlatent.latent.modelled`.
    """

    kind: str
    size: int
    axis: int
    units: dict[str, tuple[int, ...]]
    partial: frozenset[str]


def layout_of(model: Model, data: Data, what: str) -> Layout:
    """The layout of one dataset.

    Args:
        model: the declaration.
        data: of one dataset, as arrays.
        what: the caller, for messages.

    Raises:
        InputError: for a model without observations, or whose observations do not share an axis of rows or of sequences.
    """
    found: dict[str, tuple[bool, tuple[int, ...], tuple[int, ...]]] = {}
    conditioned: set[str] = set()
    density = unguided(model, data).density

    def walk(data: Data) -> None:
        params = density.constrain(jnp.zeros(density.dim), data, {})
        for name, d in density.observed(params, data).items():
            if not isinstance(d, Factor):
                found[name] = isinstance(d, HiddenMarkov), tuple(d.batch_shape), unit_shape(d)
                if modelled(d) is not None:
                    conditioned.add(name)

    with tracing_for():
        jax.eval_shape(walk, dict(data))
    chains = {chain for chain, _, _ in found.values()}
    lengths = {units[:1] for _, _, units in found.values()}
    whole = {name: batch for name, (_, batch, _) in found.items()}
    if model.row_wise is False or len(chains) != 1 or len(lengths) != 1 or lengths == {()}:
        raise InputError(
            f"{what}, the model",
            got="row_wise=False" if model.row_wise is False else f"observations of batch shapes {whole}",
            expected="observations that share their first axis, of rows or of sequences, which masks can leave out one by one",
            remedy="compare such models by jl.compare, or fit parts of the data yourself and use result.score(data).",
        )
    units = {name: units for name, (_, _, units) in found.items()}
    first, partial = next(iter(units.values())), frozenset(conditioned)
    if chains == {False}:
        return Layout("row", first[0], 0, units, partial)
    if any(len(batch) > 1 for batch in whole.values()) or len(set(units.values())) > 1:
        raise InputError(
            f"{what}, the model",
            got=f"sequences of shapes {units}",
            expected="observations (T,) or (sequences, T), in the same sequences",
            remedy="put all sequences on one axis; `by` may tell which belong together.",
        )
    single = len(first) == 1 or first[0] == 1
    if single:
        return Layout("step", first[-1], len(first) - 1, units, partial)
    return Layout("sequence", first[0], 0, units, partial)


def masks_of(layout: Layout, data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Which values of stacked datasets are observed: by observation, ``(dataset, *units)``."""
    masks = {}
    for name, units in layout.units.items():
        values, mask = split(data[name])
        shape = (len(values), *units)
        masks[name] = (
            np.ones(shape, bool) if mask is None else np.broadcast_to(widen(np.asarray(mask), len(shape)), shape)
        )
    return masks


def scored_of(model: Model, layout: Layout, data: Data, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which values of stacked datasets have a density: ``masks`` without those that the likelihood is conditional on."""
    if not layout.partial:
        return dict(masks)
    counted = {name: np.asarray(own) for name, own in _modelled(model, dict(data)).items()}
    return {name: mask & widen(counted[name], mask.ndim) if name in counted else mask for name, mask in masks.items()}


@compiled("model")
def _modelled(model: Model, data: Data) -> dict[str, Array]:
    def one(data: Data) -> dict[str, Array]:
        density = unguided(model, data).density
        observed = density.observed(density.constrain(jnp.zeros(density.dim), data, {}), data)
        found = {name: modelled(d) for name, d in observed.items() if not isinstance(d, Factor)}
        return {name: own for name, own in found.items() if own is not None}

    return jax.vmap(one)(data)


def counts_of(layout: Layout, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """The number of observed values of every element, over all observations: ``(dataset, element)``."""
    per_element = [
        np.moveaxis(mask, layout.axis + 1, 1).reshape(len(mask), layout.size, -1).sum(-1) for mask in masks.values()
    ]
    total: np.ndarray = np.sum(per_element, 0)
    return total


def repeated(
    layout: Layout, data: Mapping[str, Any], masks: Mapping[str, np.ndarray], keep: np.ndarray, names: tuple[str, ...]
) -> Batch:
    """Copies of stacked datasets, each with some of its elements masked.

    The copies of a single dataset share its values, in host memory, and differ in the masks alone.

    Args:
        layout: of the data.
        data: leads with ``dataset``.
        masks: see `masks_of`.
        keep: which elements stay, ``(dataset, copy, element)``.
        names: of the copies of the first dataset, of the second, ...
    """
    datasets, copies = keep.shape[:2]

    def copied(x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(x, (copies, *x.shape[1:])) if datasets == 1 else np.repeat(x, copies, 0)

    found: dict[str, Any] = {}
    for name, value in data.items():
        if name not in layout.units:
            found[name] = jax.tree.map(copied, value)
            continue
        mask = masks[name]
        left = keep.reshape(datasets * copies, *(1,) * layout.axis, layout.size)
        found[name] = Masked(copied(split(value)[0]), copied(mask) & widen(left, mask.ndim))
    return Batch(found, names)


def take_units(layout: Layout, data: Mapping[str, Any], index: np.ndarray) -> dict[str, Any]:
    """The elements at ``index`` of one dataset, on the host: of observations, and of all other entries of the same length."""

    def taken(value: Any) -> Any:
        goes_along = shape_of(value)[:1] == (layout.size,)
        return jax.tree.map(lambda x: x[index], value) if goes_along else value

    return {name: taken(value) for name, value in data.items()}
