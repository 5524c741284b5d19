"""NumPyro with `chain_method="vectorized"`: one device, chains advanced together by `vmap`."""

from benchmarks.peers._numpyro import sample


def run(model_name, chains, warmup, draws, seed):
    return sample(model_name, chains, warmup, draws, seed, "vectorized")
