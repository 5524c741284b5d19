"""`read_study`: a study file with everything that it names, checked before any fit."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jaxlatent as jl
from jaxlatent.cli.study import schema
from jaxlatent.cli.study.data import Loaded, load, roles_explained, units_by
from jaxlatent.cli.study.engines import read_engine
from jaxlatent.cli.study.models import Models, read_family, read_function
from jaxlatent.cli.study.place import Place
from jaxlatent.cli.study.values import Setting, given, read_table, settings_of, shown
from jaxlatent.engines.base import Engine
from jaxlatent.errors import did_you_mean

_SECTIONS = ("data", "model", "engine", "select", "cross_validate", "fit")
_WAYS = ("sequence", "row", "forward")


class Study(NamedTuple):
    """What a study file says.

    Attributes:
        path: of the file.
        tables: its sections as they are read from TOML, with what the command line put in their place.
        loaded: the data.
        models: one, or those of several candidates.
        engine: with its settings.
        held_out: ``folds`` and ``by`` of a choice or cross-validation; None for a fit.
        options: of the fit.
    """

    path: Path
    tables: dict[str, Any]
    loaded: Loaded
    models: Models
    engine: Engine
    held_out: dict[str, Any] | None
    options: schema.Fit

    @property
    def verb(self) -> str:
        """The function of the package that runs it."""
        if self.models.candidates is not None:
            return "select"
        return "fit" if self.held_out is None else "cross_validate"

    @property
    def folder(self) -> Path:
        """Of the run."""
        return folder_of(self.path, self.options.store)

    @property
    def place(self) -> Place:
        """That names the file."""
        return Place(str(self.path))


def read_tables(path: Path) -> dict[str, Any]:
    """The sections of a study file, as TOML.

    Raises:
        InputError: if it is not TOML, or has other sections.
    """
    place = Place(str(path))
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise place.error(str(error), "TOML", 'text is in quotes, key = "text"; lists in brackets, [1, 2].') from None
    _check_sections(tables, place)
    return tables


def folder_of(path: Path, store: str | None) -> Path:
    """The folder of the run of a study file."""
    return path.parent / (f"runs/{path.stem}" if store is None else store)


def read_study(path: Path, tables: Mapping[str, Any]) -> Study:
    """Check a study file: keys, values, columns, model, engine and folds.

    Args:
        path: of the file, for messages and relative paths.
        tables: its sections.

    Raises:
        InputError: naming file and key; nothing is fitted before.
    """
    place = Place(str(path))
    options = options_in(tables, place)
    if options.seed is None:
        raise place.at("fit.seed").error("nothing", "an integer", "add seed = 0 under [fit], or give --seed 0.")
    engine = read_engine(tables["engine"], place.at("engine"))
    chosen: schema.Select | None = _section(schema.Select, tables, place) if "select" in tables else None
    loaded = load(_section(schema.Data, tables, place), path.parent, place.at("data"))
    models = _models(tables["model"], chosen, loaded, path, place)
    held_out = None
    if models.candidates is not None or chosen is not None:
        _require_candidates(models, chosen, tables, place)
        held_out = _held_out(chosen or schema.Select(), loaded, place.at("select"))
    elif "cross_validate" in tables:
        held_out = _held_out(_section(schema.CrossValidate, tables, place), loaded, place.at("cross_validate"))
    if options.on_bad_data == "raise":
        # Sizes of a ready family read the data alike.
        tried = models.candidates or (None,)
        with place.explained(), roles_explained(loaded.section, place.at("data")):
            for candidate in tried if models.executed else tried[:1]:
                jl.condition(models.build(candidate), loaded.data)
    return Study(path, dict(tables), loaded, models, engine, held_out, options)


def options_in(tables: Mapping[str, Any], place: Place) -> schema.Fit:
    """The section ``[fit]``."""
    options: schema.Fit = _section(schema.Fit, tables, place)
    if "://" in (options.store or ""):
        raise place.at("fit.store").error(
            shown(options.store), "a folder of this machine", "for object stores call jl.select or jl.fit in Python."
        )
    return options


def _section(section: Any, tables: Mapping[str, Any], place: Place) -> Any:
    name = {schema.CrossValidate: "cross_validate"}.get(section, section.__name__.lower())
    known = {key: Setting(given(one.annotation), one.required) for key, one in settings_of(section).items()}
    return section(**read_table(tables.get(name, {}), known, place.at(name)))


def _check_sections(tables: Mapping[str, Any], place: Place) -> None:
    for name in tables:
        if name not in _SECTIONS:
            raise place.at(name).error(
                "an unknown section", f"one of {', '.join(_SECTIONS)}", did_you_mean(name, _SECTIONS)
            )
        if not isinstance(tables[name], dict):
            raise place.at(name).error(shown(tables[name]), "a section", f"write it under a heading, [{name}].")
    for name in ("data", "model", "engine"):
        if name not in tables:
            raise place.at(name).error("nothing", f"a section [{name}]", "see `jaxlatent new` for an example.")
    if "select" in tables and "cross_validate" in tables:
        raise place.at("cross_validate").error(
            "also [select]", "one of them", "leave it out: a choice cross-validates every candidate."
        )


def _models(table: Any, chosen: schema.Select | None, loaded: Loaded, path: Path, place: Place) -> Models:
    at = place.at("model")
    if ("family" in table) == ("function" in table):
        raise at.error(
            shown(table), "either a family or a function", 'write family = "hmm", or function = "file.py:name".'
        )
    if "family" in table:
        if chosen is not None and chosen.candidates is not None:
            raise place.at("select.candidates").error(
                "candidates of a ready family", "nothing", "give them in [model], as in num_states = [1, 2, 3]."
            )
        return read_family(table, loaded, at)
    if chosen is not None and chosen.candidates is None:
        raise place.at("select.candidates").error(
            "nothing", "what the function is called with, one after the other", "add candidates = [1, 2, 3]."
        )
    section = schema.Function(**read_table(table, settings_of(schema.Function), at))
    return read_function(section, None if chosen is None else chosen.candidates, path.parent, at)


def _require_candidates(models: Models, chosen: schema.Select | None, tables: Mapping[str, Any], place: Place) -> None:
    """Raise `InputError` for a choice without candidates, or candidates that are not chosen from."""
    if models.candidates is None:
        remedy = (
            "give candidates = [...]."
            if models.executed
            else "give several numbers in [model], as in num_states = [1, 2, 3], or use [cross_validate]."
        )
        raise place.at("select").error("one model", "candidates to choose from", remedy)
    if "cross_validate" in tables:
        raise place.at("cross_validate").error(
            f"{len(models.candidates)} candidates in [model]", "one model", "use [select], which chooses among them."
        )
    for i, candidate in enumerate(models.candidates):
        if not re.fullmatch(r"[\w.+-]+", str(candidate)):
            raise (
                place.at("select.candidates")
                .at(i)
                .error(shown(candidate), "a number, or a word that can be the name of a folder", "rename it.")
            )
    if not models.candidates or len(set(models.candidates)) < len(models.candidates):
        raise place.at("select.candidates").error(
            shown(list(models.candidates)), "at least one candidate, each once", "write for instance [1, 2, 3]."
        )


def _held_out(section: schema.Select | schema.CrossValidate, loaded: Loaded, place: Place) -> dict[str, Any]:
    """``folds`` and ``by``, columns replaced by their values."""
    by: Any = section.by
    folds: Any = section.folds
    if by is None:
        by = "sequence" if loaded.section.kind == "sequences" else "row"
    elif by not in _WAYS:
        by = units_by(loaded, by, place.at("by"), _WAYS)
    if isinstance(folds, str):
        folds = units_by(loaded, folds, place.at("folds"))
    return {"folds": folds, "by": by}
