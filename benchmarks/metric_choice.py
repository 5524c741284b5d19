"""What the choice of the metric of NUTS costs: gradients a draw, effective draws and divergences, by metric.

    POSTERIORDB=PATH python -m benchmarks.metric_choice --label after --seeds 4

Each posterior of `benchmarks.posteriordb.regressions` and `benchmarks.bent_posteriors` is fitted as a batch of equal datasets, each with
keys of its own; one JSON line a posterior and metric goes to --out, with a list over datasets.
"""

import argparse

import numpy as np

import jaxlatent as jl
from benchmarks import measure, record
from benchmarks.bent_posteriors import BENT
from benchmarks.posteriordb.regressions import REGRESSIONS
from jaxlatent.diagnostics import ess_bulk

POSTERIORS = {**REGRESSIONS, **BENT}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metric_choice", description="The choice of the metric.")
    parser.add_argument("--label", required=True, help="of the code that is measured, such as 'before'")
    parser.add_argument("--metrics", nargs="+", default=["auto", "dense", "diag"])
    parser.add_argument("--posteriors", nargs="+", choices=POSTERIORS, default=list(POSTERIORS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=4, help="equal datasets in a batch")
    parser.add_argument("--warmup", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", default="benchmarks/results/metric_choice.jsonl")
    return parser.parse_args()


def measured(name: str, metric: str, seeds: int, warmup: int, draws: int) -> dict:
    """Figures of a fit, a list over the equal datasets each."""
    model, data = POSTERIORS[name]()
    engine = jl.NUTS(chains=4, warmup=warmup, draws=draws, metric=metric)
    result = jl.fit(model, jl.batch([data] * seeds), engine, seed=0)
    statistics = result.statistics
    ess = [float(np.nanmin(np.asarray(ess_bulk(one.astype(float))))) for one in result.positions]
    figures = {
        "gradients_per_draw": statistics["n_steps"].mean((1, 2)).round(2).tolist(),
        "min_ess": np.round(ess).astype(int).tolist(),
        "divergences": statistics["diverging"].sum((1, 2)).tolist(),
        "x64": result.positions.dtype == np.float64,
    }
    if "curvature_ratio" in statistics:
        figures["curvature_ratio"] = statistics["curvature_ratio"][:, 0].astype(float).round(2).tolist()
        figures["diagonal"] = statistics["diagonal_metric"][:, 0].tolist()
    return figures


def main() -> None:
    args = arguments()
    for name in args.posteriors:
        for metric in args.metrics:
            figures = measured(name, metric, args.seeds, args.warmup, args.draws)
            sizes = {"chains": 4, "warmup": args.warmup, "draws": args.draws, "seeds": args.seeds}
            record.append(args.out, measure.line("metric choice", name, metric, sizes, label=args.label, **figures))
            print(f"{name:28s} {args.label} {metric:6s} {figures}", flush=True)


if __name__ == "__main__":
    main()
