"""jaxlatent in the coordinates of the other peers: C4 centred, C5 non-centred."""

import jaxlatent as jl
from benchmarks.peers._jaxlatent import measure


def run(model_name, chains, warmup, draws, seed):
    return measure(model_name, jl.centred if model_name == "C4" else jl.noncentred, chains, warmup, draws, seed)
