"""Fit with each engine over a grid of datasets, lanes and dimensions, in a process as a user has it: with one device.

    python tests/engine_grid.py [ENGINE]

Without a name: each pair of the numbers 1, 2 and 3 of datasets, lanes and dimensions at least once, the engines taking turns, the first of
them at the shape that once aborted. With one: that engine at all numbers from 1 to 5. XLA's compiler ends the process where it fails, so
each case is printed before it is tried.
"""

import sys
import warnings
from itertools import chain, product, repeat

import jax
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl

STEPS = {"max_iter": 2, "draws": 25}
ENGINES = {
    "NUTS dense": lambda lanes: jl.NUTS(chains=lanes, warmup=25, draws=2, metric="dense"),
    "NUTS diagonal": lambda lanes: jl.NUTS(chains=lanes, warmup=25, draws=2, metric="diag"),
    "NUTS low rank": lambda lanes: jl.NUTS(chains=lanes, warmup=25, draws=2, metric="low_rank", rank=2),
    # Two chains at least.
    "ChEES": lambda lanes: jl.ChEES(chains=max(lanes, 2), warmup=25, draws=2),
    "ADVI mean field": lambda lanes: jl.ADVI(restarts=lanes, **STEPS),
    "ADVI full rank": lambda lanes: jl.ADVI(restarts=lanes, family="full_rank", **STEPS),
    "DADVI": lambda lanes: jl.DADVI(restarts=lanes, **STEPS),
    "Optimize": lambda lanes: jl.Optimize(restarts=lanes, max_iter=2),
    "Laplace": lambda lanes: jl.Laplace(restarts=lanes, **STEPS),
    "Pathfinder": lambda lanes: jl.Pathfinder(paths=lanes, **STEPS),
    "EM": lambda lanes: jl.EM(restarts=lanes, max_iter=2),
}
SIZES = range(1, 6)
FEW = (1, 2, 3)
ABORTED = (3, 2, 3)


def covering():
    """Cases (engine, datasets, lanes, dim, 64 bits): a Latin square holds each pair of sizes."""
    square = ((FEW[i], FEW[j], FEW[(i + j) % len(FEW)]) for i, j in product(range(len(FEW)), repeat=2))
    sizes = chain(repeat(ABORTED, len(ENGINES) - len(FEW) ** 2), square)
    for turn, (engine, size) in enumerate(zip(ENGINES, sizes, strict=True)):
        yield engine, *size, turn // len(FEW) % 2 == 1


def regression(dim):
    """A matrix of each dataset meets a vector of each lane, and a derived quantity is returned twice."""

    def derived(p, d):
        mean = d.x @ p.a
        return {"mean": mean, "again": mean}

    prior = {"a": dist.Normal(0.0, 1.0).expand([dim]).to_event(1)}
    return jl.Model(prior, lambda p, d: {"y": dist.Normal(d.x @ p.a, 1.0)}, derived, key=f"regression {dim}")


def fit(engine, datasets, lanes, dim):
    rng = np.random.default_rng(0)
    if engine == "EM":
        model, one = jl.models.hmm(dim, jl.models.emissions.Gaussian(2)), lambda: {"y": rng.normal(size=(8, 2))}
    else:
        model, one = regression(dim), lambda: {"x": rng.normal(size=(3, dim)), "y": rng.normal(size=3)}
    return jl.fit(model, jl.batch([one() for _ in range(datasets)]), ENGINES[engine](lanes), 0, progress=False)


def main(engine=None):
    warnings.simplefilter("ignore")  # approximations after two iterations
    jax.config.update("jax_disable_most_optimizations", True)
    whole = ((engine, *sizes, x64) for sizes in product(SIZES, SIZES, SIZES) for x64 in (False, True))
    for name, *sizes, x64 in whole if engine else covering():
        print(f"{name}, {'datasets {}, lanes {}, dim {}'.format(*sizes)}, {64 if x64 else 32} bits", flush=True)
        with jax.enable_x64(x64):
            fit(name, *sizes)
        # Compiled programs hold memory maps, of which Linux gives a process 65,530: after 130 fits there were none left.
        jax.clear_caches()
    assert len(jax.devices()) == 1


if __name__ == "__main__":
    main(*sys.argv[1:])
