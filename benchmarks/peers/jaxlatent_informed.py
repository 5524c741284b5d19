"""jaxlatent as a user gets it by default: varying effects in the coordinates that the data ask for (`jl.informed`)."""

import jaxlatent as jl
from benchmarks.peers._jaxlatent import measure


def run(model_name, chains, warmup, draws, seed):
    return measure(model_name, jl.informed, chains, warmup, draws, seed)
