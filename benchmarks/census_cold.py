"""Cold fits of a census model by every competitor: what a user waits for, compilation included.

    python -m benchmarks.census_cold --model C5 --rounds 3 --nutpie-python PATH

Each run is a fresh process without any persistent compilation cache; imports are not timed. Rounds interleave the
competitors (A B C, A B C), so drift of the machine falls on all alike; within a round all have the same seed. One
JSON line a run goes to --out (fields: `benchmarks.record`); at the end a table of medians is printed, with ratios
to jaxlatent where it ran.
"""

import argparse
import importlib
import json
import os
import pkgutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import peers, record

MODELS = ("C1", "C2", "C3", "C4", "C5")
ROOT = Path(__file__).resolve().parent.parent


def competitors():
    """The modules of `benchmarks.peers`, jaxlatent first."""
    names = [module.name for module in pkgutil.iter_modules(peers.__path__) if not module.name.startswith("_")]
    return sorted(names, key=lambda name: (name != "jaxlatent", name))


def arguments():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.census_cold", description="Cold fits of a census model by every competitor."
    )
    parser.add_argument("--model", choices=MODELS, default="C5")
    parser.add_argument("--competitors", nargs="+", choices=competitors(), default=competitors(), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first round; round r uses seed + 10 r")
    parser.add_argument("--x64", action="store_true", help="run the JAX competitors in float64")
    parser.add_argument("--nutpie-python", help="interpreter that has nutpie and PyMC; nutpie is skipped without it")
    parser.add_argument("--out", default="benchmarks/results/census_cold.jsonl")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def child(args):
    """Measure one competitor in this process and print its line."""
    run = importlib.import_module(f"benchmarks.peers.{args.child}").run
    measured = run(args.model, args.chains, args.warmup, args.draws, args.seed)
    print(json.dumps(record.line(args.child, args.model, args.chains, args.warmup, args.draws, args.seed, measured)))


def environment(args, cache):
    """The child's environment: JAX's, PyTensor's and Numba's caches absent or empty."""
    env = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    flags = [flag for flag in (env.get("PYTENSOR_FLAGS"), f"base_compiledir={cache}") if flag]
    return env | {
        "JAX_ENABLE_X64": str(int(args.x64)),
        "PYTENSOR_FLAGS": ",".join(flags),
        "NUMBA_CACHE_DIR": cache,
    }


def measure(competitor, seed, args):
    """Run one competitor in a fresh process; its line, or None where it failed (the reason is printed)."""
    python = args.nutpie_python if competitor == "nutpie" else sys.executable
    command = [python, "-m", "benchmarks.census_cold", "--child", competitor, "--model", args.model]
    for name, value in (("chains", args.chains), ("warmup", args.warmup), ("draws", args.draws), ("seed", seed)):
        command += [f"--{name}", str(value)]
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(command, cwd=ROOT, env=environment(args, cache), capture_output=True, text=True)
    if done.returncode:
        print(f"{competitor}: failed with exit code {done.returncode}\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


COLUMNS = {
    "total s": lambda e: e["total_s"],
    "compile s": lambda e: e["compile_s"],
    "run s": lambda e: e["run_s"],
    "min ESS": lambda e: e["min_ess_bulk"],
    "ESS/s cold": lambda e: e["min_ess_bulk"] / e["total_s"],
    "ESS/s run": lambda e: e["min_ess_bulk"] / e["run_s"],
    "grad/draw": lambda e: e["gradients_per_draw"],
    "ESS/1k grad": lambda e: 1000 * e["min_ess_bulk"] / (e["gradients"] or float("nan")),
    "ESS/1k draw grad": lambda e: 1000 * e["min_ess_bulk"] / e["gradients_sampling"],
    "diverg": lambda e: e["divergences"],
    "max rhat": lambda e: e["max_rhat"],
}
RATIOS = {"total x": "total s", "ESS/s cold x": "ESS/s cold"}


def table(entries):
    """Medians over rounds, a row a competitor; ratios are this row over jaxlatent's."""
    rows = {}
    for name in dict.fromkeys(entry["competitor"] for entry in entries):
        mine = [entry for entry in entries if entry["competitor"] == name]
        rows[name] = {title: statistics.median(map(value, mine)) for title, value in COLUMNS.items()}
    titles = list(COLUMNS)
    if "jaxlatent" in rows:
        titles += RATIOS
        for row in rows.values():
            row |= {title: row[source] / rows["jaxlatent"][source] for title, source in RATIOS.items()}
    lines = ["  ".join([f"{'':20}"] + [f"{title:>9}" for title in titles])]
    for name, row in rows.items():
        lines.append("  ".join([f"{name:20}"] + [f"{row[title]:>{max(9, len(title))}.4g}" for title in titles]))
    return "\n".join(lines)


def main():
    args = arguments()
    if args.child:
        return child(args)
    names = list(args.competitors)
    if "nutpie" in names and not args.nutpie_python:
        print("nutpie: skipped, --nutpie-python was not given")
        names.remove("nutpie")
    entries = []
    for r in range(args.rounds):
        for name in names:
            entry = measure(name, args.seed + 10 * r, args)
            if entry is None:
                continue
            entries.append(entry)
            record.append(args.out, entry)
            print(json.dumps(entry), flush=True)
    if entries:
        print(f"\n{args.model}, {args.rounds} round(s), {args.chains} x ({args.warmup} + {args.draws})")
        print(table(entries))


if __name__ == "__main__":
    main()
