"""jaxlatent with varying effects in the coordinates that the data ask for (`jl.informed`), where the model has effects."""

from benchmarks.nuts.peers._jaxlatent import measure


def run(case, chains, warmup, draws, seed):
    return None if case.informed is None else measure(case.informed, case, chains, warmup, draws, seed)
