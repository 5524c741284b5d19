"""Part b: 180 sessions, three states, five folds and the whole, beside glmhmmt as its documentation says, in fresh processes.

Both have the same trials, inputs and folds, five random starts and at most 50 iterations of EM, glmhmmt's defaults. Seconds count from the
arrays to the last result, compile time included, imports not.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

SESSIONS, STATES, FOLDS, RESTARTS, ITERATIONS = 180, 3, 5, 5, 50
TARGET = 25.0


def run(peer_python):
    """Lines of both contenders.

    Args:
        peer_python: an interpreter with glmhmmt, which pins another version of JAX.
    """
    from benchmarks.measure import line

    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/trials.npz"
        arrays = trials()
        np.savez(file, **arrays)
        ours = child([sys.executable, "-m", "benchmarks.glmhmm_workload.peers", file])
        theirs = child([peer_python, str(Path(__file__).with_name("fit_by_glmhmmt.py")), file, *map(str, settings())])
    sizes = {"sessions": SESSIONS, "trials": len(arrays["y"]), "states": STATES, "folds": FOLDS}
    sizes |= {"restarts": RESTARTS, "iterations": ITERATIONS}
    lines = []
    for name, found in (("jaxlatent", ours), ("glmhmmt", theirs)):
        ratios = {f"ratio_{clock}": round(found[clock] / ours[clock], 2) for clock in ("wall_s", "cpu_s")}
        lines.append(
            line("b", "180 sessions", name, sizes, **found, **ratios, target=None if found is ours else TARGET)
        )
    return lines


def settings():
    return STATES, FOLDS, RESTARTS, ITERATIONS


def child(command):
    """What a contender prints last, and the load before it began."""
    load = round(os.getloadavg()[0], 2)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "load_before": load}


def trials():
    """Flat arrays: choices ``y``, inputs ``x``, session numbers and their folds, which are those that glmhmmt draws."""
    from jaxlatent.datasets import mice
    from jaxlatent.demos.mice import read

    table = mice(animals=5, sessions=44, missing=0.0, seed=1).table
    data = read(table)
    y, x = data["y"][:SESSIONS], data["x"][:SESSIONS]
    session = np.repeat(np.arange(SESSIONS), [len(one) for one in y])
    fold = np.empty(SESSIONS, int)
    for i, own in enumerate(np.array_split(np.random.default_rng(0).permutation(SESSIONS), FOLDS)):
        fold[own] = i
    return {"y": np.concatenate(y), "x": np.concatenate(x), "session": session, "fold": fold}


def main(file):
    """Fit by jaxlatent, and print what a line needs; ``again`` are seconds of a second fit in the same process, which compiles nothing."""
    import jaxlatent as jl
    from jaxlatent.demos.mice import glm_hmm

    jl.use_cpu_cores()
    arrays = np.load(file)
    begin, before = perf_counter(), spent()
    ends = np.flatnonzero(np.diff(arrays["session"])) + 1
    data = {"y": np.split(arrays["y"], ends), "x": np.split(arrays["x"], ends)}
    engine = jl.EM(restarts=RESTARTS, max_iter=ITERATIONS)
    chosen = jl.select(glm_hmm, [STATES], data, engine, 0, folds=arrays["fold"])
    row = chosen.table.loc[STATES]
    found = {"wall_s": perf_counter() - begin, "cpu_s": spent() - before, "bits": float(row["bits"])}
    begin, before = perf_counter(), spent()
    jl.select(glm_hmm, [STATES], data, engine, 1, folds=arrays["fold"])
    found |= {"again_wall_s": perf_counter() - begin, "again_cpu_s": spent() - before}
    print(json.dumps({**found, "log_likelihood": float(row["log_likelihood"])}))


def spent():
    """Seconds of all cores that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1])
