"""Data as arrays: one dataset, or a named batch of datasets that share a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.errors import InputError
from jaxlatent.typing import Array, Data


@dataclass(frozen=True)
class Batch:
    """Datasets of one model, stacked: every leaf leads with ``dataset``.

    Args:
        data: name to array of shape ``(dataset, ...)``.
        names: of the datasets, coordinates of the ``dataset`` dimension.
    """

    data: dict[str, Array]
    names: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Array]:
        """The data of one dataset, by position."""
        return jax.tree.map(lambda x: x[index], self.data)


def batch(datasets: Sequence[Data] | Mapping[Any, Data]) -> Batch:
    """Stack datasets of equal shapes for one call of `jaxlatent.fit`.

    Args:
        datasets: a list of data dicts, or a dict of name to data dict whose names are kept.

    Raises:
        InputError: if there are none, or if they disagree in names or shapes.
    """
    named = dict(datasets) if isinstance(datasets, Mapping) else dict(enumerate(datasets))
    if not named:
        raise InputError(
            "batch(...)", got="no datasets", expected="at least one", remedy="pass a non-empty list of data dicts."
        )
    arrays = {label: as_data(data, label=f"dataset {label!r}, ") for label, data in named.items()}
    first_label, first = next(iter(arrays.items()))
    for label, data in arrays.items():
        if data.keys() != first.keys():
            raise InputError(
                f"dataset {label!r}",
                got=f"names {sorted(data)}",
                expected=f"the names of dataset {first_label!r}: {sorted(first)}",
                remedy="give every dataset the same observations and covariates.",
            )
        for name, value in data.items():
            if value.shape != first[name].shape:
                raise InputError(
                    f"dataset {label!r}, {name!r}",
                    got=f"shape {value.shape}",
                    expected=f"the shape of dataset {first_label!r}: {first[name].shape}",
                    remedy="batch datasets of equal shapes; fit the others in a batch of their own.",
                )
    stacked = {name: jnp.stack([data[name] for data in arrays.values()]) for name in first}
    return Batch(stacked, tuple(named))


def as_data(data: Data, label: str = "") -> dict[str, Array]:
    """Data as JAX arrays in JAX's own precision, checked for what no model can use.

    Args:
        data: name to anything that NumPy understands.
        label: put before names in messages.

    Raises:
        InputError: for values that are not numeric, ragged, NaN or infinite.
    """
    if not isinstance(data, Mapping):
        raise InputError(
            f"{label}data",
            got=type(data).__name__,
            expected="a dict of name to array",
            remedy='name the arrays, as in {"y": y, "x": x}.',
        )
    return {name: _as_array(f"{label}data {name!r}", value) for name, value in data.items()}


def _as_array(what: str, value: Any) -> Array:
    if isinstance(value, jax.core.Tracer):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise InputError(
            what,
            got=f"{type(value).__name__} of dtype {array.dtype}",
            expected="a rectangular array of numbers or booleans",
            remedy="encode categories as integers 0, 1, ...; pass sequences of unequal length as separate datasets.",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        where = tuple(int(i) for i in bad[0])
        raise InputError(
            what,
            got=f"{len(bad)} of {array.size} values not finite, the first at index {where}: {array[where]}",
            expected="finite values only",
            remedy="drop or impute these entries before the fit.",
        )
    return jnp.asarray(array)
