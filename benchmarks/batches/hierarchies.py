"""Part e: two hundred hierarchical regressions of unequal length by NUTS in one call, against a loop over NumPyro's MCMC."""

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS
from numpyro.infer.reparam import LocScaleReparam

import jaxlatent as jl
from benchmarks.measure import alternate, called, entries

DATASETS, GROUPS, LEAST, MOST = 200, 8, 20, 200
ENGINE = jl.NUTS(chains=4, warmup=300, draws=300)
SIZES = {
    "datasets": DATASETS,
    "groups": GROUPS,
    "rows": f"{LEAST} to {MOST}",
    "chains": ENGINE.chains,
    "warmup": ENGINE.warmup,
    "draws": ENGINE.draws,
}
#: How many datasets the loops over NumPyro go through in a turn. `MCMC.run` compiles at each call, so what is to be compiled once is
#: inside a `jax.jit`.
COMPILED_ONCE, ANEW = 10, 1
NAMES = ("mu", "tau", "effects", "slope", "sigma")

MODEL = jl.Model(
    {
        "mu": dist.Normal(0.0, 5.0),
        "tau": dist.HalfNormal(2.0),
        "effects": lambda p: jl.noncentred(dist.Normal(p.mu, p.tau).expand([GROUPS]).to_event(1)),
        "slope": dist.Normal(0.0, 2.0),
        "sigma": dist.HalfNormal(2.0),
    },
    lambda p, d: {"y": dist.Normal(p.effects[d.g] + p.slope * d.x, p.sigma)},
    row_wise=True,
)


@numpyro.handlers.reparam(config={"effects": LocScaleReparam(0.0)})
def numpyro_model(g, x, y, mask=None):
    """The same model, its effects non-centred as well."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfNormal(2.0))
    with numpyro.plate("groups", GROUPS):
        effects = numpyro.sample("effects", dist.Normal(mu, tau))
    slope = numpyro.sample("slope", dist.Normal(0.0, 2.0))
    sigma = numpyro.sample("sigma", dist.HalfNormal(2.0))
    fit = dist.Normal(effects[g] + slope * x, sigma)
    numpyro.sample("y", fit if mask is None else fit.mask(mask), obs=y)


def run(rounds):
    rows = np.random.default_rng(1).integers(LEAST, MOST + 1, DATASETS)
    datasets = [dataset(seed, count) for seed, count in enumerate(rows)]
    batch, once = jl.batch(datasets), jax.jit(sampled)
    contenders = [
        called("jaxlatent", lambda: kept(jl.fit(MODEL, batch, ENGINE, 0, progress=False)), per=DATASETS),
        called(
            "NumPyro, padded, compiled once",
            lambda: [jax.device_get(once(padded(data))) for data in datasets[:COMPILED_ONCE]],
            per=COMPILED_ONCE,
            target=20.0,
        ),
        called(
            "NumPyro, each its own shape",
            lambda: [jax.device_get(sampled(data)) for data in datasets[:ANEW]],
            per=ANEW,
            target=20.0,
        ),
    ]
    ours, *theirs = (one.result for one in contenders)
    ours = [{name: value[i] for name, value in ours.items()} for i in range(COMPILED_ONCE)]
    for one, result in zip(contenders, (ours, *theirs), strict=True):
        one.facts = {"datasets_a_turn": one.per, **quality(result), "errors_apart": errors_apart(ours, result)}
        one.result = None
    contenders[0].facts["errors_apart"] = None
    times = alternate(contenders, rounds)
    return entries("e", "hierarchical regressions by NUTS", SIZES, contenders, times, "ms a dataset")


def dataset(seed, rows):
    """``rows`` responses in groups, some of which may be empty."""
    rng = np.random.default_rng(seed)
    g, x = rng.integers(GROUPS, size=rows), rng.normal(size=rows)
    y = rng.normal(1.0, 1.0, GROUPS)[g] + rng.normal() * x + rng.normal(size=rows)
    return {"g": g, "x": x.astype(np.float32), "y": y.astype(np.float32)}


def padded(data):
    """The dataset with `MOST` rows, the last of them masked."""
    more = MOST - len(data["y"])
    return {name: np.pad(value, (0, more)) for name, value in data.items()} | {"mask": np.arange(MOST) < MOST - more}


def sampled(data):
    """NumPyro's named draws, ``(chain, draw, ...)``."""
    mcmc = MCMC(
        NUTS(numpyro_model),
        num_warmup=ENGINE.warmup,
        num_samples=ENGINE.draws,
        num_chains=ENGINE.chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    mcmc.run(jax.random.PRNGKey(0), **{name: jnp.asarray(value) for name, value in data.items()})
    draws = mcmc.get_samples(group_by_chain=True)
    return {name: draws[name] for name in NAMES}


def kept(result):
    """Named draws on the host, `(dataset, chain, draw, ...)`."""
    return {name: np.asarray(result.params[name]) for name in NAMES}


def quality(results):
    """The smallest bulk ESS of a dataset, on average and of all, and the largest R-hat."""
    smallest, largest = [], []
    for draws in map(az.convert_to_dataset, results):
        smallest.append(min(float(value.min()) for value in az.ess(draws).values()))
        largest.append(max(float(value.max()) for value in az.rhat(draws).values()))
    return {
        "mean_min_ess_bulk": round(float(np.mean(smallest)), 1),
        "least_ess_bulk": round(min(smallest), 1),
        "max_rhat": round(max(largest), 4),
    }


def errors_apart(ours, theirs):
    """Root mean square and maximum of the differences of posterior means in Monte Carlo standard errors: about 1, and 3 to 4."""
    apart = []
    for pair in zip(ours, theirs, strict=False):
        a, b = (az.convert_to_dataset(draws) for draws in pair)
        error = np.hypot(az.mcse(a), az.mcse(b))
        off = (a.mean(("chain", "draw")) - b.mean(("chain", "draw"))) / error
        apart += [np.ravel(off[name]) for name in NAMES]
    apart = np.concatenate(apart)
    return [round(float(np.sqrt(np.mean(apart**2))), 3), round(float(np.abs(apart).max()), 3)]
