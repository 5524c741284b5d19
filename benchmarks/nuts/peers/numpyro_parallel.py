"""NumPyro with `chain_method="parallel"`: one host device a chain, as users set it up on a CPU."""

import numpyro

from benchmarks.nuts.peers._numpyro import sample


def run(case, chains, warmup, draws, seed):
    numpyro.set_host_device_count(chains)
    return sample(case, chains, warmup, draws, seed, "parallel")
