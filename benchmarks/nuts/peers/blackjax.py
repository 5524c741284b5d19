"""BlackJAX NUTS: window adaptation and a scan of draws for one chain, `jit(vmap)` over chains.

The log density is NumPyro's potential function of the same model, its start NumPyro's. Compilation
is a step of its own (`lower().compile()`); what comes before and after it, finding the starts and constraining the
draws, belongs to the compile time and to the run respectively, with the constraining map compiled beforehand.
"""

from functools import partial
from time import perf_counter

import blackjax
import jax
import numpy as np
from numpyro.infer.util import initialize_model

from benchmarks.nuts.peers import TARGET_ACCEPT
from benchmarks.nuts.peers._numpyro import start_of
from benchmarks.record import measurement


def run(case, chains, warmup, draws, seed):
    jax.devices()
    start = perf_counter()
    init_key, chain_key = jax.random.split(jax.random.PRNGKey(seed))
    keys = jax.random.split(init_key, chains)
    model = initialize_model(keys, case.numpyro, init_strategy=start_of(case), model_kwargs=case.data)

    def sample(keys, positions):
        one_chain = partial(_chain, lambda z: -model.potential_fn(z), warmup, draws)
        positions, warmup_steps, steps, divergent = jax.vmap(one_chain)(keys, positions)
        params = jax.vmap(jax.vmap(model.postprocess_fn))(positions)
        return {name: params[name] for name in case.parameters}, warmup_steps, steps, divergent

    arguments = jax.random.split(chain_key, chains), model.param_info.z
    compiled = jax.jit(sample).lower(*arguments).compile()
    running = perf_counter()
    parameters, warmup_steps, steps, divergent = jax.device_get(compiled(*arguments))
    end = perf_counter()

    return measurement(
        parameters,
        total_s=end - start,
        run_s=end - running,
        compile_by="measured",
        gradients_warmup=np.sum(warmup_steps),
        gradients_sampling=np.sum(steps),
        divergences=np.sum(divergent),
        device=jax.default_backend(),
    )


def _chain(log_density, warmup, draws, key, position):
    """Warm-up and draws of one chain: positions, leapfrog steps of both parts, divergences."""
    warmup_key, draw_key = jax.random.split(key)
    adaptation = blackjax.window_adaptation(blackjax.nuts, log_density, target_acceptance_rate=TARGET_ACCEPT)
    (state, parameters), adapted = adaptation.run(warmup_key, position, warmup)
    kernel = blackjax.nuts(log_density, **parameters)

    def draw(state, key):
        state, info = kernel.step(key, state)
        return state, (state.position, info.num_integration_steps, info.is_divergent)

    _, (positions, steps, divergent) = jax.lax.scan(draw, state, jax.random.split(draw_key, draws))
    return positions, adapted.info.num_integration_steps, steps, divergent
