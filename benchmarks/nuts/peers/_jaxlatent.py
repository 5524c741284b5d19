"""What the two jaxlatent rows share: a cold fit, and a second one with another seed."""

from time import perf_counter

import jax

import jaxlatent as jl
from benchmarks.nuts.peers import TARGET_ACCEPT
from benchmarks.record import measurement


def measure(make, case, chains, warmup, draws, seed):
    """A cold fit of the model that ``make()`` makes."""
    jl.use_cpu_cores()
    jax.devices()
    engine = jl.NUTS(chains=chains, warmup=warmup, draws=draws, target_accept=TARGET_ACCEPT)
    start = perf_counter()
    model = make()
    result = jl.fit(model, case.data, engine, seed, init=case.start, progress=False)
    parameters = {name: {**result.params, **result.derived}[name] for name in case.parameters}
    end = perf_counter()
    jl.fit(model, case.data, engine, seed + 1, init=case.start, progress=False)
    again = perf_counter()
    return measurement(
        parameters,
        total_s=end - start,
        run_s=result.provenance.timings["warmup"] + result.provenance.timings["sampling"],
        compile_by="measured",
        again_s=again - end,
        gradients_sampling=result.statistics["n_steps"].sum(),
        divergences=result.statistics["diverging"].sum(),
        device=jax.default_backend(),
    )
