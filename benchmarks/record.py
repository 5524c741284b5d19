"""What a benchmark writes down: one JSON line a run, with everything needed to judge or repeat it.

Effective sample sizes are rank-normalised bulk and tail ESS and R-hat is the rank-normalised split R-hat, all ArviZ's,
over every scalar of the model's named parameters in constrained space; the worst one counts.
"""

import datetime
import json
import os
import platform
import resource
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

from jaxlatent.execute.devices import cpu_cores

PACKAGES = (
    "jaxlatent",
    "jax",
    "jaxlib",
    "numpyro",
    "blackjax",
    "optax",
    "flax",
    "dynamax",
    "hmmlearn",
    "torch",
    "nutpie",
    "pystan",
    "httpstan",
    "pymc",
    "pytensor",
    "numba",
    "arviz",
    "arviz-stats",
    "numpy",
)


def versions():
    """Installed versions of Python and of the packages that can matter, in the interpreter that ran."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware():
    """CPU model and the cores that this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    return {"cpu": cpu, "cores": cpu_cores()}


def diagnose(parameters):
    """ESS, R-hat and posterior moments of draws.

    Args:
        parameters: name -> array (chain, draw, ...), constrained values of the parameters that count.

    Returns:
        dict: `min_ess_bulk` and `min_ess_tail`, `worst` (the name that has the first), `max_rhat`, and by name the smallest bulk ESS
        (`ess_bulk`) and, flat, the moments (`mean`, `sd`) and the Monte Carlo errors of the means (`mcse`), from which two competitors'
        posteriors can be compared.
    """
    import arviz as az

    parameters = {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items()}
    draws = az.convert_to_dataset(parameters)
    ess, tail, rhat, mcse = (f(draws) for f in (az.ess, partial(az.ess, method="tail"), az.rhat, az.mcse))
    ess_bulk = {name: float(np.min(ess[name].values)) for name in parameters}
    worst = min(ess_bulk, key=ess_bulk.get)
    flat = lambda values: np.round(np.ravel(values), 5).tolist()
    return {
        "min_ess_bulk": round(ess_bulk[worst], 1),
        "min_ess_tail": round(min(float(np.min(tail[name].values)) for name in parameters), 1),
        "worst": worst,
        "max_rhat": round(max(float(np.max(rhat[name].values)) for name in parameters), 4),
        "ess_bulk": {name: round(value, 1) for name, value in ess_bulk.items()},
        "mean": {name: flat(np.mean(value, axis=(0, 1))) for name, value in parameters.items()},
        "sd": {name: flat(np.std(value, axis=(0, 1))) for name, value in parameters.items()},
        "mcse": {name: flat(mcse[name].values) for name in parameters},
    }


def measurement(
    parameters,
    *,
    total_s,
    run_s,
    compile_by,
    again_s=None,
    gradients_sampling,
    gradients_warmup=None,
    divergences,
    device,
):
    """The part of a line that a peer measured; every peer's `run` returns this.

    Args:
        parameters: name -> array (chain, draw, ...) of the draws of the cold run, warm-up left out.
        total_s: seconds of the cold run, from the model to named draws on the host; imports left out.
        run_s: seconds of the same work once compiled.
        compile_by: "measured" where compilation is a step of its own or told by JAX's events and total = compile +
            run, "difference" where run_s is that of a second run of the same compiled program with another seed
            and compile = total - run.
        again_s: seconds of a second fit of the same object in the same process, all included, or None if not done.
        gradients_sampling: leapfrog steps of the cold run after warm-up, all chains.
        gradients_warmup: the same during warm-up, or None where the peer does not tell.
        divergences: divergent transitions after warm-up, all chains.
        device: "cpu" or "gpu".
    """
    if compile_by not in ("measured", "difference"):
        raise ValueError(f"compile_by: got {compile_by!r}, expected 'measured' or 'difference'")
    first = np.asarray(next(iter(parameters.values())))
    chains, draws = first.shape[:2]
    return {
        "compile_s": round(total_s - run_s, 3),
        "run_s": round(run_s, 3),
        "total_s": round(total_s, 3),
        "compile_by": compile_by,
        "again_s": None if again_s is None else round(again_s, 3),
        "gradients": None if gradients_warmup is None else int(gradients_warmup + gradients_sampling),
        "gradients_sampling": int(gradients_sampling),
        "gradients_per_draw": round(float(gradients_sampling) / (chains * draws), 2),
        "divergences": int(divergences),
        "x64": first.dtype == np.float64,
        "device": device,
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        **diagnose(parameters),
    }


def line(competitor, model, chains, warmup, draws, seed, measured):
    """A complete line: the setting, what the peer measured, and where and when."""
    return {
        "competitor": competitor,
        "model": model,
        "chains": chains,
        "warmup": warmup,
        "draws": draws,
        "seed": seed,
        **measured,
        "versions": versions(),
        "hardware": hardware(),
        "load": round(os.getloadavg()[0], 2),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def append(path, entry):
    """Add one line to a JSON-lines file, making its folder if need be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def read(path):
    """The lines of such a file; none where it is absent."""
    path = Path(path)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
