"""NumPyro with `chain_method="vectorized"`: one device, chains advanced together by `vmap`."""

from benchmarks.nuts.peers._numpyro import sample


def run(case, chains, warmup, draws, seed):
    return sample(case, chains, warmup, draws, seed, "vectorized")
