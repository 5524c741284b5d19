"""A study file for a table, with its keys explained by comments."""

import os
import textwrap
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxlatent import engines
from jaxlatent.cli.study import schema
from jaxlatent.cli.study.models import PARTS
from jaxlatent.cli.study.place import Place
from jaxlatent.cli.study.roles import Roles, guess_roles, same_as
from jaxlatent.cli.study.study import read_study
from jaxlatent.cli.study.tables import read_frame, require_columns
from jaxlatent.cli.study.toml import written, written_key
from jaxlatent.cli.study.values import settings_of
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.models.emissions.glm import GeneralisedLinear
from jaxlatent.models.interfaces import Emission

if TYPE_CHECKING:
    import pandas as pd

_FOLDS = 5
_WIDTH = 110
_CLASSES = {
    "data": schema.Data,
    "select": schema.Select,
    "fit": schema.Fit,
}
_NOTES = {
    "model": "A ready family of jaxlatent.models and its parts, by name. Numbers of inputs and classes are those of the data.",
    "engine": "An engine and its settings; restarts from different starts tell whether the best optimum was found.",
    "select": "Every size is fitted to all data and to all but each part; the smallest within a standard error of the best is chosen.",
}


class Draft(NamedTuple):
    """The sections of a new study, and remarks under some of them."""

    tables: dict[str, dict[str, Any]]
    remarks: dict[str, list[str]]


def new_study(kind: str, table: Path, out: Path, y: str | None) -> None:
    """Write a study of a table that runs as it is.

    Args:
        kind: see `KINDS`.
        table: the file.
        out: the study file, which must not be there.
        y: the observed column; guessed by default.

    Raises:
        InputError: for an unknown kind, a file that is already there, a table that cannot be read or has no such columns.
    """
    if kind not in KINDS:
        raise InputError(
            "jaxlatent new", got=repr(kind), expected=f"one of {', '.join(KINDS)}", remedy=did_you_mean(kind, KINDS)
        )
    if out.exists():
        raise InputError(
            f"jaxlatent new, {out}",
            got="a file that is there",
            expected="a new name",
            remedy="give --out another.toml.",
        )
    place = Place("jaxlatent new")
    frame = read_frame(table.absolute(), place.at(str(table)))
    if y is not None:
        require_columns([(y, place.at("--y"))], frame, table.name)
    draft = KINDS[kind](frame, guess_roles(frame, y), place.at(str(table)))
    draft.tables["data"]["file"] = Path(os.path.relpath(table, out.parent)).as_posix()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run gives them
        read_study(out, draft.tables)
    head = f"# {kind} of {table.name}, its columns guessed by `jaxlatent new`: look at [data] first. Then `jaxlatent run {out}`."
    out.write_text(f"{head}\n\n{commented(draft)}", encoding="utf-8")


def commented(draft: Draft) -> str:
    """The sections as TOML, each key after its meaning."""
    return "\n".join(_section(name, table, draft.remarks.get(name, [])) for name, table in draft.tables.items())


def _section(name: str, table: Mapping[str, Any], remarks: list[str]) -> str:
    apart = ["#"] if name in _CLASSES else []
    lines = [f"[{name}]", *([*_comment(_NOTES[name]), *apart] if name in _NOTES else [])]
    for key, value in table.items():
        if name in _CLASSES:
            lines += _comment(schema.meaning_of(_CLASSES[name], key))
        lines.append(f"{written_key(key)} = {written(value)}")
    further = [key for key in settings_of(_CLASSES[name]) if key not in table] if name in _CLASSES else []
    remarks = [*remarks, *([f"Further keys: {', '.join(further)}."] if further else [])]
    return "\n".join([*lines, *(line for remark in remarks for line in _comment(remark)), ""])


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _glm_hmm(frame: "pd.DataFrame", roles: Roles, place: Place) -> Draft:
    """A hidden Markov model of choices that depend on inputs."""
    if not roles.choices:
        raise place.error(
            "no column of 2 to 10 levels that may be the choice",
            "one",
            "name it: --y COLUMN; or use `jaxlatent new hmm`.",
        )
    y = roles.choices[0]
    left_out = dict(roles.left_out)
    x = []
    for name in roles.numbers:
        if name == y:
            continue
        if same_as(frame, name, y):
            left_out[name] = f"tells {y} itself"
        else:
            x.append(name)
    left_out.pop(y, None)
    binary = frame[y].nunique() == 2
    if binary:
        x.append(f"lag({_quoted(y)})")
        if roles.reward is not None:
            x.append(f"win_stay_lose_switch({_quoted(y)}, {_quoted(roles.reward)})")
    elif roles.reward is not None:
        left_out[roles.reward] = "known only after the choice"
    if not x:
        raise place.error(
            "no complete column of numbers to be an input", "one", "fill its gaps, or use `jaxlatent new hmm`."
        )
    emissions = {"kind": "BernoulliRegression" if binary else "CategoricalRegression"}
    model = {"family": "hmm", "num_states": [1, 2, 3, 4], "emissions": emissions, "transitions": {"kind": "Stationary"}}
    data = {**_sequences(roles), "y": y, "x": x, **_categories(frame, y)}
    remarks = [f"Left out: {name} ({reason})." for name, reason in left_out.items()]
    others = [name for name in roles.choices[1:] if name not in x and name not in left_out]
    if others:
        remarks.append(f"Other columns of few levels: {', '.join(others)}.")
    return _draft(frame, roles, data, model, remarks)


