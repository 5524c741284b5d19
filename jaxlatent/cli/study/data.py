"""The data of a study: its table, and the roles of the columns."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import jaxlatent as jl
from jaxlatent.cli.study import schema
from jaxlatent.cli.study.inputs import read_input
from jaxlatent.cli.study.place import Place
from jaxlatent.cli.study.tables import read_frame, require_columns
from jaxlatent.data.tables import TableBatch, TableData
from jaxlatent.errors import InputError, did_you_mean, listed

if TYPE_CHECKING:
    import pandas as pd

_ROLES = ("y", "x", "u", "order", "sequence", "group", "dataset")
#: How errors about data begin.
_ABOUT_DATA = r"^(sequences|table)\(|\bcolumn '|\b(observation|data) '"


class Loaded(NamedTuple):
    """The table of a study as data of a model.

    Attributes:
        section: ``[data]``.
        frame: the table.
        data: as `jaxlatent.fit` takes them.
    """

    section: schema.Data
    frame: "pd.DataFrame"
    data: TableData | TableBatch

    @property
    def first(self) -> dict[str, Any]:
        """The data of one dataset."""
        return dict(self.data[0] if isinstance(self.data, jl.Batch) else self.data)

    def width(self, name: str) -> int | None:
        """The number of inputs ``x`` or ``u``; None without any."""
        if name not in self.first:
            return None
        value = self.first[name]
        return int(np.shape(value[0] if isinstance(value, list) else value)[-1])

    def length(self) -> int | None:
        """Of an observed vector; None for numbers."""
        return None if isinstance(self.section.y, str | dict) else len(self.section.y)

    def classes(self) -> int | None:
        """The number of levels of the observed categories; None for numbers."""
        return len(self.data.coords["category"]) if "category" in self.data.coords else None

    def __str__(self) -> str:
        rows = f"{len(self.frame)} rows"
        if not isinstance(self.data, jl.Batch):
            return rows
        return f"{rows} of {len(self.data)} datasets ({listed([str(name) for name in self.data.names])})"


def load(section: schema.Data, folder: Path, place: Place) -> Loaded:
    """Read the table of a study and the roles of its columns.

    Args:
        section: ``[data]``.
        folder: of the study file.
        place: of the section.

    Raises:
        InputError: for a file that cannot be read, unknown columns, and as `jaxlatent.sequences` does.
    """
    frame = read_frame(folder / section.file, place.at("file"))
    require_columns([*_named(section, place)], frame, section.file)
    for name in section.categories:
        frame[name] = frame[name].astype("category")
    columns = [str(name) for name in frame.columns]
    roles: dict[str, Any] = {"y": section.y, "dataset": section.dataset, "intercept": section.intercept}
    for name in ("x", "u"):
        if (given := getattr(section, name)) is not None:
            roles[name] = _inputs(given, columns, place.at(name))
    for name, given in section.columns.items():
        roles[name] = _inputs(given, columns, place.at("columns").at(name))
    stepwise = section.kind == "sequences"
    for name in ("sequence", "group", "order", "u"):
        if not stepwise and getattr(section, name) is not None:
            raise place.at(name).error(
                "a role of sequences", 'nothing, as kind = "table" has independent rows', "leave it out."
            )
    taken = {one.name for one in fields(section)} & section.columns.keys()
    if taken:
        name = min(taken)
        raise (
            place.at("columns")
            .at(name)
            .error("the name of a role", f"a name other than {', '.join(sorted(taken))}", f"give it as data.{name}.")
        )
    with place.explained(), roles_explained(section, place):
        if stepwise:
            roles |= {name: getattr(section, name) for name in ("sequence", "group", "order")}
            return Loaded(section, frame, jl.sequences(frame, **roles))
        return Loaded(section, frame, jl.table(frame, **roles))


def _named(section: schema.Data, place: Place) -> Iterator[tuple[str, Place]]:
    """The names that must be columns, each with its place."""
    for role in ("dataset", "group", "sequence", "order", "y", "categories"):
        yield from _columns_in(getattr(section, role), place.at(role))


def _columns_in(given: Any, place: Place) -> Iterator[tuple[str, Place]]:
    if isinstance(given, str):
        yield given, place
    elif isinstance(given, dict):
        for name, value in given.items():
            yield from _columns_in(value, place.at(name))
    else:
        for i, name in enumerate(given or ()):
            yield name, place.at(i)


def _inputs(given: schema.Columns, columns: list[str], place: Place) -> Any:
    """A formula as it is; columns and lags of a list."""
    if isinstance(given, tuple):
        return [read_input(item, columns, place.at(i)) for i, item in enumerate(given)]
    return read_input(given, columns, place) if given.isidentifier() else given


@contextmanager
def roles_explained(section: schema.Data, place: Place) -> Iterator[None]:
    """Add to errors about data the key of the role, and of the column, that they name.

    Args:
        section: ``[data]``.
        place: of the section.
    """
    try:
        yield
    except InputError as error:
        if place.is_named_in(error) or not re.search(_ABOUT_DATA, error.what):
            raise
        column = re.search(r"column '(.+?)'", error.what)
        role = re.search(rf"(?:, |in |')({'|'.join(_ROLES)})(?:\b|')", error.what)
        found = [
            at
            for name in ([role[1]] if role else _ROLES)
            for value, at in _columns_in(getattr(section, name), place.at(name))
            if column is None or value == column[1] or column[1] in value.partition("(")[2]
        ]
        where = found[0] if len(found) == 1 or (found and column) else place.at(role[1]) if role else place
        labels = " Numbers that are labels go into data.categories." * ("outside the support" in error.got)
        raise InputError(
            f"{where}: {error.what}", got=error.got, expected=error.expected, remedy=error.remedy + labels
        ) from error


def units_by(loaded: Loaded, given: str, place: Place, ways: Sequence[str] = ()) -> Any:
    """The labels of the sequences or rows by a column, as `jaxlatent.cross_validate` takes them: by dataset for a batch.

    Raises:
        InputError: for an unknown column, one with gaps, or one that changes within a sequence.
    """
    frame, section = loaded.frame, loaded.section
    if given not in frame:
        raise place.error(
            f"{given!r}, which is not a column of {section.file}",
            f"{', '.join(ways) or 'a number'}, or a column",
            did_you_mean(given, [*ways, *map(str, frame.columns)]),
        )
    if frame[given].isna().any():
        raise place.error(
            f"column {given!r} with {int(frame[given].isna().sum())} missing values",
            "a label in every row",
            "fill them.",
        )
    if section.kind == "sequences" and section.sequence is None:
        raise place.error(
            f"column {given!r}, and one sequence", "sequences to hold out", 'name data.sequence, or use by = "forward".'
        )
    labels: Any = lambda rows: rows[given].to_numpy()
    if section.sequence is not None:
        within = [name for name in (section.group, section.sequence) if name is not None]
        labels = lambda rows: rows.groupby(within, sort=False)[given].first().to_numpy()
        keys = within if section.dataset is None else [section.dataset, *within]
        several = frame.groupby(keys, sort=False)[given].nunique()
        if (several > 1).any():
            raise place.error(
                f"column {given!r} with {several.max()} values in sequence {several.idxmax()!r}",
                "one value in each sequence",
                "a sequence is held out as a whole.",
            )
    if not isinstance(loaded.data, jl.Batch):
        return labels(frame)
    own = [labels(rows) for _, rows in frame.groupby(section.dataset, sort=False)]
    return dict(zip(loaded.data.names, own, strict=True))
