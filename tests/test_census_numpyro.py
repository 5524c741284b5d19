"""All five census models agree with NumPyro's NUTS on the same model, within Monte Carlo error."""

import jax
import numpy as np
import pytest
from monte_carlo import check_same
from often import often

import jaxlatent as jl
from benchmarks.census_models import DATA, NUMPYRO
from jaxlatent.demos import census

MODELS = {
    "C1": census.pooled(),
    "C2": census.no_pooling(),
    "C3": census.partial_pooling(),
    "C4": census.correlated(jl.informed),
    "C5": census.correlated(jl.informed),
}


@pytest.mark.parametrize("name", often(MODELS, set()))
def test_same_posterior_as_numpyro(name):
    from numpyro.infer import MCMC, NUTS

    result = jl.fit(MODELS[name], DATA, jl.NUTS(target_accept=0.95), seed=1)
    sampler = MCMC(NUTS(NUMPYRO["C5" if name == "C4" else name], target_accept_prob=0.95), num_warmup=1000, num_samples=1000,
                   num_chains=4, chain_method="vectorized", progress_bar=False)  # fmt: skip
    sampler.run(jax.random.key(2), **DATA)
    other = sampler.get_samples(group_by_chain=True)
    shared = [parameter for parameter in result.params if parameter in other]
    assert {"C1": 2, "C2": 2, "C3": 4}.get(name, 4) <= len(shared)
    for parameter in shared:
        check_same(result.params[parameter], np.asarray(other[parameter]))
