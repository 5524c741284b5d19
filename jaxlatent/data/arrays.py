"""`Masked`, and the conversion of data to arrays.

Sequences of unequal length become one padded array and a mask. A masked entry is missing, and contributes nothing to any result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.data.namespace import Namespace, missing_data
from jaxlatent.data.reading import check_finite, narrow, read
from jaxlatent.errors import InputError, or_add
from jaxlatent.masks import widen
from jaxlatent.typing import Array, Data, Leaf

#: What the messages of JAX about traced values go on with.
_OF_JAX = "The error occurred while tracing"
#: Remedies for functions of a model that JAX cannot trace.
_TRACED: dict[type[Exception], str] = {
    jax.errors.TracerArrayConversionError: "compute with jax.numpy instead of NumPy or SciPy: jnp.exp(...), not np.exp(...).",
    jax.errors.ConcretizationTypeError: "choose by jnp.where(condition, this, other) instead of `if`, without float(...) and int(...): "
    "values are traced.",
}

Result = TypeVar("Result")
Tree = TypeVar("Tree")


@partial(jax.tree_util.register_dataclass, data_fields=["values", "mask"], meta_fields=[])
@dataclass(frozen=True)
class Masked:
    """Values, some of which are missing or padding.

    Args:
        values: ``(*leading, *rest)``; masked entries may hold anything, also NaN.
        mask: ``(*leading)``, True where a value is observed.
    """

    values: Leaf
    mask: Leaf

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return tuple(jnp.shape(self.values))


def values_of(data: Data) -> dict[str, Array]:
    """Data without their masks, as JAX arrays."""
    return {name: jnp.asarray(split(value)[0]) for name, value in data.items()}


def as_namespace(data: Data | Namespace, read: set[str] | None = None) -> Namespace:
    """Data as passed to the functions of a model: values by name, and masks for `jaxlatent.data.namespace.mask_of`.

    Args:
        data: by name; a namespace stays as it is.
        read: gathers the names that are read, if given.
    """
    if isinstance(data, Namespace):
        return data
    masks = {name: value.mask for name, value in data.items() if isinstance(value, Masked)}
    return Namespace("data", values_of(data), masks, read)


def shapes_of(data: Data) -> tuple[tuple[str, Any], ...]:
    """Names and shapes of data, hashable, to trace with."""
    shape: Callable[[Any], Any] = lambda x: _shape(x.shape, x.dtype)
    return tuple((name, shape(x) if hasattr(x, "dtype") else jax.tree.map(shape, x)) for name, x in data.items())


@cache
def _shape(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    """Made once, so that looking up the shapes of a thousand datasets compares identities."""
    return jax.ShapeDtypeStruct(shape, dtype)


def split(value: Any) -> tuple[Leaf, Leaf | None]:
    """The values and the mask, None if there is none, of one entry of the data."""
    return (value.values, value.mask) if isinstance(value, Masked) else (value, None)


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of one entry of the data."""
    return tuple(jnp.shape(split(value)[0]))


def blamed(
    what: str,
    call: Callable[[], Result],
    data: Data,
    remedy: str = "check names and lengths of the data, and the expression itself.",
) -> Result:
    """Call a function of the model, and turn its exceptions into an `InputError` with the shapes of the data."""
    try:
        return call()
    except InputError:
        raise
    except Exception as error:
        name = missing_data(error)
        if name is not None:
            raise InputError(
                f"data {name!r}, which {what} reads",
                got=f"no data {name!r} (there are: {', '.join(map(repr, data)) or 'none'})",
                expected=f"an entry {name!r} of the data",
                remedy=or_add(name, data),
            ) from error
        shapes = ", ".join(f"{name}: {shape_of(value)}" for name, value in data.items())
        raise InputError(
            what,
            # What follows in JAX's messages are lines of this package.
            got=f"{type(error).__name__}: {str(error).partition(_OF_JAX)[0].rstrip()}",
            expected=f"a function that runs on these data: {{{shapes}}}",
            remedy=next((advice for kind, advice in _TRACED.items() if isinstance(error, kind)), remedy),
        ) from error


