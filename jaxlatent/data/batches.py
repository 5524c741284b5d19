"""`Batch`: datasets that share a model, stacked; those of unequal shapes are padded and masked."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import jax
import numpy as np

from jaxlatent.data.arrays import on_device, read_data, stack, take_rows
from jaxlatent.errors import InputError, require
from jaxlatent.typing import Data


@dataclass(frozen=True)
class Batch:
    """Stacked datasets that share a model; every leaf leads with ``dataset``.

    Args:
        data: name to array of shape ``(dataset, ...)``.
        names: of the datasets, coordinates of the ``dataset`` dimension.
        problems: errors of invalid datasets, by name; their data are replaced by those of a valid one.
    """

    data: dict[str, Any]
    names: tuple[Any, ...]
    problems: Mapping[Any, InputError] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> dict[str, Any]:
        """The data of one dataset, by position, or by a name that is no integer.

        Raises:
            IndexError: beyond the last, where JAX would take that one, and a loop over the batch would not end.
            InputError: for an unknown name.
        """
        if not isinstance(index, int | np.integer):
            require(
                index in self.names,
                "batch[...]",
                got=repr(index),
                expected=f"a position, or a name among {list(self.names)[:8]}",
                remedy="use batch.names to see them.",
            )
            index = self.names.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"dataset {index} of a batch of {len(self)}")
        one: dict[str, Any] = take_rows(self.data, index)
        return one

    def select(self, names: Sequence[Any]) -> "Batch":
        """The datasets with these names, as in ``batch.select(result.failed)``.

        Raises:
            InputError: for an unknown name, or no names.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown or not len(names):
            raise InputError(
                "batch.select(names)",
                got=f"no dataset {unknown[0]!r}" if unknown else "no names",
                expected=f"a list of names among {list(self.names)[:8]}",
                remedy="use batch.names to see them.",
            )
        rows = np.array([self.names.index(name) for name in names])
        problems = {name: self.problems[name] for name in names if name in self.problems}
        return Batch(take_rows(self.data, rows), tuple(names), problems)

    def _repr_html_(self) -> str:
        from jaxlatent.pages.notebook import batch_html

        return batch_html(self)

    def checked(self) -> "Batch":
        """The batch itself.

        Raises:
            InputError: for the first dataset that has a problem.
        """
        for problem in self.problems.values():
            raise problem
        return self


def labelled(data: Batch | Data) -> Iterator[tuple[str, Data]]:
    """Iterate over datasets, each with its prefix for messages; the prefix of a single dataset is empty."""
    if isinstance(data, Batch):
        host = jax.tree.map(np.asarray, data.data)
        for i, name in enumerate(data.names):
            yield f"dataset {name!r}, ", jax.tree.map(lambda x, i=i: x[i], host)
    else:
        yield "", data


def batch(datasets: Sequence[Data] | Mapping[Any, Data]) -> Batch:
    """Stack datasets for one call of `jaxlatent.fit`; arrays of unequal shapes are padded and `Masked`.

    Args:
        datasets: a list of data dicts, or a dict of name to data dict.

    Returns:
        The batch. Invalid datasets (NaN, other names or numbers of axes than most) are its ``problems``: `jaxlatent.fit` raises the
        first of these errors, or fits the others with ``on_bad_data="quarantine"``.

    Raises:
        InputError: if no dataset is valid.
    """
    named = dict(datasets) if isinstance(datasets, Mapping) else dict(enumerate(datasets))
    if not named:
        raise InputError(
            "batch(...)", got="no datasets", expected="at least one", remedy="pass a non-empty list of data dicts."
        )
    arrays: dict[Any, dict[str, Any]] = {}
    problems: dict[Any, InputError] = {}
    for label, data in named.items():
        try:
            arrays[label] = read_data(data, f"dataset {label!r}, ")
        except InputError as problem:
            problems[label] = problem
    problems |= _find_unlike(arrays)
    problems |= _find_unequal_lengths({label: data for label, data in arrays.items() if label not in problems})
    valid = [label for label in named if label not in problems]
    if not valid:
        raise next(iter(problems.values()))
    stacked = {
        name: stack([arrays[valid[0] if label in problems else label][name] for label in named])
        for name in arrays[valid[0]]
    }
    return Batch(on_device(stacked), tuple(named), problems)


def _find_unlike(arrays: Mapping[Any, Data]) -> dict[Any, InputError]:
    """Errors of the datasets whose names or numbers of axes differ from those of most."""
    kinds = {label: tuple(sorted((name, len(x.shape)) for name, x in data.items())) for label, data in arrays.items()}
    if len(set(kinds.values())) < 2:
        return {}
    usual = Counter(kinds.values()).most_common(1)[0][0]
    like = next(label for label, kind in kinds.items() if kind == usual)
    return {label: _unlike_error(label, arrays[label], like, arrays[like]) for label in kinds if kinds[label] != usual}


def _unlike_error(label: Any, data: Data, like: Any, usual: Data) -> InputError:
    if data.keys() != usual.keys():
        return InputError(
            f"dataset {label!r}",
            got=f"names {sorted(data)}",
            expected=f"the names of dataset {like!r}: {sorted(usual)}",
            remedy="give every dataset the same observations and covariates.",
        )
    name = next(name for name in data if len(data[name].shape) != len(usual[name].shape))
    return InputError(
        f"dataset {label!r}, {name!r}",
        got=f"shape {data[name].shape}",
        expected=f"as many axes as in dataset {like!r}: {usual[name].shape}",
        remedy="give every dataset arrays of the same kind.",
    )


def _find_unequal_lengths(arrays: Mapping[Any, Mapping[str, Any]]) -> dict[Any, InputError]:
    """Errors of the datasets where two entries differ in length that have equal length in most; padding would hide this."""
    problems: dict[Any, InputError] = {}
    columns = {name: [data[name] for data in arrays.values()] for name in next(iter(arrays.values()), {})}
    rows = {name: [value.shape[0] for value in values] for name, values in columns.items() if values[0].shape}
    ragged = {name: lengths for name, lengths in rows.items() if len(set(lengths)) > 1}
    for (one, first), (other, second) in combinations(ragged.items(), 2):
        equal = [a == b for a, b in zip(first, second, strict=True)]
        if len(equal) / 2 <= sum(equal) < len(equal):
            for i in (i for i, same in enumerate(equal) if not same):
                problem = InputError(
                    f"dataset {list(arrays)[i]!r}, {other!r}",
                    got=f"{second[i]} rows",
                    expected=f"the {first[i]} rows of {one!r}: both have the same length in {sum(equal)} of {len(equal)} datasets",
                    remedy="give both one value for each row.",
                )
                problems.setdefault(list(arrays)[i], problem)
    return problems
