"""The census analysis: fit the five models by NUTS, MAP and ADVI, print tables, write figures and draws."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from rich.console import Console

import jaxlatent as jl
from jaxlatent.datasets import Dataset, census_income
from jaxlatent.demos import census, census_tables
from jaxlatent.demos.census import Fits
from jaxlatent.engines.base import Engine

CENTRINGS = {"informed": jl.informed, "noncentred": jl.noncentred, "centred": jl.centred}


class Clock:
    """Seconds by part of the analysis."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Add the time spent inside to ``part``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start


def run(
    out: Path = Path("runs/census"),
    chains: int = 4,
    warmup: int = 1000,
    draws: int = 1000,
    seed: int = 0,
    centring: str = "informed",
    console: Console | None = None,
) -> dict[str, Fits]:
    """Run the whole analysis.

    Args:
        out: directory for ``figures/*.svg``, ``draws/*.nc`` and ``summary.csv``; created if missing.
        chains: of NUTS.
        warmup: warm-up transitions per chain.
        draws: kept transitions per chain.
        seed: of all random numbers.
        centring: of the fifth model's effects, one of `CENTRINGS`.
        console: where to print.

    Returns:
        The fits by model, "C1" to "C5".
    """
    console = console or Console()
    clock = Clock()
    dataset = census_income()
    models = {
        "C1": census.pooled(),
        "C2": census.no_pooling(),
        "C3": census.partial_pooling(),
        "C4": census.correlated(jl.centred),
        "C5": census.correlated(CENTRINGS[centring]),
    }
    nuts = jl.NUTS(chains=chains, warmup=warmup, draws=draws, target_accept=0.9)
    fits, summaries, criteria = {}, {}, {}
    for name, model in models.items():
        fits[name] = _fit(model, dataset, nuts, seed, clock)
        with clock("summaries, WAIC, LOO"):
            summaries[name] = fits[name].nuts.summary()
            criteria[name] = fits[name].nuts.waic(), fits[name].nuts.loo()
        census_tables.model(console, f"{name} {model.name}", fits[name], summaries[name])
    for kind in range(2):
        compared = jl.compare({name: both[kind] for name, both in criteria.items()}, seed)
        census_tables.comparison(console, compared, models)

    pooled = fits["C3"].nuts
    with clock("predictions"):
        predicted = pooled.predict(seed)["income"]
    with clock("questions"):
        census_tables.correlations(console, pooled, "alpha")
        census_tables.geweke(console, pooled, "alpha")
        census_tables.questions(console, fits, summaries, predicted)

    figures, files = out / "figures", out / "draws"
    figures.mkdir(parents=True, exist_ok=True)
    files.mkdir(parents=True, exist_ok=True)
    with clock("figures"):
        from jaxlatent.demos.census_figures import draw  # matplotlib is loaded only now

        written = draw(figures, fits, dataset, predicted, seed)
    with clock("files"):
        for name, one in fits.items():
            path = files / f"{name}.nc"
            one.nuts.to_arviz(predictions=seed if name == "C3" else None).to_netcdf(str(path))
            written.append(path)
        pd.concat(summaries, names=["model", "parameter"]).to_csv(out / "summary.csv")
        written.append(out / "summary.csv")
    census_tables.closing(console, written, clock.seconds)
    return fits


def _fit(model: jl.Model, dataset: Dataset, nuts: jl.NUTS, seed: int, clock: Clock) -> Fits:
    used = {dim for dims in model.dims.values() for dim in dims}
    coords = {dim: labels for dim, labels in {**dataset.coords, "effect": census.EFFECTS}.items() if dim in used}
    # The same number of lanes in each engine, to share the compiled search for starts.
    engines: dict[str, Engine] = {
        "NUTS": nuts,
        "MAP": jl.Optimize(restarts=nuts.chains, standard_errors=False),
        "ADVI": jl.ADVI(family="full_rank", restarts=nuts.chains),
    }
    fitted = []
    for name, engine in engines.items():
        with clock(name), warnings.catch_warnings():
            # The tables show k-hat.
            warnings.filterwarnings("ignore", message=".*k-hat")
            fitted.append(jl.fit(model, dataset.data, engine, seed, coords=coords))
    return Fits(*fitted)
