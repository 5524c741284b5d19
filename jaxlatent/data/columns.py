"""Columns of data frames of any library, by kind, with their missing values and category levels told apart."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np

from jaxlatent.data.reading import read
from jaxlatent.errors import InputError, did_you_mean, listed

#: What a column holds. Codes of a "category" and ranks of a "time" point into its levels.
Kind: TypeAlias = Literal["number", "boolean", "category", "time"]

_ARTICLE = {"number": "numbers", "boolean": "booleans", "category": "categories", "time": "dates or durations"}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: of the column.
        kind: of its values.
        values: ``(N,)``: numbers, booleans, codes into the levels of categories, or ranks of times; 0 where missing.
        missing: ``(N,)``: which values are missing.
        levels: labels of codes or ranks.
        text: whether categories were read from strings, whose levels are those that occur, sorted.
        signs: whether all numbers are 0 or 1, which makes the column a binary one.
    """

    name: str
    kind: Kind
    values: np.ndarray
    missing: np.ndarray
    levels: tuple[Any, ...] = ()
    text: bool = False
    signs: bool = False

    def take(self, rows: np.ndarray) -> "Column":
        """The column with its rows in another order."""
        return replace(self, values=self.values[rows], missing=self.missing[rows])

    def labels(self) -> list[Any]:
        """The value of each row as in the table; of missing ones anything."""
        values: list[Any] = self.values.tolist()
        return [self.levels[value] for value in values] if self.levels else values

    def require_kind(self, kinds: Sequence[Kind], use: str, remedy: str) -> None:
        """Raise `InputError` unless the column is of one of the ``kinds``."""
        if self.kind not in kinds:
            raise InputError(
                f"column {self.name!r}, {use}",
                got=f"{_ARTICLE[self.kind]}: {listed([repr(level) for level in self.levels])}",
                expected=" or ".join(_ARTICLE[kind] for kind in kinds),
                remedy=remedy,
            )

    def require_complete(self, use: str, remedy: str) -> None:
        """Raise `InputError` for the first missing value."""
        if self.missing.any():
            raise InputError(
                f"column {self.name!r}, {use}",
                got=f"{self.missing.sum()} of {len(self.missing)} values missing, the first in row {_first(self.missing)} (counted from 0)",
                expected="a value in every row",
                remedy=remedy,
            )

    def require_finite(self, use: str) -> None:
        """Raise `InputError` for the first infinite value."""
        if self.values.dtype.kind == "f" and not np.isfinite(self.values).all():
            wrong = ~np.isfinite(self.values)
            raise InputError(
                f"column {self.name!r}, {use}",
                got=f"{wrong.sum()} of {len(wrong)} values infinite, the first in row {_first(wrong)} (counted from 0)",
                expected="finite values",
                remedy="find out where they come from (a division by zero, a logarithm of zero?), and mark them as missing or drop those "
                "rows.",
            )


@dataclass(frozen=True)
class Known:
    """How a column was read first, so that other tables are read alike."""

    kind: Kind
    levels: tuple[Any, ...]
    signs: bool


@dataclass(frozen=True)
class Table:
    """A data frame of any library.

    Attributes:
        what: the call that reads it, for messages.
        names: of its columns.
        rows: their number.
        series: from a name to a pandas Series.
        index: names of the levels of the index, for messages.
        known: how columns were read before, by name; columns that are read first are added.
    """

    what: str
    names: tuple[Any, ...]
    rows: int
    series: Callable[[str], Any]
    index: tuple[Any, ...]
    known: dict[str, Known]

    def label(self, name: Any, argument: str) -> Column:
        """A column of labels, of sequences or datasets, or of the order of steps: levels are its own in every table."""
        self.require_names([name], argument)
        return _parse(name, self.series(name))

    def column(self, name: Any, argument: str) -> Column:
        """A column of values, whose kind and levels are those of the table that was read first.

        Args:
            name: of the column.
            argument: that named it, for messages.

        Raises:
            InputError: for unknown columns, and those of another kind or with other levels than before.
        """
        column = self.label(name, argument)
        known = self.known.get(name)
        if known is not None:
            return _alike(column, known)
        self.known[name] = Known(column.kind, column.levels, column.signs)
        return column

    def require_names(self, names: Sequence[Any], argument: str) -> None:
        """Raise `InputError` for names of no column, or of several."""
        for name in names:
            count = self.names.count(name)
            if count == 1 and isinstance(name, str):
                continue
            remedy = did_you_mean(str(name), [other for other in self.names if isinstance(other, str)])
            if name in self.index:
                remedy = "it is in the index: give frame.reset_index()."
            raise InputError(
                f"{self.what}, {argument}",
                got=f"{name!r}, which {count} columns have" if count > 1 else f"{name!r}, which is not a column",
                expected="the name of one column, a string",
                remedy="give the columns different names." if count > 1 else remedy,
            )


