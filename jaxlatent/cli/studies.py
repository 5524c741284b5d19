"""The commands of whole studies: new, run, status, resume and report."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import jaxlatent as jl
from jaxlatent.cli import runs
from jaxlatent.cli.study.folder import is_store, study_at
from jaxlatent.cli.study.new import new_study
from jaxlatent.cli.study.outcome import present, present_store
from jaxlatent.cli.study.place import Place
from jaxlatent.cli.study.progress import lines_of, stores_of, unfinished
from jaxlatent.cli.study.running import run
from jaxlatent.cli.study.study import Study, read_study, read_tables
from jaxlatent.cli.terminal import console, plain_errors, plain_warnings, prepare

_AGAIN = "; the same command goes on"
_STUDY = "A study file (TOML), or the folder of its run"


def new(
    kind: Annotated[str, typer.Argument(help="glm-hmm, hmm or mixture.")],
    table: Annotated[Path, typer.Argument(help="A table: .csv, .tsv, .parquet or .npz.")],
    out: Annotated[Path, typer.Option(help="The study file, which must not be there.")] = Path("study.toml"),
    y: Annotated[str | None, typer.Option(help="The observed column; guessed by default.")] = None,
) -> None:
    """Write a study of a table: the roles of its columns are guessed, and each key is explained."""
    with plain_errors():
        new_study(kind, table, out, y)
        console().print(f"wrote {out}: look at [data], then `jaxlatent run {out}`.", highlight=False, markup=False)


def run_study(
    study: Annotated[Path, typer.Argument(help=f"{_STUDY}.")],
    store: Annotated[Path | None, typer.Option(help="The folder of the run, in place of that of the study.")] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="I/N: the I-th of N parts, from 0: of the candidates of a choice, of the datasets of a fit."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the seed of the study.")] = None,
) -> None:
    """Run a study, from a table to a chosen or fitted model; the same command after a crash goes on."""
    with plain_errors(_AGAIN), plain_warnings():
        path = study_at(study)
        tables = read_tables(path)
        fit = tables.setdefault("fit", {})
        if isinstance(fit, dict):
            fit |= {} if store is None else {"store": str(store.absolute())}
            fit |= {} if seed is None else {"seed": seed}
        _run(path, tables, None if shard is None else runs.shard_of(shard))


def resume(study: Annotated[Path, typer.Argument(help=f"{_STUDY}.")]) -> None:
    """Go on with the run of a study."""
    with plain_errors(_AGAIN), plain_warnings():
        path = study_at(study)
        tables = read_tables(path)
        if len(unfinished(path, tables)) == len(stores_of(tables)) and not _begun(path, tables):
            raise Place(str(path)).error(
                "a study that has not begun",
                "one that was interrupted",
                f"jaxlatent run {path}, or name the folder of the run.",
            )
        _run(path, tables, None)


def report(study: Annotated[Path, typer.Argument(help=f"{_STUDY}; or a store.")]) -> None:
    """Write the tables and the page of what is finished, without any fit."""
    with plain_errors(), plain_warnings():
        if is_store(study):
            prepare()
            console().print(present_store(study), highlight=False, markup=False, soft_wrap=True)
            return
        path = study_at(study)
        tables = read_tables(path)
        for name, state in unfinished(path, tables).items():
            raise Place(str(path)).error(f"{name}: {state}", "a finished run", f"jaxlatent resume {path}")
        _run(path, tables, None)


def status(study: Annotated[str, typer.Argument(help=f"{_STUDY}; or a store.")]) -> None:
    """Show how far a study is, or what a store holds: finished, running or broken."""
    with plain_errors():
        if "://" in study or is_store(Path(study)):
            lines = runs.lines_of(study)
        else:
            path = study_at(Path(study))
            lines = lines_of(path, read_tables(path))
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for name, text in lines:
            table.add_row(name, text)
        console().print(table, highlight=False)


def _begun(path: Path, tables: dict[str, Any]) -> bool:
    return any(state != "not begun" for state in unfinished(path, tables).values())


def _run(path: Path, tables: dict[str, Any], shard: tuple[int, int] | None) -> None:
    """Check, run and present a study."""
    prepare()
    study = read_study(path, tables)
    said = console()
    said.print(_announced(study), highlight=False, markup=False, soft_wrap=True)
    outcome = run(study, shard)
    if shard is None:
        text = present(outcome, study.loaded, study.folder)
    else:
        text = f"shard {shard[0]} of {shard[1]} is done: `jaxlatent run {path}` joins them once all are."
    said.print(text, highlight=False, markup=False, soft_wrap=True)


def _announced(study: Study) -> str:
    """What is about to run, in a line or two."""
    candidates, lanes = study.models.candidates, study.engine.lanes
    lines = [f"{study.path}: {study.verb}, {study.loaded}"]
    if study.models.executed is not None:
        lines.insert(0, f"executes {study.models.executed}, which {study.path} names")
    datasets = len(study.loaded.data) if isinstance(study.loaded.data, jl.Batch) else 1
    folds = (study.held_out or {}).get("folds", 0)
    if isinstance(folds, int):
        whole = int(study.verb != "cross_validate")
        count = len(candidates or (None,)) * datasets * (folds + whole) * lanes
        parts = [
            *([] if candidates is None else [f"{len(candidates)} candidates"]),
            f"{datasets} dataset{'s' * (datasets > 1)}",
            *([f"({folds} folds + 1)" if whole else f"{folds} folds"] if folds else []),
            f"{lanes} lane{'s' * (lanes > 1)}",
        ]
        lines.append(f"{' x '.join(parts)} = {count} fits by {type(study.engine).__name__}, into {study.folder}")
    return "\n".join(lines)
