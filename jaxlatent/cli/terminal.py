"""What commands share: consoles, errors without tracebacks, the cores of the CPU, and compiled programs."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

import jaxlatent as jl

#: Width of tables without a terminal.
_WIDTH = 132


@contextmanager
def plain_errors(after_interruption: str = "") -> Iterator[None]:
    """Print errors of the package without a traceback and exit with code 2; exit with 130 on an interruption, as usual in shells.

    Args:
        after_interruption: what to do then.
    """
    try:
        with warnings.catch_warnings():
            # An interrupted fit returns its draws so far with a warning; the command should stop instead.
            warnings.filterwarnings("error", "interrupted", UserWarning)
            yield
    except jl.JaxlatentError as error:
        Console(stderr=True).print(f"jaxlatent: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except (KeyboardInterrupt, UserWarning):
        Console(stderr=True).print(
            f"jaxlatent: interrupted{after_interruption}", markup=False, highlight=False, soft_wrap=True
        )
        raise typer.Exit(130) from None


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings as one paragraph each, without the place in the code."""
    said = Console(stderr=True)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *where, **more: said.print(
            f"jaxlatent: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )
        yield


def use_cores() -> None:
    """Make every CPU core a device, unless this process already runs JAX."""
    try:
        jl.use_cpu_cores()
    except jl.InputError as error:
        Console(stderr=True).print(f"jaxlatent: {error.got}", style="yellow", markup=False)


def prepare() -> None:
    """For fits: use the cores, and keep compiled programs for later commands."""
    use_cores()
    try:
        jl.enable_compilation_cache()
    except jl.StoreError as error:
        Console(stderr=True).print(
            f"jaxlatent: programs are compiled anew: {error.got}", style="yellow", markup=False, soft_wrap=True
        )


def console() -> Console:
    """The standard output, of a fixed width where it is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)
