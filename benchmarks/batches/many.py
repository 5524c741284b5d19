"""Part c: ten thousand conjugate regressions by NUTS in one call, against the closed form."""

import resource

import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from benchmarks.measure import alternate, called, entries

DATASETS, ROWS, COLUMNS = 10_000, 100, 5
MODEL = jl.Model(
    {"b": dist.Normal(0.0, 1.0).expand([COLUMNS]).to_event(1)},
    lambda p, d: {"y": dist.Normal(d.x @ p.b, 1.0)},
    row_wise=True,
)
ENGINE = jl.NUTS(chains=2, warmup=200, draws=200)


def run(rounds):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(DATASETS, ROWS, COLUMNS))
    y = np.einsum("nij,nj->ni", x, rng.normal(size=(DATASETS, COLUMNS))) + rng.normal(size=(DATASETS, ROWS))
    data = jl.Batch({"y": y.astype(np.float32), "x": x.astype(np.float32)}, tuple(range(DATASETS)))
    one = called("jaxlatent", lambda: jl.fit(MODEL, data, ENGINE, 0, segment=200).params["b"], per=DATASETS / 1000)
    seconds = alternate([one], rounds)
    covariance = np.linalg.inv(np.einsum("nij,nik->njk", x, x) + np.eye(COLUMNS))
    exact = np.einsum("njk,nk->nj", covariance, np.einsum("nij,ni->nj", x, y))
    spread = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    apart = (one.result.mean((1, 2)) - exact) / spread
    one.facts |= {
        # In posterior standard deviations: of 400 draws as if independent, 0.05.
        "rms_error": round(float(np.sqrt((apart**2).mean())), 4),
        "max_error": round(float(np.abs(apart).max()), 4),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "plan": str(jl.plan(MODEL, data, ENGINE, segment=200)),
    }
    sizes = {"datasets": DATASETS, "rows": ROWS, "columns": COLUMNS, "chains": 2, "draws": ENGINE.draws}
    return entries("c", "conjugate regressions by NUTS", sizes, [one], seconds, unit="a thousand datasets")
