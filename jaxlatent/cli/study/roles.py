"""Roles of the columns of a table of trials, guessed from their names and values; a guess is written for its reader to correct."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

#: Words in the names of columns, by role.
_WORDS = {
    "dataset": {"animal", "subject", "subj", "mouse", "rat", "monkey", "participant", "patient", "individual"},
    "sequence": {"session", "sess", "day", "date", "run", "sequence", "recording", "visit"},
    "order": {"trial", "step", "time", "t", "index"},
    "choice": {"choice", "choose", "chosen", "response", "resp", "action", "decision", "answer", "y"},
    "reward": {"reward", "rewarded", "correct", "outcome", "feedback", "win", "hit", "error"},
    "after": {"rt", "latency", "reaction", "confidence"},
}
#: The most levels of a choice.
_LEVELS = 10


class Roles(NamedTuple):
    """What each column of a table may be.

    Attributes:
        dataset, sequence, order: labels and order; None without.
        choices: columns of few levels that may be the choice, the likeliest first.
        reward: whether the choice was rewarded, known after it; None without.
        numbers: complete, varying columns of numbers that are none of these.
        left_out: the reason for every other column.
    """

    dataset: str | None
    sequence: str | None
    order: str | None
    choices: tuple[str, ...]
    reward: str | None
    numbers: tuple[str, ...]
    left_out: dict[str, str]


def guess_roles(frame: "pd.DataFrame", choice: str | None = None) -> Roles:
    """Guess the roles of the columns of a table.

    Args:
        frame: the table.
        choice: the column that is the choice, if it is known.
    """
    names = [str(name) for name in frame.columns if str(name) != choice]
    labels: Callable[[str], str | None] = lambda role: next(
        (name for name in names if _is(name, role) and frame[name].notna().all()), None
    )
    dataset = labels("dataset")
    sequence = next(
        (name for name in names if _is(name, "sequence") and frame[name].notna().all() and name != dataset), None
    )
    keys = [name for name in (dataset, sequence) if name is not None]
    order = next(
        (name for name in names if name not in keys and _is(name, "order") and _sorts(frame, name, keys)), None
    )
    rest = [name for name in names if name not in (*keys, order)]
    reward = next((name for name in rest if _is(name, "reward") and _is_binary(frame[name])), None)
    few = [name for name in rest if name != reward and 2 <= frame[name].nunique() <= _LEVELS]
    choices = (choice,) if choice is not None else tuple(sorted(few, key=lambda name: _unlikeliness(frame[name], name)))
    left_out: dict[str, str] = {}
    numbers = []
    for name in rest:
        reason = _not_an_input(frame[name], name)
        if reason is None:
            numbers.append(name)
        elif name != reward:
            left_out[name] = reason
    return Roles(dataset, sequence, order, choices, reward, tuple(numbers), left_out)


def same_as(frame: "pd.DataFrame", one: str, other: str) -> bool:
    """Whether two columns tell the same of every row, in other words."""
    pairs = frame[[one, other]].dropna().drop_duplicates()
    return bool(len(pairs) == pairs[one].nunique() == pairs[other].nunique())


def _is(name: str, role: str) -> bool:
    """Whether a word of the role is in the name."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return bool(_WORDS[role] & _singular(re.findall(r"[a-z]+", spaced.lower())))


def _singular(found: Iterable[str]) -> set[str]:
    return {word for one in found for word in (one, one.removesuffix("s"))}


def _sorts(frame: "pd.DataFrame", name: str, keys: list[str]) -> bool:
    """Whether a column of numbers has no value twice in a sequence."""
    if frame[name].dtype.kind not in "iuf" or not np.isfinite(frame[name].to_numpy(float)).all():
        return False
    return not bool(frame.duplicated([*keys, name]).any())


def _is_binary(column: "pd.Series[object]") -> bool:
    values = column.dropna()
    return column.dtype.kind in "biuf" and (bool(values.isin([0, 1]).all()) or bool(values.isin([-1, 1]).all()))


def _unlikeliness(column: "pd.Series[object]", name: str) -> tuple[bool, int, bool]:
    """The order of choices: by name, then fewer levels, then labels rather than numbers."""
    return not _is(name, "choice"), column.nunique(), column.dtype.kind in "iuf"


def _not_an_input(column: "pd.Series[object]", name: str) -> str | None:
    """Why a column is no input; None if it may be one."""
    if column.dtype.kind not in "biuf":
        return "labels, which enter by a formula"
    if _is(name, "after") or _is(name, "reward"):
        return "known only after the choice"
    if name.startswith("Unnamed") or _is(name, "order"):
        return "counts rows"
    if column.isna().any():
        return f"{int(column.isna().sum())} values are missing"
    if not np.isfinite(column.to_numpy(float)).all():
        return "has infinite values"
    return "constant" if column.nunique() < 2 else None