def stack(items: Sequence[Any]) -> Any:
    """Stack arrays with the same number of axes, padded and masked over the axes up to the last unequal one."""
    values = [split(item)[0] for item in items]
    shapes = np.array([value.shape for value in values]).reshape(len(values), -1)
    largest = shapes.max(0)
    unequal = np.flatnonzero((shapes != largest).any(0))
    masks = [item.mask.ndim for item in items if isinstance(item, Masked)]
    axes = max([int(unequal[-1]) + 1 if len(unequal) else 0, *masks])
    if not axes:
        return np.stack(values)
    fill: Callable[[Any], np.ndarray] = lambda x: np.pad(
        x, [(0, most - had) for had, most in zip(x.shape, largest, strict=False)]
    )
    seen = [mask_over(item, axes) for item in items]
    return Masked(np.stack([fill(value) for value in values]), np.stack([fill(mask) for mask in seen]))


def mask_over(item: Any, axes: int) -> np.ndarray:
    """The mask over the first ``axes`` axes of an array."""
    shape = item.shape[:axes]
    if not isinstance(item, Masked):
        return np.ones(shape, bool)
    return np.broadcast_to(widen(item.mask, axes), shape)


def as_data(data: Data, label: str = "") -> dict[str, Any]:
    """Convert data to JAX arrays in JAX's default precision, and check them.

    Args:
        data: name to anything that NumPy can read, to a `Masked` or a NumPy masked array, or to a list of arrays of unequal length:
            sequences, which become one `Masked` array ``(sequence, step, ...)``.
        label: prefix of names in messages.

    Raises:
        InputError: for values that are not numeric, NaN or infinite unless masked, or beyond JAX's precision; or for ragged entries whose
            lengths disagree.
    """
    return on_device(read_data(data, label))


def on_device(tree: Tree) -> Tree:
    """The arrays of a tree as JAX arrays that share no memory with those given.

    `jnp.asarray` would compile a program for each new shape of a NumPy array.
    """
    copied: Callable[[Any], Any] = lambda x: (
        jax.device_put(np.array(x)) if isinstance(x, np.ndarray) else jnp.asarray(x)
    )
    arrays: Tree = jax.tree.map(copied, tree)
    return arrays


def take_rows(tree: Tree, rows: Any) -> Tree:
    """The rows of every array of a tree at an index or at several: on the host if it is there, by one program on the devices."""
    on_host = all(isinstance(x, np.ndarray) for x in jax.tree.leaves(tree))
    taken: Tree = _rows(tree, rows) if on_host else _compiled_rows(tree, rows)
    return taken


def _rows(tree: Tree, rows: Any) -> Tree:
    taken: Tree = jax.tree.map(lambda x: x[rows], tree)
    return taken


_compiled_rows = jax.jit(_rows)


def read_data(data: Data, label: str) -> dict[str, Any]:
    """Like `as_data`, but in NumPy, where stacking a thousand datasets takes a hundredth of the time."""
    if not isinstance(data, Mapping):
        remedy = 'name the arrays, as in {"y": y, "x": x}.'
        if hasattr(data, "columns"):
            remedy = "pick columns, as in dict(frame[['y', 'x']])."
        elif isinstance(data, Sequence) and data and all(isinstance(one, Mapping) for one in data):
            remedy = "several datasets are `jl.batch([...])`."
        raise InputError(f"{label}data", got=type(data).__name__, expected="a dict of name to array", remedy=remedy)
    for name in data:
        if not isinstance(name, str):
            raise InputError(
                f"{label}data {name!r}",
                got=f"a name of type {type(name).__name__}",
                expected="a string, as models read data by d.name",
                remedy="rename it.",
            )
    given = {name: _as_list(value) for name, value in data.items()}
    _check_lengths(label, {name: tuple(map(_length, value)) for name, value in given.items() if _is_ragged(value)})
    return {name: _as_array(f"{label}data {name!r}", value) for name, value in given.items()}