def read_table(what: str, frame: Any, known: dict[str, Known]) -> Table:
    """Read a data frame: of pandas, of polars, or of a library with the interchange protocol; or a dict of columns.

    Args:
        what: the call, for messages.
        frame: the table.
        known: see `Table`.

    Raises:
        InputError: for anything else, and for a table without rows.
    """
    import pandas as pd

    if isinstance(frame, Mapping):
        try:
            frame = pd.DataFrame(dict(frame))
        except ValueError as error:
            raise _unreadable(what, frame, str(error)) from error
    if isinstance(frame, pd.DataFrame):
        names = tuple(frame.columns)
        table = Table(what, names, len(frame), lambda name: frame[name], tuple(frame.index.names), known)
    elif hasattr(frame, "get_column") and hasattr(
        frame, "columns"
    ):  # polars, which has no interchange protocol any more
        names = tuple(frame.columns)
        rows = len(frame.get_column(names[0])) if names else 0
        table = Table(what, names, rows, lambda name: _from_series(frame.get_column(name)), (), known)
    else:
        return read_table(what, _to_pandas(what, frame), known)
    if not table.rows:
        raise InputError(
            f"{what}, frame",
            got=f"no rows, and {len(names)} columns",
            expected="at least one row",
            remedy="look at how it was read or filtered.",
        )
    return table


