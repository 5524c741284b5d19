"""nutpie on the PyMC model, Numba backend, default (diagonal) mass matrix; float64, chains in threads.

Compilation is `compile_pymc_model` together with the building of the PyMC graph, the run is `nutpie.sample`.
The runner gives PyTensor and Numba empty cache folders, so compilation is cold like that of the others.
"""

from time import perf_counter

import numpy as np
import nutpie

from benchmarks.nuts.peers import TARGET_ACCEPT
from benchmarks.record import measurement


def run(case, chains, warmup, draws, seed):
    if case.pymc is None:
        return None
    import pymc  # noqa: F401  # import time stays outside the clock

    start = perf_counter()
    compiled = nutpie.compile_pymc_model(case.pymc())
    running = perf_counter()
    trace = nutpie.sample(
        compiled,
        chains=chains,
        tune=warmup,
        draws=draws,
        target_accept=TARGET_ACCEPT,
        seed=seed,
        progress_bar=False,
    )
    parameters = {name: np.asarray(trace.posterior[name]) for name in case.parameters}
    end = perf_counter()

    return measurement(
        parameters,
        total_s=end - start,
        run_s=end - running,
        compile_by="measured",
        gradients_warmup=np.sum(trace.warmup_sample_stats["n_steps"].values),
        gradients_sampling=np.sum(trace.sample_stats["n_steps"].values),
        divergences=np.sum(trace.sample_stats["diverging"].values),
        device="cpu",
    )
