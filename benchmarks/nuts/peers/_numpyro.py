"""NumPyro's own NUTS, shared by the two ways of running chains; and where it starts."""

from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import MCMC, NUTS, init_to_uniform, init_to_value

from benchmarks.nuts.peers import TARGET_ACCEPT
from benchmarks.nuts.peers._compile_clock import compile_clock
from benchmarks.record import measurement


def start_of(case):
    """NumPyro's strategy: its default, or the values of the case."""
    if case.start is None:
        return init_to_uniform()
    dtype = jnp.result_type(float)
    return init_to_value(values={name: jnp.asarray(value, dtype) for name, value in case.start.items()})


def sample(case, chains, warmup, draws, seed, chain_method):
    """One `MCMC.run` as users write it, cold; the same object again with the next seed.

    NumPyro 0.22 on JAX 0.10 compiles its sampling loop anew at each `MCMC.run`, also of the same object with the
    same data, so the second run is not a warm one and cannot separate compilation: JAX's compile events do
    (`compile_clock`), and the second run is recorded as `again_s`. The cold run's warm-up gradients are counted
    afterwards, off the clock, by repeating its warm-up from the same key. Gradients of the search for the initial
    step size are not counted.
    """
    jax.devices()
    with compile_clock() as compiling:
        start = perf_counter()
        mcmc = MCMC(
            NUTS(case.numpyro, target_accept_prob=TARGET_ACCEPT, init_strategy=start_of(case)),
            num_warmup=warmup,
            num_samples=draws,
            num_chains=chains,
            chain_method=chain_method,
            progress_bar=False,
        )
        parameters, extra = _draws(mcmc, case, seed)
        total_s = perf_counter() - start

    start = perf_counter()
    _draws(mcmc, case, seed + 1)
    again_s = perf_counter() - start

    mcmc.warmup(jax.random.PRNGKey(seed), **case.data, extra_fields=("num_steps",), collect_warmup=True)
    return measurement(
        parameters,
        total_s=total_s,
        run_s=total_s - compiling[0],
        compile_by="measured",
        again_s=again_s,
        gradients_warmup=np.sum(mcmc.get_extra_fields()["num_steps"]),
        gradients_sampling=np.sum(extra["num_steps"]),
        divergences=np.sum(extra["diverging"]),
        device=jax.default_backend(),
    )


def _draws(mcmc, case, seed):
    mcmc.run(jax.random.PRNGKey(seed), **case.data, extra_fields=("num_steps", "diverging"))
    samples = mcmc.get_samples(group_by_chain=True)
    parameters = {name: samples[name] for name in case.parameters}
    return jax.device_get((parameters, mcmc.get_extra_fields()))
