"""Data of models from data frames: `sequences` of steps, and a `table` of independent rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxlatent.data.arrays import Masked
from jaxlatent.data.batches import Batch, batch
from jaxlatent.data.columns import read_table
from jaxlatent.data.designs import Inputs
from jaxlatent.data.entries import Coords, Encoding, Entries, add_labels, entries_of
from jaxlatent.data.layout import Layout, in_rows, layout_of

#: A column, columns of a vector, or either by the name of an observation.
Observed: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]


class TableData(dict[str, Any]):
    """The data of one dataset, as `jaxlatent.fit` takes them: a dict of NumPy arrays, or of lists of them, by name.

    Attributes:
        coords: labels by dimension, which `jaxlatent.fit` hands to results for dimensions that the model names: ``input`` and
            ``transition_input`` for the columns of ``x`` and ``u``; ``category``, and the name of the column, for the levels of a coded
            ``y``; ``feature`` for the columns of a vector; ``sequence`` for sequences; and the names of other entries for the levels of
            their column, or the columns of their matrix.
    """

    def __init__(self, data: Mapping[str, Any], coords: Coords, encoding: Encoding, places: tuple[np.ndarray, ...]):
        super().__init__(data)
        self.coords, self._encoding, self._places = coords, encoding, places

    def like(self, frame: Any) -> "TableData | TableBatch":
        """The data of another table, read and encoded as this one was.

        Args:
            frame: with the same columns; those of ``y`` may be left out, to predict.

        Raises:
            InputError: as the first call does; and for levels that it did not have, by name.
        """
        return _build(self._encoding, frame, again=True)

    def in_rows(self, values: Any) -> np.ndarray:
        """Arrange values of steps as the rows of the table, as in ``frame["state"] = data.in_rows(path)``.

        Args:
            values: ``(sequence, step, ...)``, or ``(row, ...)`` for independent rows, such as ``result.best().smooth()["y"]``.

        Returns:
            ``(N, ...)``, in the order of the table.
        """
        return in_rows(values, self._places)


def _parts(data: TableData) -> tuple[Any, Any]:
    return tuple(data.values()), tuple(data)


def _plain(names: Any, values: Any) -> Any:
    return dict(zip(names, values, strict=True))


# A dict of another class is a leaf to JAX otherwise; mapped over, it becomes a plain dict.
jax.tree_util.register_pytree_node(TableData, _parts, _plain)


@dataclass(frozen=True)
class TableBatch(Batch):
    """A `Batch` from one table, whose datasets are named by a column.

    Args:
        data, names, problems: see `Batch`.
        coords: see `TableData`.
        sequences: labels of the sequences of each dataset, by its name, in their order.
        encoding: of the call.
        places: where each row of the table is: dataset, sequence and step, or dataset and row; dataset -1 if it was not selected.
    """

    coords: Coords = field(default_factory=dict)
    sequences: Mapping[Any, Sequence[Any]] = field(default_factory=dict)
    encoding: Encoding | None = None
    places: tuple[np.ndarray, ...] = ()

    def select(self, names: Sequence[Any]) -> "TableBatch":
        """The datasets with these names; see `Batch.select`."""
        chosen = super().select(names)
        place = np.array([chosen.names.index(name) if name in chosen.names else -1 for name in self.names])
        places = (place[self.places[0]], *self.places[1:])
        sequences = {name: self.sequences[name] for name in chosen.names if name in self.sequences}
        return TableBatch(chosen.data, chosen.names, chosen.problems, self.coords, sequences, self.encoding, places)

    def like(self, frame: Any) -> "TableData | TableBatch":
        """The data of another table, read and encoded as this one was; see `TableData.like`."""
        assert self.encoding is not None
        return _build(self.encoding, frame, again=True)

    def in_rows(self, values: Any) -> np.ndarray:
        """Arrange values ``(dataset, sequence, step, ...)`` as the rows of the table; see `TableData.in_rows`.

        Rows of datasets that were not selected are NaN, or -1 for integers.
        """
        return in_rows(values, self.places)


def sequences(
    frame: Any,
    *,
    sequence: str | None = None,
    y: Observed | None = None,
    x: Inputs | None = None,
    u: Inputs | None = None,
    dataset: str | None = None,
    group: str | None = None,
    order: str | None = None,
    intercept: bool = False,
    **columns: Any,
) -> TableData | TableBatch:
    """Data of sequences from a table with a row for each step, as `jaxlatent.models.hmm` takes them.

    Rows may come in any order: those with the same label are a sequence, and sequences keep the order in which they first occur. Nothing
    is dropped, scaled or filled in.

    Args:
        frame: a data frame of pandas or polars, one with the interchange protocol, or a dict of columns.
        sequence: the column that labels sequences, such as sessions; None: all rows (of a dataset) are one. One label in two datasets
            is two sequences.
        y: the observation: a column, or a list of columns for a vector. Strings, categories and booleans become codes 0, 1, ... (strings
            sorted; categories in their order), whose labels are in ``coords``. Missing values (NaN, None, NA) are masked; of a vector all
            or none. ``{"rt": "seconds", ...}`` for a model whose observations have other names.
        x: inputs of emissions, ``(step, input)``: a list of columns (numbers or booleans), of lags (`jaxlatent.lag`,
            `jaxlatent.win_stay_lose_switch`, `jaxlatent.exponential_filter`), or "1" for ones; one column; or a formula of formulaic,
            such as ``"stimulus * block + lag(choice)"``, where booleans are 0 and 1.
        u: inputs of transitions, likewise.
        dataset: the column that labels datasets, such as animals: the result is then a batch with their names.
        group: the column that labels groups of sequences within a dataset, such as animals, for `jaxlatent.models.hierarchical`: the data
            then have under its name the group of every sequence, ``(sequence,)``, as integers in the order in which groups first occur.
            One label of a sequence in two groups is two sequences, and their labels in ``coords`` are "group, label". Another table's
            new groups come after those of this one.
        order: the column of numbers, dates or durations to sort the steps of a sequence by, such as the trial; None: as they stand.
        intercept: whether the intercept of a formula is kept as a column of ones. Ready emissions and transitions have biases, so that
            it would be one too many.
        columns: other entries of the data by name: a column (categories become codes, with labels in ``coords``), a list or formula for a
            matrix, or a lag.

    Returns:
        A dict of lists of arrays, one for each sequence, with `TableData.coords`, `TableData.like` and `TableData.in_rows`; or a batch with
        the same, `TableBatch`.

    Raises:
        InputError: for unknown or unusable columns, naming column and row (counted from 0): missing or infinite inputs, two rows of a
            sequence with the same ``order``, text where numbers are needed, an empty table.

    Warns:
        UserWarning: for constant inputs, and where ``order`` counts steps some of which have no row.
    """
    encoding = Encoding(
        "sequences(...)",
        True,
        sequence,
        dataset,
        order,
        _by_name(y),
        {name: value for name, value in (("x", x), ("u", u)) if value is not None},
        columns,
        intercept,
        group,
    )
    return _build(encoding, frame)


def table(
    frame: Any,
    *,
    y: Observed | None = None,
    x: Inputs | None = None,
    dataset: str | None = None,
    intercept: bool = False,
    **columns: Any,
) -> TableData | TableBatch:
    """Data of independent rows from a table, for mixtures, regressions and models by hand.

    Args:
        frame: a data frame of pandas or polars, one with the interchange protocol, or a dict of columns.
        y: the observation; see `sequences`.
        x: inputs ``(row, input)``: a list of columns, one column, or a formula; see `sequences`.
        dataset: the column that labels datasets: the result is then a batch with their names. Codes and formulas are the same in all.
        intercept: whether the intercept of a formula is kept as a column of ones.
        columns: other entries of the data by name, as in ``clinic="clinic"``: a column ``(row,)``, whose categories become codes to index
            effects with, ``p.alpha[d.clinic]``, and whose labels those effects get in results if the model has
            ``dims={"alpha": ("clinic",)}``; a list of columns or a formula for a matrix.

    Returns:
        A dict of arrays, or a batch; see `sequences`.

    Raises:
        InputError: see `sequences`.
    """
    inputs = {} if x is None else {"x": x}
    encoding = Encoding("table(...)", False, None, dataset, None, _by_name(y), inputs, columns, intercept)
    return _build(encoding, frame)


def _by_name(y: Observed | None) -> dict[str, str | tuple[str, ...]]:
    named = {} if y is None else dict(y) if isinstance(y, Mapping) else {"y": y}
    return {name: columns if isinstance(columns, str) else tuple(columns) for name, columns in named.items()}


def _build(encoding: Encoding, frame: Any, again: bool = False) -> TableData | TableBatch:
    read = read_table(encoding.what, frame, encoding.known)
    known = tuple(encoding.groups)
    layout = layout_of(read, encoding.sequence, encoding.dataset, encoding.order, encoding.group, known)
    if not again:
        encoding.groups.extend(layout.groups)
    entries = entries_of(encoding, read, layout, again)
    datasets = [_of_dataset(encoding, entries, layout, i) for i in range(len(layout.names))]
    back = np.argsort(layout.order)
    if encoding.dataset is None:
        places = (layout.sequence[back], layout.step[back]) if encoding.stepwise else (layout.step[back],)
        if encoding.sequence is not None:
            add_labels(encoding.what, entries.coords, "sequence", layout.sequences[0])
        return TableData(datasets[0], entries.coords, encoding, places)
    own = (layout.sequence, layout.step) if encoding.stepwise else (layout.step,)
    places = tuple(axis[back] for axis in (layout.dataset, *own))
    made = batch(dict(zip(layout.names, datasets, strict=True)))
    labels = dict(zip(layout.names, layout.sequences, strict=True)) if encoding.sequence is not None else {}
    return TableBatch(made.data, made.names, made.problems, entries.coords, labels, encoding, places)


def _of_dataset(encoding: Encoding, entries: Entries, layout: Layout, dataset: int) -> dict[str, Any]:
    """The entries of one dataset: arrays, or lists of one array for each sequence."""
    stepwise = encoding.stepwise
    inside = layout.dataset == dataset
    cuts = np.flatnonzero(layout.step[inside] == 0)[1:]
    data: dict[str, Any] = {}
    for name, values in entries.values.items():
        whole, mask = values[inside], entries.masks.get(name)
        parts = np.split(whole, cuts) if stepwise else [whole]
        masks = [None] * len(parts) if mask is None else np.split(mask[inside], cuts) if stepwise else [mask[inside]]
        made = [part if seen is None else Masked(part, seen) for part, seen in zip(parts, masks, strict=True)]
        data[name] = made if stepwise else made[0]
    if encoding.group is not None:
        data[encoding.group] = layout.group[inside & (layout.step == 0)]
    return data
