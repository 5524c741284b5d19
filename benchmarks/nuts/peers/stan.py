"""Stan by PyStan 3: its own programs, diagonal metric, a process a chain; float64.

Compilation is `stan.build`: translation and a C++ compiler that optimises. The runner gives it an empty cache folder.
"""

from time import perf_counter

import numpy as np
import stan

from benchmarks.nuts.peers import TARGET_ACCEPT
from benchmarks.record import measurement


def run(case, chains, warmup, draws, seed):
    if case.stan is None:
        return None
    data = {name: np.asarray(value).tolist() for name, value in case.data.items()}
    # PyStan counts seeds from one.
    start = perf_counter()
    model = stan.build(case.stan, data=data, random_seed=seed + 1)
    running = perf_counter()
    own = {} if case.start is None else {"init": [lists(case.start)] * chains}
    fit = model.sample(
        num_chains=chains, num_warmup=warmup, num_samples=draws, save_warmup=True, delta=TARGET_ACCEPT, **own
    )
    by_chain = {name: in_chains(fit[name], chains) for name in (*case.parameters, "n_leapfrog__", "divergent__")}
    parameters = {name: by_chain[name][:, warmup:] for name in case.parameters}
    end = perf_counter()

    return measurement(
        parameters,
        total_s=end - start,
        run_s=end - running,
        compile_by="measured",
        gradients_warmup=np.sum(by_chain["n_leapfrog__"][:, :warmup]),
        gradients_sampling=np.sum(by_chain["n_leapfrog__"][:, warmup:]),
        divergences=np.sum(by_chain["divergent__"][:, warmup:]),
        device="cpu",
    )


def lists(values):
    return {name: np.asarray(value).tolist() for name, value in values.items()}


def in_chains(values, chains):
    """(..., draws times chains), the chain fastest, as (chain, draw, ...); a scalar's first axis is of length one."""
    values = np.moveaxis(values, -1, 0)
    values = np.swapaxes(values.reshape(-1, chains, *values.shape[1:]), 0, 1)
    return values[..., 0] if values.shape[2:] == (1,) else values