def _as_list(value: Any) -> Any:
    """Turn a NumPy object array of arrays into a list of sequences."""
    jagged = isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1
    return list(value) if jagged and all(isinstance(one, np.ndarray | list) for one in value) else value


def _as_array(what: str, value: Any) -> Any:
    if isinstance(value, jax.core.Tracer):
        return value
    if isinstance(value, np.ma.MaskedArray):
        value = _from_numpy(value)
    if isinstance(value, Masked):
        return _as_masked(what, value)
    if _is_ragged(value):
        return stack([_as_array(f"{what}, sequence {i}", one) for i, one in enumerate(value)])
    array = read(what, value)
    if array.dtype.kind == "f":
        check_finite(what, array, np.isfinite(array))
    return narrow(what, array)


def _from_numpy(value: np.ma.MaskedArray) -> Any:
    """Convert a NumPy masked array, whose mask is inverted; to a plain array if nothing is masked."""
    seen = ~np.ma.getmaskarray(value)
    while seen.ndim > 1 and seen.shape[-1] and (seen == seen[..., :1]).all():
        seen = seen[..., 0]
    return np.ma.getdata(value) if seen.all() else Masked(np.ma.getdata(value), seen)


def _is_ragged(value: Any) -> bool:
    """Whether a value is a list of arrays that differ in length only, or some of which are masked."""
    if not isinstance(value, list | tuple):
        return False
    if any(isinstance(one, Masked | np.ma.MaskedArray) for one in value):
        return True
    shapes = [np.shape(one) for one in value if isinstance(one, list | tuple) or hasattr(one, "__array__")]
    return len(shapes) == len(value) and len(set(shapes)) > 1 and len({shape[1:] for shape in shapes if shape}) == 1


def lengths_of(value: Any) -> tuple[int, ...] | None:
    """The lengths of the sequences of an entry of the data that is a list of sequences of unequal length; None for others."""
    value = _as_list(value)
    return tuple(map(_length, value)) if _is_ragged(value) else None


def _length(sequence: Any) -> int:
    return int(np.shape(split(sequence)[0])[0])


def _check_lengths(label: str, lengths: Mapping[str, tuple[int, ...]]) -> None:
    """Check that ragged entries agree in length for each sequence; one may lack a step in all, as covariates of transitions do."""
    for (one, first), (other, second) in combinations(lengths.items(), 2):
        apart = [a - b for a, b in zip(first, second, strict=False)]
        if len(first) != len(second) or len(set(apart)) > 1 or abs(apart[0]) > 1:
            where = next((i for i, difference in enumerate(apart) if difference), min(len(first), len(second)))
            raise InputError(
                f"{label}data {other!r}",
                got=f"{len(second)} sequences of lengths {_listed(second)}",
                expected=f"those of {one!r}, {len(first)} of lengths {_listed(first)}; the first to differ is sequence {where}",
                remedy="give both the same sequences in the same order, with one value for each step.",
            )


def _listed(lengths: tuple[int, ...]) -> str:
    return ", ".join(map(str, lengths[:10])) + (", ..." if len(lengths) > 10 else "")


def _as_masked(what: str, value: Masked) -> Masked:
    if isinstance(value.values, jax.core.Tracer) or isinstance(value.mask, jax.core.Tracer):
        return value
    values, mask = read(what, value.values), np.asarray(value.mask)
    if mask.dtype != bool or mask.shape != values.shape[: mask.ndim]:
        raise InputError(
            f"{what}, mask",
            got=f"{mask.dtype} of shape {mask.shape}",
            expected=f"booleans of the leading axes of the values, {values.shape}",
            remedy="True where a value is observed.",
        )
    # Masked entries may be NaN, which would spread through arithmetic.
    filled = np.where(widen(mask, values.ndim), values, np.zeros((), values.dtype))
    if values.dtype.kind == "f":
        check_finite(what, filled, np.isfinite(filled))
    return Masked(narrow(what, filled), mask)
