"""The command line: fit, compare, print a row and append a line for each posterior."""

import argparse
import warnings
from time import perf_counter

import arviz as az
import jax
import numpy as np

import jaxlatent as jl
from benchmarks import measure, posteriordb, record
from benchmarks.posteriordb.curves import CURVES
from benchmarks.posteriordb.data import Reference, load_reference
from benchmarks.posteriordb.populations import POPULATIONS
from benchmarks.posteriordb.regressions import REGRESSIONS
from benchmarks.posteriordb.series import SERIES

POSTERIORS = {**REGRESSIONS, **SERIES, **CURVES, **POPULATIONS}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.posteriordb",
        description=posteriordb.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--posteriors", nargs="+", choices=POSTERIORS, default=list(POSTERIORS), metavar="NAME")
    parser.add_argument("--warmup", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="benchmarks/results/posteriordb.jsonl")
    return parser.parse_args()


def compared(result: jl.Result, reference: Reference) -> dict:
    """The largest differences of means, in combined Monte Carlo errors, and of standard deviations, relative; the least bulk ESS."""
    values = {**result.params, **result.derived}
    draws = np.stack(
        [values[name] if index is None else values[name][..., index] for name, index in reference.names], -1
    )
    own = az.convert_to_dataset({"x": draws})
    mean, sd, mcse = draws.mean((0, 1)), draws.std((0, 1)), az.mcse(own)["x"].values
    off = np.abs(mean - reference.mean) / np.hypot(mcse, reference.mcse)
    ratio = np.abs(sd / reference.sd - 1)
    name, index = reference.names[int(off.argmax())]
    return {
        "off": round(float(off.max()), 2),
        "off at": name if index is None else f"{name}[{index}]",
        "sd off": round(float(ratio.max()), 3),
        "min_ess": round(float(az.ess(own)["x"].values.min())),
        "agrees": bool(off.max() < 4 and ratio.max() < 0.1),
    }


def measured(name: str, sizes: dict[str, int], seed: int) -> dict:
    """Figures of a fit, and how it compares with the reference if there is one."""
    model, data = POSTERIORS[name]()
    reference = load_reference(name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begun = perf_counter()
        result = jl.fit(model, data, jl.NUTS(**sizes), seed, progress=False)
        took = perf_counter() - begun
    return {
        "seconds": round(took, 2),
        "gradients_per_draw": round(float(result.statistics["n_steps"].mean()), 2),
        "divergences": int(result.statistics["diverging"].sum()),
        **({} if reference is None else compared(result, reference)),
        "warnings": [str(one.message) for one in caught],
    }


def main() -> None:
    args = arguments()
    jax.config.update("jax_enable_x64", True)
    sizes = {"chains": 4, "warmup": args.warmup, "draws": args.draws}
    for name in args.posteriors:
        figures = measured(name, sizes, args.seed)
        record.append(args.out, measure.line("posteriordb", name, "jaxlatent", {**sizes, "seed": args.seed}, **figures))
        print(f"{name:44s} {figures}", flush=True)


if __name__ == "__main__":
    main()
