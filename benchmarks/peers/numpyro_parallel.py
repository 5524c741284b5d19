"""NumPyro with `chain_method="parallel"`: one host device a chain, as users set it up on a CPU."""

import numpyro

from benchmarks.peers._numpyro import sample


def run(model_name, chains, warmup, draws, seed):
    numpyro.set_host_device_count(chains)
    return sample(model_name, chains, warmup, draws, seed, "parallel")
