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


def case(name):
    return Case(
        data=census_models.DATA,
        parameters=PARAMETERS[name],
        jaxlatent=OWN[name],
        numpyro=census_models.NUMPYRO[name],
        informed=census.correlated if name in ("C4", "C5") else None,
        pymc=partial(census_models.pymc_model, name),
    )
