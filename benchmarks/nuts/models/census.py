"""Census income by education and sex; see `benchmarks.census_models`. 5 to 19 parameters."""

from functools import partial

import jaxlatent as jl
from benchmarks import census_models
from benchmarks.nuts.case import Case
from jaxlatent.demos import census

PARAMETERS = {
    "C1": ("alpha", "bm"),
    "C2": ("alpha", "bm"),
    "C3": ("a", "bm", "sigma", "alpha"),
    "C4": ("a", "b", "sds", "rho", "effects"),
    "C5": ("a", "b", "sds", "rho", "effects"),
}
OWN = {
    "C1": census.pooled,
    "C2": census.no_pooling,
    "C3": census.partial_pooling,
    "C4": partial(census.correlated, jl.centred),
    "C5": partial(census.correlated, jl.noncentred),
}

HEAD = """
data { array[14] int income; array[14] int total; array[14] int edu; vector[14] sex; }
transformed data { array[14] int level; for (n in 1:14) level[n] = edu[n] + 1; }
"""
STAN = {
    "C3": """
parameters { real a; real bm; real<lower=0> sigma; vector[7] alpha; }
model {
  a ~ normal(0, 10);
  bm ~ std_normal();
  sigma ~ cauchy(0, 2);
  alpha ~ normal(a, sigma);
  income ~ binomial_logit(total, alpha[level] + bm * sex);
}
""",
    "C5": """
parameters { real a; real b; vector<lower=0>[2] sds; cholesky_factor_corr[2] L; matrix[7, 2] z; }
transformed parameters {
  real rho = L[2, 1];
  matrix[7, 2] effects = rep_matrix([a, b], 7) + z * diag_pre_multiply(sds, L)';
}
model {
  a ~ normal(0, 10);
  b ~ std_normal();
  sds ~ cauchy(0, 2);
  L ~ lkj_corr_cholesky(2);
  to_vector(z) ~ std_normal();
  income ~ binomial_logit(total, effects[level, 1] + effects[level, 2] .* sex);
}
""",
}


def case(name):
    return Case(
        data=census_models.DATA,
        parameters=PARAMETERS[name],
        jaxlatent=OWN[name],
        numpyro=census_models.NUMPYRO[name],
        informed=census.correlated if name in ("C4", "C5") else None,
        pymc=partial(census_models.pymc_model, name),
        stan=HEAD + STAN[name] if name in STAN else None,
    )
