"""Where the rows of a table go: datasets, sequences and steps."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxlatent.data.columns import Column, Table
from jaxlatent.errors import InputError


class Layout(NamedTuple):
    """Where the rows of a table go.

    Attributes:
        order: ``(N,)``: rows, by dataset, sequence and step.
        dataset, sequence, step: ``(N,)``, in this order: indices of dataset, of sequence in the dataset, and of step in the sequence.
        names: of the datasets; one if there is no column for them.
        sequences: labels of the sequences of each dataset, with groups as "group, label".
        group: ``(N,)``, in this order: index of the group of each row's sequence.
        groups: labels of the groups; one if there is no column for them.
    """

    order: np.ndarray
    dataset: np.ndarray
    sequence: np.ndarray
    step: np.ndarray
    names: tuple[Any, ...]
    sequences: tuple[tuple[Any, ...], ...]
    group: np.ndarray
    groups: tuple[Any, ...]


def layout_of(
    read: Table,
    sequence: str | None,
    dataset: str | None,
    order: str | None,
    group: str | None = None,
    known: tuple[Any, ...] = (),
) -> Layout:
    """Group the rows of a table, and sort them within groups.

    Args:
        read: the table.
        sequence, dataset, order, group: columns, see `jaxlatent.sequences`.
        known: groups of an earlier table, which keep their indices.

    Raises:
        InputError: for missing labels, and for an order that is text, missing, or the same in two rows of a sequence.
    """
    rows, nothing = np.arange(read.rows), np.zeros(read.rows, np.int64)
    whole: tuple[Any, ...] = (0,)
    own, names = (nothing, whole) if dataset is None else _grouped(read, dataset, "dataset")
    label, labels = (nothing, whole) if sequence is None else _grouped(read, sequence, "sequence")
    member, groups = (nothing, whole) if group is None else _grouped(read, group, "group", known)
    by = None if order is None else _sortable(read, order)
    # Datasets come by their first row, and so do sequences within them.
    each = (own * len(groups) + member) * len(labels) + label
    _, first, place = np.unique(each, return_index=True, return_inverse=True)
    start = first[place]
    sort = np.lexsort((rows if by is None else by.values, start, own))
    starts, own = start[sort], own[sort]
    begins = np.r_[True, starts[1:] != starts[:-1]]
    number = np.cumsum(begins) - 1
    step = rows - rows[begins][number]
    within = number - number[np.searchsorted(own, own)]
    # With groups the label of a sequence says of which: "1" in two of them is two sequences.
    name: Callable[[int], Any] = lambda row: (
        labels[label[row]] if group is None else f"{groups[member[row]]}, {labels[label[row]]}"
    )
    of: Callable[[int], tuple[Any, ...]] = lambda i: tuple(map(name, sort[begins & (own == i)]))
    layout = Layout(sort, own, within, step, names, tuple(map(of, range(len(names)))), member[sort], groups)
    if by is not None:
        where: Callable[[int], str] = lambda i: " of ".join(
            [f"sequence {layout.sequences[own[i]][within[i]]!r}"] * (sequence is not None)
            + [f"dataset {names[own[i]]!r}"] * (dataset is not None)
        )
        _check_order(read.what, by, layout, where)
    return layout


def _grouped(read: Table, name: str, argument: str, known: tuple[Any, ...] = ()) -> tuple[np.ndarray, tuple[Any, ...]]:
    """The index of the label of each row, and the labels: those ``known``, then others in their order of appearance."""
    column = read.label(name, argument)
    column.require_complete(argument, "give every row a label, or drop those rows.")
    index: dict[Any, int] = {label: i for i, label in enumerate(known)}
    codes = [index.setdefault(label_of(label), len(index)) for label in column.labels()]
    return np.array(codes, np.int64), tuple(index)


def label_of(value: Any) -> Any:
    """Labels as results and stores hold them: strings, numbers and booleans as they are, others as strings."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float) else str(value)


def _sortable(read: Table, name: str) -> Column:
    column = read.label(name, "order")
    remedy = f"make it numbers, as text sorts '10' before '2': pd.to_numeric(frame[{name!r}]); or dates: pd.to_datetime(frame[{name!r}])."
    column.require_kind(["number", "time"], "order", remedy)
    column.require_complete("order", "number the rows of every sequence, or drop those without a number.")
    column.require_finite("order")
    return column


def _check_order(what: str, by: Column, layout: Layout, where: Callable[[int], str]) -> None:
    """Refuse two rows of a sequence with the same order, and warn of numbers that are skipped."""
    values, within = by.values[layout.order], layout.step[1:] > 0
    same = np.flatnonzero(within & (values[1:] == values[:-1]))
    place: Callable[[int], str] = lambda i: f" in {where(i)}" if where(i) else ""
    if len(same):
        i, labels = int(same[0]), by.labels()
        rows = sorted(int(row) for row in layout.order[i : i + 2])
        raise InputError(
            f"column {by.name!r}, order",
            got=f"{labels[rows[0]]} in rows {rows[0]} and {rows[1]} (counted from 0){place(i)}",
            expected="another value for every row of a sequence",
            remedy="drop duplicate rows, or name the column by which these sequences differ as sequence= or dataset=.",
        )
    jumps = np.where(within, np.diff(values), 0)
    if (
        by.kind == "number"
        and values.dtype.kind in "iu"
        and (jumps > 1).any()
        and 2 * (jumps == 1).sum() >= within.sum()
    ):
        i = int(np.flatnonzero(jumps > 1)[0])
        warnings.warn(
            f"{what}, order={by.name!r}: numbers are skipped {(jumps > 1).sum()} times, first from {values[i]} to {values[i + 1]}{place(i)}"
            ". Rows are taken as consecutive steps all the same: give a step that took place a row, with a missing observation.",
            stacklevel=5,
        )


def in_rows(values: Any, places: tuple[np.ndarray, ...]) -> np.ndarray:
    """Arrange values as the rows of a table.

    Args:
        values: an array that leads with as many axes as there are ``places``.
        places: the index of each row on these axes, ``(N,)`` each; -1 for rows without values.

    Returns:
        ``(N, ...)``: NaN for rows without values, or -1 in integers.
    """
    array = np.asarray(values)
    needed = tuple(int(axis.max()) + 1 for axis in places)
    if array.ndim < len(places) or any(had < most for had, most in zip(array.shape, needed, strict=False)):
        raise InputError(
            "in_rows(values)",
            got=f"shape {array.shape}",
            expected=f"({', '.join(map(str, needed))}, ...) or longer: the axes of the data, without those of draws or lanes",
            remedy="take the mean over draws, or one lane, as in result.best().smooth()['y'].",
        )
    made: np.ndarray = array[places]
    outside = np.any([axis < 0 for axis in places], 0)
    if outside.any():
        made = made if made.dtype.kind in "fi" else made.astype(float)
        made[outside] = -1 if made.dtype.kind == "i" else np.nan
    return made
