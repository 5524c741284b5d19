"""Rows of the data made up to one of a few numbers of them, so that fits of 100 and of 101 rows are one compiled program.

What is appended is masked, and changes nothing where the likelihood is one term a row (of sequences: where a step meets only what was
seen). Ready families declare that, ``Model(row_wise=True)``; of other models it is found out here. Rows may enter such a model in two
ways: by their number, which is one function for all data of such shapes, and is compared once; and by what stands in them, as in
``d.x - d.x.mean()``, which is looked for in every dataset.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import Masked, mask_over, shape_of, shapes_of, split
from jaxlatent.distributions.factor import Factor
from jaxlatent.keys import Purpose, key_for
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Data, PyTree

#: So many rows are left as they are.
_FEW = 16
#: Positions at which a model is compared with itself.
_LOOKS = 3


class Rows(NamedTuple):
    """Where data have rows.

    Attributes:
        leading: the axes that observations lead with: rows; of hidden Markov models steps, or sequences and steps.
        steps: whether the last of them are steps, of which entries for the transitions may lack the first.
        observed: names of observations.
    """

    leading: tuple[int, ...] = ()
    steps: bool = False
    observed: tuple[str, ...] = ()

    def axes(self, shape: tuple[int, ...]) -> int:
        """How many of these axes an entry of the data of this shape leads with."""
        whole, own = self.leading, shape[: len(self.leading)]
        lacking = self.steps and own == (*whole[:-1], whole[-1] - 1)
        return len(whole) if own == whole or lacking else int(own[:1] == whole[:1])


def ample(length: int) -> int:
    """The least of 1, 2, ..., 16, 18, ..., 32, 36, ..., 64, 72, ... that is no less than ``length``: at most an eighth more."""
    step = 1 if length <= _FEW else 1 << (length - 1).bit_length() - 4
    return -(-length // step) * step


def with_ample_rows(posterior: Posterior) -> Posterior:
    """A posterior whose data lead with ``dataset``, with masked rows appended; itself if it has few, or if they might change it."""
    density = posterior.density
    if not isinstance(density, ModelDensity) or density.model.row_wise is False:
        return posterior
    rows = _rows(density, shapes_of(_one(posterior.data)))
    if max(rows.leading, default=0) <= _FEW:
        return posterior
    data = jax.tree.map(np.asarray, posterior.data)
    lengths = tuple(map(ample, rows.leading))
    padded = _append(data, rows, lengths, _last)
    if density.model.row_wise is None and not _is_row_wise(density, data, padded, rows, lengths):
        return posterior
    return replace(posterior, data=jax.tree.map(jnp.asarray, padded))


def reads_rows(posterior: Posterior, padded: Posterior) -> bool:
    """Whether derived quantities are computed from what differs between two posteriors: they may be of any shape and read rows at will."""
    if padded.data is posterior.data:
        return False
    same: Callable[[str], bool] = lambda name: shape_of(posterior.data[name]) == shape_of(padded.data[name])
    data = {name: value for name, value in posterior.data.items() if same(name)}
    return _fails_with(posterior.density, shapes_of(_one(data)))


@lru_cache(maxsize=256)
def _fails_with(density: Any, shapes: tuple[tuple[str, Any], ...]) -> bool:
    """Whether derived quantities need more than these data."""
    params = {site.name: jax.ShapeDtypeStruct(site.shape, jnp.result_type(float)) for site in density.sites}
    try:
        with tracing_for():
            jax.eval_shape(density.derived, params, dict(shapes))
    except Exception:  # whatever a function of the user's raises that lacks its data
        return True
    return False


@lru_cache(maxsize=256)
def _rows(density: ModelDensity, shapes: tuple[tuple[str, Any], ...]) -> Rows:
    """Where data of these shapes have rows; nowhere if observations disagree."""
    found: list[Rows] = []

    def walk(data: Data) -> None:
        params = density.constrain(jnp.zeros(density.dim), data, {})
        observed = {name: d for name, d in density.observed(params, data).items() if not isinstance(d, Factor)}
        for d in observed.values():
            steps = isinstance(d, HiddenMarkov)
            found.append(Rows(d.batch_shape[:1] + (d.event_shape[:1] if steps else ()), steps, tuple(observed)))

    with tracing_for():
        jax.eval_shape(walk, dict(shapes))
    return found[0] if len(set(found)) == 1 else Rows()


def _append(data: Data, rows: Rows, lengths: tuple[int, ...], fill: Callable[[np.ndarray, int, int], Any]) -> Data:
    """Data with rows up to ``lengths`` that hold what ``fill`` picks; observations are masked there."""

    def one(name: str, value: Any) -> Any:
        values: Any = split(value)[0]
        axes = rows.axes(values.shape[1:])
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
    """Of each column the value that is farthest from the last, which it holds: supports and ranges of indices know no better."""
    last = np.take(values, [-1], axis)
    apart = np.argmax(np.abs(values.astype(float) - last), axis, keepdims=True)
    return np.repeat(np.take_along_axis(values, apart, axis), count, axis)


def _is_row_wise(density: ModelDensity, data: Data, padded: Data, rows: Rows, lengths: tuple[int, ...]) -> bool:
    """Whether masked rows change nothing of a model, as far as a few positions show it."""
    if density.model.m_step is not None:
        return False
    verdict = _verdict(density, tuple((name, *_kind(value, rows)) for name, value in data.items()))
    try:
        if density.model.shapes(_one(padded)).sites != density.sites:
            return False
        if not verdict:
            # By a thirtieth at least, which must show.
            enough = lambda had, made: made if made - had >= had / 32 else ample(had + had // 8)
            more = tuple(map(enough, rows.leading, lengths))
            many = padded if more == lengths else _append(data, rows, more, _last)
            verdict.append(_alike(_terms(density, data), _terms(density, many)))
        if not verdict[0]:
            return False
        other = _append(data, rows, lengths, _farthest)
        return _alike(_terms(density, padded), _terms(density, other), exactly=True)
    except Exception:  # whatever a function of the user's raises that meets more rows than it knows of
        return False


@lru_cache(maxsize=256)
def _verdict(density: ModelDensity, kinds: Any) -> list[bool]:
    """Whether the number of rows changes nothing of a model, once that is known; a list of its own for each kind of data."""
    return []


def _kind(value: Any, rows: Rows) -> tuple[Any, ...]:
    """What entries of data of other numbers of rows have in common."""
    values, mask = split(value)
    axes = rows.axes(values.shape[1:])
    return axes, values.shape[1 + axes :], values.dtype, None if mask is None else mask.ndim


@compiled("density", quick=True)
def _terms(density: ModelDensity, data: Data) -> tuple[PyTree, PyTree]:
    """What a model makes of its data at a few positions: single values, and terms of rows, all leading with ``(dataset, position)``."""
    key = key_for(Purpose.CHECK, 0)
    positions = jax.random.uniform(key, (_LOOKS, density.dim), minval=-1.0, maxval=1.0)

    def one(data: Data, position: Array) -> tuple[PyTree, PyTree]:
        params = density.constrain(position, data, {})
        single = (density.log_prior(params, data), density.model.starting_params(key, data))
        return single, density.log_likelihood(params, data)

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(data, positions)


def _alike(few: PyTree, many: PyTree, exactly: bool = False) -> bool:
    """Whether all terms are equal, and those of appended rows zero; none are where nothing is finite."""

    def alike(few: Any, many: Any) -> bool:
        few, many = np.asarray(few), np.array(many)
        own = tuple(slice(length) for length in few.shape)
        close = np.array_equal if exactly else partial(np.allclose, rtol=1e3 * np.finfo(few.dtype).eps)
        same = close(few, many[own], equal_nan=True)
        many[own] = 0
        return same and not many.any()

    seen = any(np.isfinite(term).any() for term in jax.tree.leaves(few[1]))
    return seen and all(map(alike, jax.tree.leaves(few), jax.tree.leaves(many)))


def _one(data: Data) -> Data:
    """The shapes of one dataset."""
    one: Data = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), data)
    return one
