"""The ``jaxlatent`` command: studies, stored runs, devices and demos."""

import os
import sys
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

import jaxlatent as jl
from jaxlatent.cli import runs, studies
from jaxlatent.cli.terminal import console, plain_errors, prepare, use_cores
from jaxlatent.demos import DEMOS
from jaxlatent.demos.regression import ROWS
from jaxlatent.errors import did_you_mean
from jaxlatent.execute.devices import cpu_cores
from jaxlatent.status import in_words

app = typer.Typer(
    help="Latent-variable and hierarchical Bayesian models in JAX.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class _Demos(TyperGroup):
    """A command group that suggests the closest name for an unknown one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in self.commands:
            ctx.fail(f"there is no demo {name!r}: {did_you_mean(name, self.commands)}")
        return super().resolve_command(ctx, args)


demos = typer.Typer(cls=_Demos, help="Run a whole analysis; without a name, list them.", invoke_without_command=True)
app.add_typer(demos, name="demo")


class Centring(StrEnum):
    """Coordinates of varying effects."""

    informed = "informed"
    noncentred = "noncentred"
    centred = "centred"


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"jaxlatent {jl.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Latent-variable and hierarchical Bayesian models in JAX."""


@app.command()
def devices() -> None:
    """Show what JAX sees: devices, memory, cores, precision, versions."""
    import jax

    with plain_errors():
        use_cores()
        table = Table(box=None, padding=(0, 2, 0, 0))
        for head in ("platform", "kind", "count", "memory each"):
            table.add_column(head)
        kinds: dict[tuple[str, str], list[jax.Device]] = {}
        for device in jax.devices():
            kinds.setdefault((device.platform, device.device_kind), []).append(device)
        for (platform, kind), alike in kinds.items():
            table.add_row(platform, kind, str(len(alike)), _memory(alike[0]))
        said = console()
        said.print(table)
        said.print(f"cores   {cpu_cores()}")
        said.print(f"x64     {'on' if jax.config.read('jax_enable_x64') else 'off'}")
        versions = (f"{package} {_version(package)}" for package in ("jaxlatent", "jax", "jaxlib", "numpyro", "arviz"))
        said.print(f"python  {sys.version.split()[0]}, {', '.join(versions)}", highlight=False)


@app.command()
def fit(
    study: Annotated[
        str, typer.Argument(help="FILE.py:NAME: a function that returns the arguments of jl.fit as a dict.")
    ],
    store: Annotated[str, typer.Option(help="Where to keep the run; where one has begun, go on with it.")],
    shard: Annotated[str | None, typer.Option(help="I/N: fit the I-th of N parts of the datasets, from 0.")] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the seed of the study.")] = None,
) -> None:
    """Fit a study into a store, or go on with it: the same command after a crash, in every task of a job array."""
    with plain_errors():
        prepare()
        result = runs.fit_study(study, store, shard, seed)
        console().print(f"{store}: {in_words(result.status)}", highlight=False)


for _name, _command in (
    ("new", studies.new),
    ("run", studies.run_study),
    ("status", studies.status),
    ("resume", studies.resume),
    ("report", studies.report),
):
    app.command(_name)(_command)


@demos.callback()
def list_demos(context: typer.Context) -> None:
    """Run a whole analysis; without a name, list them."""
    if context.invoked_subcommand is None:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for name, demo in DEMOS.items():
            table.add_row(f"jaxlatent demo {name}", demo.line)
        console().print(table)


@demos.command(help=f"{DEMOS['census'].line[0].upper()}{DEMOS['census'].line[1:]}.")
def census(
    out: Annotated[Path, typer.Option(help="Directory for figures, draws and the summary.")] = Path("runs/census"),
    chains: Annotated[int, typer.Option(help="Chains of NUTS.")] = 4,
    warmup: Annotated[int, typer.Option(help="Warm-up transitions per chain.")] = 1000,
    draws: Annotated[int, typer.Option(help="Kept draws per chain.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    centring: Annotated[
        Centring, typer.Option(help="Coordinates of the varying effects in the fifth model; the fourth is centred.")
    ] = Centring.informed,
) -> None:
    """Five census models."""
    with plain_errors():
        prepare()
        DEMOS["census"].run(out, chains, warmup, draws, seed, centring.value, console())


@demos.command(help=f"{DEMOS['mice'].line}.")
def mice(
    out: Annotated[Path, typer.Option(help="Directory for trials, weights, figures and the page.")] = Path("runs/mice"),
    animals: Annotated[int, typer.Option(help="Number of simulated mice.")] = 5,
    sessions: Annotated[int, typer.Option(help="Sessions of each, on average.")] = 16,
    restarts: Annotated[int, typer.Option(help="Random starts of each fit to all animals.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the simulated trials, of folds and starts.")] = 0,
    store: Annotated[bool, typer.Option("--store", help="Keep the run, to go on after an interruption.")] = False,
) -> None:
    """GLM-HMMs of decisions by simulated mice."""
    with plain_errors():
        prepare()
        DEMOS["mice"].run(out, animals, sessions, (2, 3, 4), restarts, seed, store, console=console())


@demos.command()
def graphs(
    out: Annotated[Path, typer.Option(help="Directory for figures and graphs.md.")] = Path("runs/graphs"),
) -> None:
    """Model graphs: parameters, observations and plates of the census models and of every ready family of models."""
    with plain_errors():
        DEMOS["graphs"].run(out, console())


def _gallery(name: str, rows: tuple[str, ...]) -> None:
    """Add a command that runs rows of the regression gallery; all if empty."""

    @demos.command(name, help=f"{DEMOS[name].line[0].upper()}{DEMOS[name].line[1:]}.")
    def command(
        out: Annotated[Path, typer.Option(help="Directory for figures.")] = Path("runs/regression"),
        seed: Annotated[int, typer.Option(help="Seed of the simulated data and of the sampler.")] = 0,
    ) -> None:
        with plain_errors():
            prepare()
            DEMOS[name].run(rows, out, seed, console())


_gallery("regression", ())
for _row in ROWS:
    _gallery(f"regression/{_row}", (_row,))


def _memory(device: object) -> str:
    """Memory of an accelerator, or of the machine for a CPU."""
    statistics = device.memory_stats() if hasattr(device, "memory_stats") else None
    if statistics and "bytes_limit" in statistics:
        return f"{statistics['bytes_limit'] / 2**30:.1f} GiB"
    if getattr(device, "platform", "") == "cpu":
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB, shared"
    return "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
