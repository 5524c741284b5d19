"""Kill a fit with SIGKILL at random moments, resume it in another process, and compare with the run that was left alone.

    python tests/kill.py FOLDER TIMES [NUTS] [EM] [ADVI]

Each of these batched runs is killed so many times; the moments are drawn anew at every call, from a seed that is printed.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent.store.files import open_files

RNG = np.random.default_rng(0)
MODEL = jl.Model(
    {
        "mu": dist.Normal(0, 10),
        "tau": dist.HalfNormal(2),
        "effects": lambda p: dist.Normal(p.mu, p.tau).expand([8]).to_event(1),
    },
    lambda p, d: {"y": dist.Normal(p.effects[d.g], 1.0)},
)
GROUPS = {f"d{i}": {"y": RNG.normal(size=40) + i, "g": np.arange(40) % 8} for i in range(5)}
GROUPS["bad"] = {"y": np.full(40, np.nan), "g": np.arange(40) % 8}
STEPS = jl.batch({f"d{i}": {"y": [RNG.normal(size=(30 + j + i, 1)) + 3 * (j % 2) for j in range(4)]} for i in range(5)})
RUNS = {
    "NUTS": (MODEL, jl.batch(GROUPS), jl.NUTS(chains=2, warmup=300, draws=1000)),
    "EM": (jl.models.hmm(2, jl.models.emissions.Gaussian(1)), STEPS, jl.EM(restarts=3, max_iter=600, tol=0.0)),
    "ADVI": (MODEL, jl.batch(GROUPS), jl.ADVI(restarts=2, max_iter=4000, draws=200)),
}


def work(name: str, path: str) -> None:
    """Fit, or resume where something was committed."""
    model, data, engine = RUNS[name]
    warnings.simplefilter("ignore")
    print("ready", flush=True)
    try:
        jl.resume(path, model)
    except jl.StoreError as problem:
        assert "nothing there" in problem.got or "without a commit" in problem.got, problem
        jl.fit(model, data, engine, 0, segment=50, store=path, progress=False, on_bad_data="quarantine")


def killed(name: str, path: Path, moment: float | None) -> bool:
    """Whether a process that works on the run was killed so many seconds after it was ready."""
    process = subprocess.Popen([sys.executable, __file__, "--work", name, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    try:
        code = process.wait(moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    assert code == 0, code
    return False


def equal(one: jl.Result, other: jl.Result) -> None:
    """Bitwise."""
    for field in ("params", "derived", "unconstrained", "statistics"):
        mine, yours = getattr(one, field), getattr(other, field)
        assert set(mine) == set(yours)
        for name in mine:
            np.testing.assert_array_equal(mine[name], yours[name], err_msg=name)
    np.testing.assert_array_equal(one.objective, other.objective)
    np.testing.assert_array_equal(one.status, other.status)


def main(folder: Path, times: int, names: list[str]) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}", flush=True)
    chance = random.Random(seed)
    for name in names:
        began = time.perf_counter()
        assert not killed(name, folder / f"{name}-whole", None)
        takes = time.perf_counter() - began
        whole = jl.open(folder / f"{name}-whole")
        kills = 0
        while kills < times:
            path = folder / f"{name}-killed"
            shutil.rmtree(path, ignore_errors=True)
            committed = -1
            while killed(name, path, chance.uniform(0.0, takes) if kills < times else None):
                kills += 1
                try:
                    steps = open_files(path).committed["steps"]
                except jl.StoreError:
                    steps = -1
                assert steps >= committed, "what was committed is there"
                committed = steps
                print(f"{name}: killed at {steps} steps", flush=True)
            equal(whole, jl.open(path))
        print(f"{name}: {kills} kills, equal", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work(*sys.argv[2:])
    else:
        # As in the tests themselves: the moments are to fall on the steps, not on the compiler.
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(sys.argv[1]) / "cache"))
        main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
