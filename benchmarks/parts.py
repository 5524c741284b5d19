"""Benchmarks that come in parts: their command line, their table."""

import argparse
import importlib
from time import perf_counter

import jax

import jaxlatent as jl
from benchmarks import record


def main(package, description, parts):
    """Run the parts that the command line asks for, append their lines, print a table.

    Args:
        package: of `benchmarks`, where the modules of the parts are. They are imported late: some peers start JAX.
        description: for ``--help``.
        parts: by letter, module, function and the most rounds that are worth its time.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{package}", description=description)
    parser.add_argument("--part", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender; long parts take 2 at most")
    parser.add_argument("--cores", type=int, default=2, help="CPU devices that JAX sees")
    parser.add_argument("--out", default=f"benchmarks/results/{package}.jsonl")
    args = parser.parse_args()
    jl.use_cpu_cores(args.cores)
    jax.devices()
    lines = []
    for part in args.part:
        module, function, most = parts[part]
        try:
            run = getattr(importlib.import_module(f"benchmarks.{package}.{module}"), function)
        except ModuleNotFoundError as error:
            print(f"part {part} is left out: {error}", flush=True)
            continue
        begin = perf_counter()
        found = run(min(args.rounds, most or args.rounds))
        for one in found:
            record.append(args.out, one)
        lines += found
        print(f"part {part}: {perf_counter() - begin:.0f} s", flush=True)
    if lines:
        print(table(lines))


def show(value, digits=4):
    """A number for the table; blank where there is none."""
    return "" if value is None else f"{value:.{digits}g}"


def table(lines):
    """One row a line; ratios above 1 are in favour of jaxlatent."""
    rows = [("part", "case", "contender", "median ms", "min ms", "compile s", "ratio", "target", "")]
    for one in lines:
        more = one["unit"]
        if "iterations" in one:
            more += f"; {one['iterations']} iterations"
        numbers = (one["median_ms"], one["min_ms"], one["compile_s"], one["ratio"], one.get("target"))
        rows.append((one["part"], one["case"], one["contender"], *map(show, numbers), more))
    widths = [max(len(row[i]) for row in rows) for i in range(8)]
    align = lambda row: [(str.ljust if i < 3 else str.rjust)(row[i], widths[i]) for i in range(8)]
    return "\n".join("  ".join([*align(row), row[8]]).rstrip() for row in rows)
