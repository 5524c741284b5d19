"""What the two jaxlatent rows share: a cold fit, and a second one with another seed."""

from time import perf_counter

import jax
import numpy as np

import jaxlatent as jl
from benchmarks.census_models import DATA, PARAMETERS
from benchmarks.peers import TARGET_ACCEPT
from benchmarks.record import measurement
from jaxlatent.demos import census


def measure(model_name, centring, chains, warmup, draws, seed):
    """A cold fit of a census model; `centring` is that of the varying effects of C4 and C5."""
    jl.use_cpu_cores()
    jax.devices()
    families = {"C1": census.pooled, "C2": census.no_pooling, "C3": census.partial_pooling}
    engine = jl.NUTS(chains=chains, warmup=warmup, draws=draws, target_accept=TARGET_ACCEPT)
    start = perf_counter()
    model = families[model_name]() if model_name in families else census.correlated(centring)
    result = jl.fit(model, DATA, engine, seed, progress=False)
    end = perf_counter()
    jl.fit(model, DATA, engine, seed + 1, progress=False)
    again = perf_counter()
    return measurement(
        {name: _parameter(result, name) for name in PARAMETERS[model_name]},
        total_s=end - start,
        run_s=result.provenance.timings["warmup"] + result.provenance.timings["sampling"],
        compile_by="measured",
        again_s=again - end,
        gradients_sampling=result.statistics["n_steps"].sum(),
        divergences=result.statistics["diverging"].sum(),
        device=jax.default_backend(),
    )


def _parameter(result, name):
    """Free parameters under the peers' names: rho is derived, z the effects without mean and scale."""
    if name == "rho":
        return result.derived["rho"]
    if name == "z":
        params = result.params
        centred = params["effects"] - np.stack([params["a"], params["b"]], -1)[:, :, None]
        scale = params["sds"][..., None] * params["corr_chol"]
        return np.swapaxes(np.linalg.solve(scale, np.swapaxes(centred, -1, -2)), -1, -2)
    return result.params[name]
