"""The number of rows of the data in compiled programs: one of a few, so that fits of 100 and of 101 rows share one program.

Rows behind the last observed one are cut off, and masked rows appended. That changes nothing if the likelihood has one term per row (for
sequences: if a step depends on earlier steps only). Ready families declare it by ``Model(row_wise=True)``; for other models it is tested
here. Padding could change such a model through the number of rows, which is tested once per structure of the data, or through their
values, as in ``d.x - d.x.mean()``, which is tested for every dataset.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import Masked, mask_over, on_device, shape_of, shapes_of, split
from jaxlatent.distributions.factor import Factor
from jaxlatent.keys import Purpose, key_for
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.masks import widen
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Data, PyTree

#: Data with at most this many rows are not padded.
_FEW = 16
#: Number of positions at which padded and unpadded densities are compared.
_POSITIONS = 3


class Rows(NamedTuple):
    """The row axes of some data.

    Attributes:
        leading: lengths of the leading axes of the observations: rows; for hidden Markov models steps, or sequences and steps.
        observed: names of observations.
        axes: how many of the leading axes each entry of the data has.
    """

    leading: tuple[int, ...] = ()
    observed: tuple[str, ...] = ()
    axes: Mapping[str, int] = MappingProxyType({})


def round_up(length: int) -> int:
    """Round ``length`` up to 1, 2, ..., 16, 18, ..., 32, 36, ..., 64, 72, ...: by at most an eighth."""
    step = 1 if length <= _FEW else 1 << (length - 1).bit_length() - 4
    return -(-length // step) * step


def pad_rows(posterior: Posterior) -> Posterior:
    """Give a posterior whose data lead with ``dataset`` few row counts, unless it has few rows or that might change it."""
    density = posterior.density
    rows = rows_of(posterior)
    if not isinstance(density, ModelDensity) or max(rows.leading, default=0) <= _FEW:
        return posterior
    lengths = used_lengths(posterior, rows).max(0).tolist()
    data = jax.tree.map(np.asarray, posterior.data)
    used = _cut(data, rows, lengths)
    rows = rows._replace(leading=tuple(lengths))
    rounded = tuple(map(round_up, lengths))
    padded = _append(used, rows, rounded, _last)
    if density.model.row_wise is None and not _is_row_wise(density, used, padded, rows, rounded):
        return posterior
    return replace(posterior, data=on_device(padded))


def rows_of(posterior: Posterior) -> Rows:
    """The row axes of a posterior whose data lead with ``dataset``; none where rows may be more than terms of the density."""
    density = posterior.density
    if not isinstance(density, ModelDensity) or density.model.row_wise is False:
        return Rows()
    return _rows(density, shapes_of(_one(posterior.data)))


def used_lengths(posterior: Posterior, rows: Rows) -> np.ndarray:
    """Lengths of the row axes up to the last observed entry of each dataset, at least 1, ``(dataset, axis)``."""
    datasets = jax.tree.leaves(posterior.data)[0].shape[0]
    seen = np.zeros((datasets, *rows.leading), bool)
    for name in rows.observed:
        mask = split(posterior.data[name])[1]
        own = np.ones(seen.shape, bool) if mask is None else np.asarray(mask)
        seen |= widen(own.any(tuple(range(seen.ndim, own.ndim))), seen.ndim)
    lengths = []
    for axis in range(1, seen.ndim):
        found = seen.any(tuple(i for i in range(1, seen.ndim) if i != axis))
        lengths.append(np.max(np.where(found, np.arange(1, found.shape[1] + 1), 1), 1))
    return np.stack(lengths, 1)


def derived_reads_rows(posterior: Posterior, padded: Posterior) -> bool:
    """Whether derived quantities read entries of the data that padding changes, and so need the unpadded data."""
    if padded.data is posterior.data:
        return False
    same: Callable[[str], bool] = lambda name: shape_of(posterior.data[name]) == shape_of(padded.data[name])
    data = {name: value for name, value in posterior.data.items() if same(name)}
    return _fails_with(posterior.density, shapes_of(_one(data)))


@lru_cache(maxsize=256)
def _fails_with(density: Any, shapes: tuple[tuple[str, Any], ...]) -> bool:
    """Whether derived quantities cannot be computed from data of these shapes."""
    params = {site.name: jax.ShapeDtypeStruct(site.shape, jnp.result_type(float)) for site in density.sites}
    try:
        with tracing_for():
            jax.eval_shape(density.derived, params, dict(shapes))
    except Exception:  # the user's function may raise anything without its data
        return True
    return False


@lru_cache(maxsize=256)
def _rows(density: ModelDensity, shapes: tuple[tuple[str, Any], ...]) -> Rows:
    """The row axes of data of these shapes; none if observations disagree."""
    found: list[tuple[tuple[int, ...], bool]] = []
    observed: tuple[str, ...] = ()

    def walk(data: Data) -> None:
        nonlocal observed
        params = density.constrain(jnp.zeros(density.dim), data, {})
        own = {name: d for name, d in density.observed(params, data).items() if not isinstance(d, Factor)}
        observed = tuple(own)
        for d in own.values():
            steps = isinstance(d, HiddenMarkov)
            found.append((d.batch_shape[:1] + (d.event_shape[:1] if steps else ()), steps))

    with tracing_for():
        jax.eval_shape(walk, dict(shapes))
    if len(set(found)) != 1:
        return Rows()
    whole, steps = found[0]

    def axes(shape: tuple[int, ...]) -> int:
        own = shape[: len(whole)]
        # Covariates of transitions may lack the first step.
        lacking = steps and own == (*whole[:-1], whole[-1] - 1)
        return len(whole) if own == whole or lacking else int(own[:1] == whole[:1])

    return Rows(whole, observed, MappingProxyType({name: axes(shape_of(x)) for name, x in shapes}))


def _cut(data: Data, rows: Rows, lengths: Sequence[int]) -> Data:
    """Cut rows off behind ``lengths``."""

    def one(name: str, value: Any) -> Any:
        values, mask = split(value)
        sizes = zip(lengths, rows.leading, values.shape[1:][: rows.axes[name]], strict=False)
        kept = (slice(None), *(slice(length - (whole - had)) for length, whole, had in sizes))
        return values[kept] if mask is None else Masked(values[kept], mask[kept[: mask.ndim]])

    return {name: one(name, value) for name, value in data.items()}


def _append(data: Data, rows: Rows, lengths: tuple[int, ...], fill: Callable[[np.ndarray, int, int], Any]) -> Data:
    """Pad rows to ``lengths`` with the values of ``fill``, and mask them in observations."""

    def one(name: str, value: Any) -> Any:
        values: Any = split(value)[0]
        axes = rows.axes[name]
        for axis, (had, wanted) in enumerate(zip(rows.leading[:axes], lengths, strict=False), start=1):
            if wanted > had:
                values = np.concatenate([values, fill(values, axis, wanted - had)], axis)
        if not isinstance(value, Masked) and not (axes and name in rows.observed):
            return values
        mask = mask_over(value, max(1 + axes, value.mask.ndim if isinstance(value, Masked) else 0))
        seen: Any = np.pad(mask, [(0, now - had) for had, now in zip(mask.shape, values.shape, strict=False)])
        return Masked(values, seen)

    return {name: one(name, value) for name, value in data.items()}


def _last(values: np.ndarray, axis: int, count: int) -> np.ndarray:
    """The last row, ``count`` times."""
    return np.repeat(np.take(values, [-1], axis), count, axis)


def _farthest(values: np.ndarray, axis: int, count: int) -> np.ndarray:
    """In each column the value farthest from the last, ``count`` times: a change as large as valid values allow."""
    last = np.take(values, [-1], axis)
    apart = np.argmax(np.abs(values.astype(float) - last), axis, keepdims=True)
    return np.repeat(np.take_along_axis(values, apart, axis), count, axis)


def _is_row_wise(density: ModelDensity, data: Data, padded: Data, rows: Rows, lengths: tuple[int, ...]) -> bool:
    """Whether masked rows leave the density unchanged, tested at a few positions."""
    if density.model.m_step is not None:
        return False
    verdict = _cached_verdict(
        density, tuple((name, *_structure(value, rows.axes[name])) for name, value in data.items())
    )
    try:
        if verdict == [False] or density.model.shapes(_one(padded)).sites != density.sites:
            return False
        # Pad by a thirtieth at least, so that a dependence on the number of rows exceeds rounding.
        enough = lambda had, made: made if made - had >= had / 32 else round_up(had + had // 8)
        more = tuple(map(enough, rows.leading, lengths))
        many = _terms(density, padded if more == lengths else _append(data, rows, more, _last))
        if not verdict:
            verdict.append(_equal(_terms(density, data), many))
        return verdict[0] and _equal(many, _terms(density, _append(data, rows, more, _farthest)), exactly=True)
    except Exception:  # the user's function may raise anything when given more rows
        return False


@lru_cache(maxsize=256)
def _cached_verdict(density: ModelDensity, kinds: Any) -> list[bool]:
    """A cached one-element list, empty at first: whether the number of rows leaves the density unchanged, per structure of the data."""
    return []


def _structure(value: Any, axes: int) -> tuple[Any, ...]:
    """The structure of an entry of the data, without the numbers of rows, which are ``axes`` axes."""
    values, mask = split(value)
    return axes, values.shape[1 + axes :], values.dtype, None if mask is None else mask.ndim


@compiled("density", quick=True, brief=2**18)
def _terms(density: ModelDensity, data: Data) -> tuple[PyTree, PyTree]:
    """Scalar terms and pointwise log likelihoods at a few positions, all leading with ``(dataset, position)``."""
    key = key_for(Purpose.CHECK, 0)
    positions = jax.random.uniform(key, (_POSITIONS, density.dim), minval=-1.0, maxval=1.0)

    def one(data: Data, position: Array) -> tuple[PyTree, PyTree]:
        params = density.constrain(position, data, {})
        single = (density.log_prior(params, data), density.model.starting_params(key, data))
        return single, density.log_likelihood(params, data)

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(data, positions)


def _equal(few: PyTree, many: PyTree, exactly: bool = False) -> bool:
    """Whether all terms are equal and those of appended rows zero; False if no term is finite."""

    def equal(few: Any, many: Any) -> bool:
        few, many = np.asarray(few), np.array(many)
        own = tuple(slice(length) for length in few.shape)
        close = np.array_equal if exactly else partial(np.allclose, rtol=1e3 * np.finfo(few.dtype).eps)
        same = close(few, many[own], equal_nan=True)
        many[own] = 0
        return same and not many.any()

    seen = any(np.isfinite(term).any() for term in jax.tree.leaves(few[1]))
    return seen and all(map(equal, jax.tree.leaves(few), jax.tree.leaves(many)))


def _one(data: Data) -> Data:
    """The shapes of one dataset."""
    one: Data = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), data)
    return one
