"""The keys of a study file, described once: the checks read their types, and `jaxlatent new` writes their meanings as comments.

The sections ``[engine]`` and ``[model]`` have further keys: those of the engine, and of the family of models and its parts, whose own
annotations are their description.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_type_hints

from jaxlatent.execute.stopping import until as Until

#: A column, or columns.
Columns: TypeAlias = str | tuple[str, ...]
Folds: TypeAlias = Annotated[int | str, "Number of parts that are held out in turn; or a column with the fold of each."]
By: TypeAlias = Annotated[
    str | None, 'What is held out as a whole: "sequence", "row", "forward" in time, or a column of groups.'
]


def meaning_of(section: type, name: str) -> str:
    """What a key means."""
    return str(get_args(get_type_hints(section, include_extras=True)[name])[1])


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which table, and the roles of its columns; see `jaxlatent.sequences` and `jaxlatent.table`."""

    file: Annotated[str, "The table: .csv, .tsv, .parquet or .npz; its path is relative to this file."]
    kind: Annotated[
        Literal["sequences", "table"],
        '"sequences" of steps, for hidden Markov models, or a "table" of independent rows, for mixtures.',
    ] = "sequences"
    dataset: Annotated[
        str | None, "The column that labels datasets, such as animals: each has parameters of its own."
    ] = None
    group: Annotated[
        str | None,
        "The column that labels groups of sequences within a dataset, such as animals, for a hierarchical model.",
    ] = None
    sequence: Annotated[str | None, "The column that labels sequences, such as sessions."] = None
    order: Annotated[str | None, "The column to sort the steps of a sequence by, such as the trial."] = None
    y: Annotated[
        Columns | dict[str, Columns],
        "What is observed: a column, or a list of columns for a vector. Missing values are masked.",
    ]
    x: Annotated[
        Columns | None,
        'Inputs of emissions: columns; of earlier steps "lag(column)", "lag(column, 2)", "exponential_filter(column, 0.8)" and '
        '"win_stay_lose_switch(choice, reward)"; or a formula such as "stimulus * block + lag(choice)".',
    ] = None
    u: Annotated[Columns | None, "Inputs of transitions, likewise."] = None
    categories: Annotated[
        tuple[str, ...], "Columns of numbers that are labels, such as 1 and 2 for left and right."
    ] = ()
    intercept: Annotated[bool, "Whether a formula keeps its column of ones; regressions have biases."] = False
    columns: Annotated[dict[str, Columns], "Further entries of the data by name, for a model of your own."] = field(
        default_factory=dict
    )


@dataclass(frozen=True, kw_only=True)
class Function:
    """A model of your own, in the place of a ready family."""

    function: Annotated[
        str, '"file.py:name" or "module:name": a function, which is executed, that returns a jl.Model of a candidate.'
    ]
    arguments: Annotated[dict[str, Any], "Its keyword arguments."] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Select:
    """The choice among several sizes; see `jaxlatent.select`."""

    folds: Folds = 5
    by: By = None
    candidates: Annotated[
        tuple[int | float | str, ...] | None, "What a function of your own is called with, one after the other."
    ] = None


@dataclass(frozen=True, kw_only=True)
class CrossValidate:
    """Held-out scores of one model; see `jaxlatent.cross_validate`."""

    folds: Folds = 5
    by: By = None


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Options of `jaxlatent.fit`."""

    seed: Annotated[int | None, "Of all random numbers: equal seeds give equal results."] = None
    store: Annotated[
        str | None, "The folder of the run, relative to this file: its stores, tables and report. runs/NAME by default."
    ] = None
    init: Annotated[
        str | dict[str, Any] | None,
        "Where to start: the folder or store of an earlier run of the same model, relative to this file; or values by name.",
    ] = None
    on_bad_data: Annotated[
        Literal["raise", "quarantine"],
        'For a dataset that cannot be fitted: "raise" an error, or "quarantine" it and fit the others.',
    ] = "raise"
    memory: Annotated[int | str | None, 'Of each device, in bytes or as in "8GiB"; what is free by default.'] = None
    until: Annotated[Until | None, "Stop sampling early, as in {ess = 400, rhat = 1.01}."] = None
    segment: Annotated[int, "Steps between two commits to the store."] = 250
