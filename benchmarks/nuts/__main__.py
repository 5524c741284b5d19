"""The command line: a parent that starts a fresh process for every run, and the child that measures one."""

import argparse
import datetime
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import nuts, record
from benchmarks.nuts import models, peers, table

ROOT = Path(__file__).resolve().parents[2]
#: Moments of more entries than this stay out of the file.
KEPT = 32


def arguments():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nuts", description=nuts.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=models.NAMES + models.FURTHER, default=models.NAMES)
    parser.add_argument("--peers", nargs="+", choices=peers.available(), default=peers.available(), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first round; round r uses seed + 10 r")
    parser.add_argument("--x64", action="store_true", help="run the JAX samplers in float64")
    parser.add_argument("--nutpie-python", default=sys.executable, help="interpreter that has nutpie and PyMC")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds after which a run is given up")
    parser.add_argument("--out", default="benchmarks/results/nuts.jsonl")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def child(args):
    """Measure one competitor in this process and print its line, or null where it has no form of the model."""
    run = importlib.import_module(f"benchmarks.nuts.peers.{args.child}").run
    (model,) = args.models
    measured = run(models.load(model), args.chains, args.warmup, args.draws, args.seed)
    if measured is not None:
        measured = record.line(args.child, model, args.chains, args.warmup, args.draws, args.seed, measured)
    print(json.dumps(measured))


def environment(args, cache):
    """The child's environment: all caches of compiled programs absent or empty, devices as the competitor sets them up."""
    env = {name: value for name, value in os.environ.items() if name not in ("JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS")}
    flags = [flag for flag in (env.get("PYTENSOR_FLAGS"), f"base_compiledir={cache}") if flag]
    return env | {
        "JAX_ENABLE_X64": str(int(args.x64)),
        "PYTENSOR_FLAGS": ",".join(flags),
        "NUMBA_CACHE_DIR": cache,
        "XDG_CACHE_HOME": cache,
    }


def measure(peer, model, seed, args):
    """Run one competitor in a fresh process; its line, or None where there is none (the reason is printed)."""
    python = args.nutpie_python if peer == "nutpie" else sys.executable
    command = [python, "-m", "benchmarks.nuts", "--child", peer, "--models", model]
    for name, value in (("chains", args.chains), ("warmup", args.warmup), ("draws", args.draws), ("seed", seed)):
        command += [f"--{name}", str(value)]
    try:
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                command, cwd=ROOT, env=environment(args, cache), capture_output=True, text=True, timeout=args.timeout
            )
    except subprocess.TimeoutExpired:
        print(f"{model}, {peer}: given up after {args.timeout:.0f} s", file=sys.stderr, flush=True)
        return None
    if done.returncode:
        missing = [line for line in done.stderr.splitlines() if line.startswith("ModuleNotFoundError")]
        why = missing[-1] if missing else f"failed with exit code {done.returncode}\n{done.stderr[-2000:]}"
        print(f"{model}, {peer}: {why}", file=sys.stderr, flush=True)
        return None
    found = json.loads(done.stdout.splitlines()[-1])
    if found is None:
        print(f"{model}, {peer}: has no form of this model", flush=True)
    return found


def errors_apart(one, reference):
    """Root mean square and maximum of the differences of posterior means in Monte Carlo standard errors: about 1, and 3 to 5."""
    error = lambda entry, name: np.asarray(entry["mcse"][name], float)
    apart = []
    for name in one["mean"]:
        combined = np.hypot(error(one, name), error(reference, name))
        off = np.asarray(one["mean"][name]) - np.asarray(reference["mean"][name])
        apart.append(off[combined > 0] / combined[combined > 0])
    apart = np.concatenate(apart)
    return [round(float(np.sqrt(np.mean(apart**2))), 3), round(float(np.abs(apart).max()), 3)]


def trimmed(entry):
    """The line without the moments of long parameters."""
    few = lambda moments: {name: values for name, values in moments.items() if len(values) <= KEPT}
    return entry | {field: few(entry[field]) for field in ("mean", "sd", "mcse")}


def main():
    args = arguments()
    if args.child:
        return child(args)
    session = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    entries = []
    for model in args.models:
        for r in range(args.rounds):
            found = [measure(peer, model, args.seed + 10 * r, args) for peer in args.peers]
            found = [entry for entry in found if entry is not None]
            # NumPyro's, or whatever else is not jaxlatent.
            others = [entry for entry in found if not entry["competitor"].startswith("jaxlatent")]
            for entry in found:
                reference = next((other for other in others if other is not entry), None)
                if reference is not None:
                    entry |= {"errors_apart": errors_apart(entry, reference), "apart_from": reference["competitor"]}
                entry = trimmed(entry) | {"session": session}
                entries.append(entry)
                record.append(args.out, entry)
        if entries and entries[-1]["model"] == model:
            print(f"\n{model}, {args.rounds} round(s), {args.chains} x ({args.warmup} + {args.draws})")
            print(table.text([entry for entry in entries if entry["model"] == model]), flush=True)


if __name__ == "__main__":
    main()
