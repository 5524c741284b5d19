"""jaxlatent in the coordinates of the others."""

from benchmarks.nuts.peers._jaxlatent import measure


def run(case, chains, warmup, draws, seed):
    return measure(case.jaxlatent, case, chains, warmup, draws, seed)
