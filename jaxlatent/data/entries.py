"""Entries of the data from the columns of a table: observations, inputs and covariates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jaxlatent.data.columns import Column, Known, Table
from jaxlatent.data.designs import Design, Inputs, design, history, require_numbers, warn_of_constants
from jaxlatent.data.lags import History, Steps
from jaxlatent.data.layout import Layout, label_of
from jaxlatent.errors import InputError, listed

Coords: TypeAlias = dict[str, list[Any]]

_LOST = (
    "drop those rows, or impute them; if it is an observation of the model, whose missing values are masked, give it as "
    "y={{{name!r}: {column!r}}}."
)
_TEXT_NUMBERS = (
    "for numbers pd.to_numeric(frame[{name!r}]); for labels make it categorical, which says their order: frame[{name!r}].astype("
    "pd.CategoricalDtype([...]))."
)
_TIME = "give times since an origin as numbers: (frame[{name!r}] - frame[{name!r}].min()) / pd.Timedelta('1D')."


@dataclass(frozen=True)
class Encoding:
    """The arguments of a call, and what it learned of the table: kinds and levels of columns, encodings of formulas."""

    what: str
    stepwise: bool
    sequence: str | None
    dataset: str | None
    order: str | None
    y: Mapping[str, str | tuple[str, ...]]
    inputs: Mapping[str, Inputs]
    columns: Mapping[str, Any]
    intercept: bool
    group: str | None = None
    groups: list[Any] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    specs: dict[str, Any] = field(default_factory=dict)


class Entries(NamedTuple):
    """Entries of the data in the order of a `Layout`, their masks where something is missing, and labels."""

    values: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    coords: Coords


def entries_of(encoding: Encoding, read: Table, layout: Layout, again: bool) -> Entries:
    """Read the entries of the data.

    Args:
        encoding: of the call.
        read: the table.
        layout: of its rows.
        again: whether another table was read before, so that observations may be left out.

    Raises:
        InputError: see `jaxlatent.sequences`.
    """
    entries = Entries({}, {}, {})
    steps = Steps(layout.order, layout.step) if encoding.stepwise else None
    named = [*encoding.y, *encoding.inputs, *encoding.columns, *([] if encoding.group is None else [encoding.group])]
    if not named or len(set(named)) < len(named):
        raise InputError(
            encoding.what,
            got=f"{next(name for name in named if named.count(name) > 1)!r} twice"
            if named
            else "no y, x or other entry",
            expected="entries of the data, each by another name",
            remedy="give one of them another name; `group` is an entry under the name of its column."
            if named
            else "say which columns the model reads, as in y='choice'.",
        )
    for name, columns in encoding.y.items():
        listed_columns = [columns] if isinstance(columns, str) else list(columns)
        if not (again and not set(listed_columns) & set(read.names)):
            _observe(entries, read, layout.order, name, columns, again)
    datasets = [(f"dataset {name!r}", layout.dataset == i) for i, name in enumerate(layout.names)]
    wholes = [(label, np.flatnonzero(inside)) for label, inside in datasets]
    for name, inputs in encoding.inputs.items():
        made = _design(encoding, read, name, inputs, steps, layout.order)
        if not again:
            warn_of_constants(encoding.what, name, made, wholes)
        entries.values[name] = made.matrix
        add_labels(encoding.what, entries.coords, "input" if name == "x" else "transition_input", made.names)
    for name, given in encoding.columns.items():
        if isinstance(given, History):
            entries.values[name] = history(read, name, given, steps)
        elif isinstance(given, str) and (given in read.names or given.isidentifier()):
            _cover(entries, read, layout.order, name, given)
        elif isinstance(given, str | list | tuple):
            made = _design(encoding, read, name, given, steps, layout.order)
            entries.values[name] = made.matrix
            add_labels(encoding.what, entries.coords, name, made.names)
        else:
            raise InputError(
                f"{encoding.what}, {name}",
                got=f"{type(given).__name__}",
                expected="a column by name, a list of columns, a formula or a lag",
                remedy="values that are not in the table can be added to the data: {**data, name: value}.",
            )
    if encoding.group is not None:
        add_labels(encoding.what, entries.coords, encoding.group, layout.groups)
    return entries


def _design(encoding: Encoding, read: Table, name: str, inputs: Any, steps: Steps | None, order: np.ndarray) -> Design:
    made = design(read, name, inputs, steps, order, encoding.intercept, encoding.specs.get(name))
    encoding.specs.setdefault(name, made.spec)
    return made


def _observe(
    entries: Entries, read: Table, order: np.ndarray, name: str, columns: str | tuple[str, ...], again: bool
) -> None:
    """Add an observation: values, a mask if some are missing, and labels."""
    what = f"{read.what}, {name}"
    if isinstance(columns, str):
        column = read.column(columns, name)
        values, levels = _codes(column, f"in {name}")
        missing = column.missing
        if levels:
            for dim in dict.fromkeys(["category" if name == "y" else name, columns]):
                add_labels(read.what, entries.coords, dim, levels)
    else:
        if not columns:
            raise InputError(what, got="an empty list", expected="columns of a vector", remedy="leave it out.")
        several = [read.column(one, name) for one in columns]
        for column in several:
            require_numbers(column, f"{name}, a vector")
        values, gaps = np.column_stack([c.values for c in several]), np.column_stack([c.missing for c in several])
        values = values.astype(np.int64) if values.dtype == bool else values
        missing = np.asarray(gaps.all(1))
        partly = gaps.any(1) & ~missing
        if partly.any():
            row = int(np.flatnonzero(partly)[0])
            raise InputError(
                what,
                got=f"{partly.sum()} rows where some of the columns are missing, the first row {row} (counted from 0), without "
                f"{listed([one for one, gap in zip(columns, gaps[row], strict=True) if gap])}",
                expected="rows with all columns of the vector, or none of them: an observation is missing as a whole",
                remedy="make the others of these rows missing too, or impute them.",
            )
        add_labels(read.what, entries.coords, "feature" if name == "y" else name, columns)
    if missing.all() and not again:
        raise InputError(what, got="no value in any row", expected="observations", remedy="look at how it was read.")
    entries.values[name] = values[order]
    if missing.any():
        entries.masks[name] = ~missing[order]


def _cover(entries: Entries, read: Table, order: np.ndarray, name: str, of: str) -> None:
    """Add a covariate of one column."""
    column = read.column(of, name)
    values, levels = _codes(column, f"in {name}")
    column.require_complete(f"in {name}", _LOST.format(name=name, column=of))
    entries.values[name] = values[order]
    if levels:
        add_labels(read.what, entries.coords, name, levels)


def _codes(column: Column, use: str) -> tuple[np.ndarray, tuple[Any, ...]]:
    """The values of a column as numbers, and the labels of codes; none for numbers."""
    column.require_kind(["number", "boolean", "category"], use, _TIME.format(name=column.name))
    column.require_finite(use)
    if column.text and column.levels and all(map(_is_number, column.levels)):
        column.require_kind(["number"], use, _TEXT_NUMBERS.format(name=column.name))
    if column.kind == "boolean":
        return column.values.astype(np.int64), (False, True)
    return column.values, column.levels


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def add_labels(what: str, coords: Coords, dim: str, labels: Sequence[Any]) -> None:
    """Add the labels of a dimension; refuse other labels than it has."""
    new = [label_of(label) for label in labels]
    if coords.setdefault(dim, new) != new:
        raise InputError(
            f"{what}, labels of {dim!r}",
            got=f"{listed([repr(label) for label in new])}",
            expected=f"those of another entry of this name, {listed([repr(label) for label in coords[dim]])}",
            remedy="give the entry another name.",
        )