def _hmm(frame: "pd.DataFrame", roles: Roles, place: Place) -> Draft:
    """A hidden Markov model of numbers."""
    y, emissions = _observed(frame, roles, place)
    model = {"family": "hmm", "num_states": [1, 2, 3, 4], "emissions": emissions, "transitions": {"kind": "Stationary"}}
    return _draft(frame, roles, {**_sequences(roles), "y": y, **_categories(frame, y)}, model, _reasons(roles, y))


def _mixture(frame: "pd.DataFrame", roles: Roles, place: Place) -> Draft:
    """A mixture of independent rows."""
    y, emissions = _observed(frame, roles, place)
    data = {"kind": "table", **_present(dataset=roles.dataset), "y": y, **_categories(frame, y)}
    model = {"family": "mixture", "num_components": [1, 2, 3, 4], "emissions": emissions}
    return _draft(frame, roles, data, model, _reasons(roles, y))


KINDS = {"glm-hmm": _glm_hmm, "hmm": _hmm, "mixture": _mixture}


def _observed(frame: "pd.DataFrame", roles: Roles, place: Place) -> tuple[str | list[str], dict[str, Any]]:
    """What is observed: all columns of numbers together, or one of labels; and its emission."""
    if len(roles.choices) == 1 and (not roles.numbers or roles.choices[0] not in frame.select_dtypes("number")):
        return roles.choices[0], {"kind": "Categorical"}
    numbers = list(roles.choices) if len(roles.choices) == 1 else list(roles.numbers)
    if not numbers:
        raise place.error("no complete column of numbers", "one to observe", "name it: --y COLUMN.")
    if len(numbers) > 1:
        return numbers, {"kind": "Gaussian", "covariance": "full"}
    counts = frame[numbers[0]].dropna()
    return numbers[0], {"kind": "Poisson" if counts.dtype.kind in "iu" and (counts >= 0).all() else "Gaussian"}


def _draft(
    frame: "pd.DataFrame", roles: Roles, data: dict[str, Any], model: dict[str, Any], remarks: list[str]
) -> Draft:
    tables = {
        "data": {"file": "", **data},
        "model": model,
        "engine": {"kind": "EM", "restarts": 20},
        "select": _held_out(frame, roles, data.get("kind", "sequences")),
        "fit": {"seed": 0},
    }
    settings = ", ".join(settings_of(engines.EM))
    return Draft(
        tables,
        {
            "data": remarks,
            "model": [f"Emissions: {', '.join(PARTS[Emission])}.", *_of_groups(roles, model)],
            "engine": [f"Settings of EM: {settings}. Engines: {', '.join(engines.__all__)}."],
        },
    )


def _of_groups(roles: Roles, model: Mapping[str, Any]) -> list[str]:
    """How to fit all datasets as one hierarchical model, where there is one."""
    part = PARTS[Emission].get(model.get("emissions", {}).get("kind", ""), object)
    if roles.dataset is None or not issubclass(part, GeneralisedLinear):
        return []
    return [
        f'To fit all as groups around a population, write group = "{roles.dataset}" above in the place of dataset, and here '
        "hierarchical = {scale = 1.0}."
    ]


def _held_out(frame: "pd.DataFrame", roles: Roles, kind: str) -> dict[str, Any]:
    """As many folds as the dataset of fewest sequences, or rows, allows."""
    datasets = [roles.dataset] if roles.dataset is not None else []
    if kind == "table":
        fewest = int(frame.groupby(datasets).size().min()) if datasets else len(frame)
        return {"folds": min(_FOLDS, fewest), "by": "row"}
    if roles.sequence is None:
        return {"folds": _FOLDS, "by": "forward"}
    unique = frame[[*datasets, roles.sequence]].drop_duplicates()
    fewest = int(unique.groupby(datasets).size().min()) if datasets else len(unique)
    if fewest < 2:
        return {"folds": _FOLDS, "by": "forward"}
    return {"folds": min(_FOLDS, fewest), "by": "sequence"}


def _sequences(roles: Roles) -> dict[str, Any]:
    return _present(dataset=roles.dataset, sequence=roles.sequence, order=roles.order)


def _present(**roles: str | None) -> dict[str, str]:
    return {name: column for name, column in roles.items() if column is not None}


def _categories(frame: "pd.DataFrame", y: str | list[str]) -> dict[str, Any]:
    """Numbers that are labels, unless they are 0 and 1."""
    if isinstance(y, list) or frame[y].dtype.kind not in "iuf" or frame[y].nunique() > 10:
        return {}
    return {} if frame[y].dropna().isin([0, 1]).all() else {"categories": [y]}


def _reasons(roles: Roles, y: str | list[str]) -> list[str]:
    return [f"Left out: {name} ({reason})." for name, reason in roles.left_out.items() if name not in y]


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"
