"""The study that users of GLM-HMMs run: 37 mice, 2 to 5 states, 5 folds, 20 starts, then each animal by itself.

Compile time, figures and the page are included. It is one run of minutes, and so is not repeated. With ``--store`` a run that was
interrupted goes on where it was; its seconds are then those of the last part.
"""

import argparse
import resource
from pathlib import Path

import numpy as np

import jaxlatent as jl
from benchmarks import record
from benchmarks.glmhmm_workload import peers
from benchmarks.glmhmm_workload.peers import spent
from benchmarks.measure import line

ANIMALS, SESSIONS, STATES, RESTARTS = 37, 44, (2, 3, 4, 5), 20


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.glmhmm_workload", description=__doc__)
    parser.add_argument("--animals", type=int, default=ANIMALS)
    parser.add_argument("--sessions", type=int, default=SESSIONS, help="of an animal, on average")
    parser.add_argument("--states", type=int, nargs="+", default=STATES)
    parser.add_argument("--restarts", type=int, default=RESTARTS)
    parser.add_argument("--cores", type=int, default=2, help="CPU devices that JAX sees")
    parser.add_argument("--folder", type=Path, default=Path("runs/glmhmm_workload"))
    parser.add_argument("--store", action="store_true", help="keep the run in the folder")
    parser.add_argument("--peers", action="store_true", help="instead, 180 sessions beside glmhmmt")
    parser.add_argument("--peer-python", default="python", help="an interpreter with glmhmmt, which needs another JAX")
    parser.add_argument("--out", default="benchmarks/results/glmhmm_workload.jsonl")
    args = parser.parse_args()
    jl.use_cpu_cores(args.cores)
    found = peers.run(args.peer_python) if args.peers else [workload(args)]
    for one in found:
        record.append(args.out, one)
        print({name: value for name, value in one.items() if name not in ("versions", "hardware")}, flush=True)


def workload(args):
    from jaxlatent.demos.mice_run import run

    before = spent()
    study, recovered = run(
        args.folder, args.animals, args.sessions, args.states, args.restarts, 0, args.store, lambda chosen: args.states
    )
    table = study.pooled.table
    fits = study.pooled.validations, study.animals.validations
    facts = {
        "fits": [sum(one.result.status.size for one in stage.values()) for stage in fits],
        "seconds": {name: round(value, 1) for name, value in study.seconds.items()},
        "total_s": round(sum(study.seconds.values()), 1),
        "cpu_s": round(spent() - before, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "timings": [{str(k): rounded(one.result.provenance.timings) for k, one in stage.items()} for stage in fits],
        "iterations": {str(k): float(one.result.statistics["n_steps"].mean()) for k, one in fits[0].items()},
        "chosen_pooled": int(study.pooled.chosen),
        "chosen": study.chosen,
        "bits": [
            {str(k): round(float(v), 5) for k, v in one.table["bits"].items()} for one in (study.pooled, study.animals)
        ],
        "agreed": {str(k): int(v) for k, v in table["agreed"].items()},
    }
    if recovered is not None:
        true, fitted = recovered.animals
        facts |= {
            "population_error": round(float(np.abs(recovered.population[1] - recovered.population[0]).max()), 3),
            "animal_rms_error": round(float(np.sqrt(np.mean((fitted - true) ** 2))), 3),
            "deviation_correlation": round(recovered.correlation, 3),
            "decoded": round(recovered.decoded, 3),
        }
    sizes = {name: getattr(args, name) for name in ("animals", "sessions", "restarts")} | {"states": list(args.states)}
    return line("a", "mice by GLM-HMMs", "jaxlatent", sizes, **facts)


def rounded(timings):
    return {name: round(value, 1) for name, value in timings.items()}


main()
