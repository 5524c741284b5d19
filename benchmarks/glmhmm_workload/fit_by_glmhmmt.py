"""Fit the trials of `benchmarks.glmhmm_workload.peers` by glmhmmt; a script for an interpreter of its own, which needs nothing else."""

import json
import math
import resource
import sys
from importlib.metadata import version
from time import perf_counter

import numpy as np
from glmhmmt import fit_glmhmm


def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


file, *settings = sys.argv[1:]
states, folds, restarts, iterations = map(int, settings)
arrays = np.load(file)
begin, before = perf_counter(), spent()
fit = fit_glmhmm(
    y=arrays["y"],
    X=arrays["x"],
    session_ids=arrays["session"],
    num_states=states,
    num_classes=2,
    num_iters=iterations,
    n_restarts=restarts,
    cv_folds=folds,
    seed=0,
    verbose=False,
)
found = {"wall_s": perf_counter() - begin, "cpu_s": spent() - before}
held = sum(one.test_log_likelihood_per_trial * one.test_trial_count for one in fit.cv_metrics)
found["bits"] = held / sum(one.test_trial_count for one in fit.cv_metrics) / math.log(2)
found["log_likelihood"] = fit.raw_log_likelihood
found["peer_versions"] = {name: version(name) for name in ("glmhmmt", "jax", "jaxlib", "dynamax")}
print(json.dumps(found))
