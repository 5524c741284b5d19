"""The study of simulated mice: trials to a file, fits, figures, a page, and what was found beside the truth."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console

from jaxlatent.datasets import INPUTS, Mice, mice
from jaxlatent.demos.mice import Study, study
from jaxlatent.demos.mice_recovery import Recovery, recovery
from jaxlatent.demos.printing import print_table

OUT = Path("runs/mice")


def run(
    out: Path = OUT,
    animals: int = 5,
    sessions: int = 16,
    candidates: Sequence[int] = (2, 3, 4),
    restarts: int = 10,
    seed: int = 0,
    store: bool = False,
    alone: Callable[[int], Sequence[int]] = lambda chosen: (chosen,),
    console: Console | None = None,
) -> tuple[Study, Recovery | None]:
    """Run the whole study; the defaults are a twentieth of that of Ashwood et al. (2022).

    Args:
        out: folder for ``trials.csv``, ``weights.csv``, ``report.html`` and ``figures/*.svg``; created if missing.
        animals, sessions: number of animals, and of sessions of each on average; see `jaxlatent.datasets.mice`.
        candidates: numbers of states.
        restarts: random starts of each fit to all animals.
        seed: of the simulated trials, of folds and starts.
        store: whether to keep the run in ``out/store``, so that the same call goes on after an interruption.
        alone: see `jaxlatent.demos.mice.study`.
        console: where to print.

    Returns:
        The study, and the recovery of the truth; None for the latter where another number of states than the true one is chosen.
    """
    import pandas as pd

    console = console or Console()
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    truth = mice(animals, sessions, seed=seed)
    pd.DataFrame(truth.table).to_csv(out / "trials.csv", index=False)
    table = pd.read_csv(out / "trials.csv")
    trials, missing = len(table), table["choice"].isna().mean()
    console.print(
        f"{out / 'trials.csv'}: {animals} simulated mice, {table['session'].nunique()} sessions, {trials:,} trials, "
        f"{missing:.1%} of them without a choice.",
        highlight=False,
    )
    found = study(table, candidates, restarts, seed, out / "store" if store else None, alone)
    begun = perf_counter()
    console.print(f"\n{found.pooled}", highlight=False, soft_wrap=True)
    recovered = recovery(truth, found) if found.chosen == len(truth.params["weights"]) else None
    _say(console, truth, found, recovered)
    from jaxlatent.demos.mice_figures import draw  # matplotlib is loaded only now

    group, own = (found.group, found.own.best()) if recovered is None else (recovered.group, recovered.own)
    draw(figures, found.pooled, group, own, recovered)
    found.pooled.report(out / "report.html", title=f"Decisions of {animals} simulated mice")
    weights = own.params["weights"]
    names = pd.MultiIndex.from_product([own.names, range(weights.shape[1]), INPUTS], names=["animal", "state", "input"])
    pd.Series(weights.ravel(), names, name="weight").to_csv(out / "weights.csv")
    found.seconds["figures and page"] = perf_counter() - begun
    console.print(
        f"\n{out}/: trials.csv, weights.csv, report.html, figures/\n"
        f"{sum(found.seconds.values()):.0f} s: {', '.join(f'{name} {spent:.1f}' for name, spent in found.seconds.items())}",
        highlight=False,
    )
    return found, recovered


def _say(console: Console, truth: Mice, found: Study, recovered: Recovery | None) -> None:
    """What was found, beside the truth."""
    states, chosen = len(truth.params["weights"]), found.chosen
    if len(found.animals.table) > 1:
        bits = found.animals.table["bits"].to_string()
        said = f"All animals pooled choose {found.pooled.chosen} states"
        console.print(f"\n{said}, animals by themselves {chosen}:\n{bits}", highlight=False)
    if recovered is None:
        console.print(f"\nThe trials have {states} states, and {chosen} were chosen.", highlight=False)
        return
    console.print(f"\nThe trials have {states} states, and so many were chosen.", highlight=False)
    title = "weights of all animals pooled (those of the simulated population)"
    true, pooled = recovered.population
    names = ("0: engaged", "1: biased to the left", "2: biased to the right")
    rows = [
        [name, *(f"{a:.2f} ({b:.1f})" for a, b in zip(own, other, strict=True))]
        for name, own, other in zip(names, pooled, true, strict=True)
    ]
    print_table(console, title, ["state", *INPUTS], rows, "italic")
    error = np.sqrt(np.mean((recovered.animals[1] - recovered.animals[0]) ** 2, 0))
    # The pooled weights in place of those of each animal.
    shared = np.sqrt(np.mean((recovered.animals[0] - recovered.population[1]) ** 2, 0))
    totals, together = found.animals.validations[chosen].total, found.pooled.validations[chosen].total
    per_nat = 1 / np.log(2)
    console.print(
        f"\nEach animal by itself: its weights are {error.mean():.2f} from its true ones on average over states and inputs, those of all "
        f"animals pooled {shared.mean():.2f}. Fitted and true deviations from the population correlate by {recovered.correlation:.2f}.\n"
        f"{recovered.decoded:.0%} of the trials are decoded to their true state.\n"
        f"Held-out sessions: {together.nats * per_nat:.4f} bits for each choice by all animals pooled, {totals.nats * per_nat:.4f} by each "
        "animal alone, from starts where the pooled fit ended (as in the paper; the pooled fit saw the held-out sessions, these did not).",
        highlight=False,
    )