def _to_pandas(what: str, frame: Any) -> Any:
    import pandas as pd

    if hasattr(frame, "collect"):
        raise _unreadable(what, frame, "it is evaluated later", "give frame.collect().")
    try:
        if hasattr(frame, "to_pandas"):
            return frame.to_pandas()
        if hasattr(frame, "__dataframe__") or hasattr(frame, "__arrow_c_stream__"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pandas, about which of two protocols it takes
                return pd.api.interchange.from_dataframe(frame)
    except Exception as error:
        raise _unreadable(what, frame, f"{type(error).__name__}: {error}") from error
    raise _unreadable(what, frame, "it has no columns by name")


def _unreadable(what: str, frame: Any, why: str, remedy: str = "convert it to pandas or polars.") -> InputError:
    return InputError(
        f"{what}, frame",
        got=f"{type(frame).__name__}, which cannot be read: {why}",
        expected="a data frame of pandas or polars, one with the interchange protocol (__dataframe__), or a dict of columns",
        remedy=remedy,
    )


def _from_series(column: Any) -> Any:
    """A column of polars as a pandas Series, with the levels of an Enum."""
    import pandas as pd

    values = np.asarray(column.to_numpy())
    if type(column.dtype).__name__ == "Enum":
        return pd.Series(pd.Categorical(values.tolist(), categories=list(column.dtype.categories)))
    return pd.Series(values)


def _parse(name: str, series: Any) -> Column:
    """Read a pandas Series."""
    import pandas as pd

    missing = series.isna().to_numpy(bool)
    kind = getattr(series.dtype, "kind", "O")
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes = np.where(missing, 0, series.cat.codes.to_numpy(np.int64))
        return Column(name, "category", codes, missing, tuple(series.cat.categories.tolist()))
    if kind in "Mm":
        return _ranked(name, series, missing)
    observed = series[~missing]
    if kind in "biufc":
        return _numeric(name, observed.to_numpy(complex if kind == "c" else {"b": bool, "f": float}.get(kind)), missing)
    return _from_objects(name, series, observed.tolist(), missing)


def _from_objects(name: str, series: Any, items: list[Any], missing: np.ndarray) -> Column:
    if not items:
        return _numeric(name, np.zeros(0), missing)
    if all(isinstance(item, str) for item in items):
        levels = tuple(sorted(set(items)))
        code = {level: i for i, level in enumerate(levels)}
        values = _filled(np.array([code[item] for item in items]), missing)
        return Column(name, "category", values, missing, levels, text=True)
    if all(isinstance(item, bool | np.bool) for item in items):
        return _numeric(name, np.array(items, bool), missing)
    if all(isinstance(item, Real | Decimal) and not isinstance(item, bool | np.bool) for item in items):
        return _numeric(name, np.asarray(items), missing)
    if all(isinstance(item, date | timedelta | np.datetime64 | np.timedelta64) or _is_period(item) for item in items):
        return _ranked(name, series, missing)
    first = items[0]
    other = next((item for item in items if type(item) is not type(first)), first)
    raise InputError(
        f"column {name!r}",
        got=f"values of type {type(first).__name__} ({first!r})"
        + (f" and of type {type(other).__name__} ({other!r})" if other is not first else ""),
        expected="numbers, booleans, strings, categories or dates, of one kind",
        remedy="convert it: pd.to_numeric(frame[...]) for numbers, frame[...].astype(str) for labels.",
    )


def _is_period(item: Any) -> bool:
    return type(item).__name__ in ("Period", "Timestamp", "Timedelta")


def _numeric(name: str, observed: np.ndarray, missing: np.ndarray) -> Column:
    """A column of booleans or numbers from its observed values."""
    values = read(f"column {name!r}", observed)
    if values.dtype == bool:
        return Column(name, "boolean", _filled(values, missing), missing)
    whole = values.dtype.kind in "iu"
    if not whole and missing.any() and np.isfinite(values).all() and (values == np.round(values)).all():
        # Integers with a gap are floats in pandas and NumPy.
        whole, values = True, values.astype(np.int64) if (np.abs(values) < 2**53).all() else values
    # Differences of small or unsigned integers overflow.
    values = values.astype(np.int64 if whole and values.max(initial=0) < 2**63 else np.float64)
    return Column(name, "number", _filled(values, missing), missing, signs=bool(np.isin(values, (0, 1)).all()))


def _ranked(name: str, series: Any, missing: np.ndarray) -> Column:
    """A column of times, as ranks among its sorted distinct values."""
    import pandas as pd

    try:
        codes, levels = pd.factorize(series, sort=True)
    except TypeError as error:
        raise InputError(
            f"column {name!r}",
            got=f"dates that cannot be compared: {error}",
            expected="dates of one kind",
            remedy="convert it: pd.to_datetime(frame[...], utc=True).",
        ) from error
    return Column(name, "time", np.where(missing, 0, codes), missing, tuple(levels.tolist()))


def _filled(observed: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Observed values in all rows, zero where missing."""
    values = np.zeros(missing.shape, observed.dtype)
    values[~missing] = observed
    return values


def _alike(column: Column, known: Known) -> Column:
    """Read a column as it was read in an earlier table."""
    if known.kind == "category":
        return _in_levels(column, known)
    if column.missing.all():
        return replace(column, kind=known.kind, values=column.values.astype(_DTYPES[known.kind]), signs=known.signs)
    if known.kind == "number" and column.kind == "boolean":
        return replace(column, kind="number", values=column.values.astype(np.int64), signs=known.signs)
    if known.kind == "boolean" and column.kind == "number" and column.signs:
        return replace(column, kind="boolean", values=column.values.astype(bool), signs=False)
    column.require_kind([known.kind], "in another table", "give it the kind that it had when the encoding was made.")
    return replace(column, signs=known.signs)


_DTYPES: dict[str, Any] = {"number": np.int64, "boolean": bool, "time": np.int64}


def _in_levels(column: Column, known: Known) -> Column:
    """Code a column by levels that are known; refuse others by name."""
    code = {level: i for i, level in enumerate(known.levels)}
    labels = column.labels() if column.levels or column.kind != "category" else [None] * len(column.values)
    values = np.array([0 if gap else code.get(x, -1) for x, gap in zip(labels, column.missing, strict=True)], np.int64)
    unseen = values < 0
    if unseen.any():
        new = dict.fromkeys(repr(label) for label, wrong in zip(labels, unseen, strict=True) if wrong)
        raise InputError(
            f"column {column.name!r}",
            got=f"{listed(list(new))}, the first in row {_first(unseen)} (counted from 0)",
            expected=f"the levels that it had when the encoding was made: {listed([repr(x) for x in known.levels], 8)}",
            remedy="drop those rows, or make the encoding from a table where the column is categorical, with all levels: "
            "frame[...].astype(pd.CategoricalDtype([...])).",
        )
    return Column(column.name, "category", values, column.missing, known.levels)


def _first(wrong: np.ndarray) -> int:
    return int(np.flatnonzero(wrong)[0])
