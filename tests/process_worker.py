"""One process of those that `test_processes.py` starts: it fits, and leaves what came out in a folder.

    python process_worker.py FOLDER PORT PROCESS CASE...

PROCESS is "0" or "1" of two that meet at PORT, with two devices each, or "alone", with sixteen: what two processes fit together is then
fitted on four of them.
"""

import pickle
import sys
import time
from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent.execute import programs
from jaxlatent.execute.grid import make_grid
from jaxlatent.execute.session import Session, to_devices, to_host

PORT, PROCESS, *CASES = sys.argv[2:]
FOLDER = Path(sys.argv[1])
jl.use_cpu_cores(16 if PROCESS == "alone" else 2)
if PROCESS != "alone":
    jax.distributed.initialize(f"127.0.0.1:{PORT}", num_processes=2, process_id=int(PROCESS))

MODEL = jl.Model(
    {"mu": dist.Normal(0.0, 2.0), "tau": dist.HalfNormal(2.0)},
    lambda p, d: {"y": dist.Normal(p.mu, p.tau + 1.0)},
    derived=lambda p, d: {"effect": p.mu / (p.tau + 1.0)},
    key="processes",
)
PATHS = jl.models.hmm(2, jl.models.emissions.Gaussian(1))
ROWS = {str(i): {"y": np.array([0.1, -0.5, 1.0]) + i} for i in range(4)}
# Two times two devices hold five datasets only with a sixth that fills. Two of them cannot be fitted.
FIVE = jl.batch(
    {
        **{name: ROWS[name] for name in "012"},
        "no number": {"y": np.array([0.0, np.nan, 0.0])},
        "no start": {"y": np.array([0.0, 1e300, 0.0])},
    }
)
STEPS = jl.batch([{"y": np.random.default_rng(i).normal(3 * (np.arange(20) // 7 == 1))[:, None]} for i in range(3)])
SHARED = {
    "batch of chains": (MODEL, FIVE, jl.NUTS(chains=2, warmup=50, draws=50)),
    "four chains": (MODEL, ROWS["0"], jl.NUTS(chains=4, warmup=50, draws=50)),
    "one lane": (MODEL, ROWS["0"], jl.Optimize(restarts=1)),
    "batch of restarts": (MODEL, FIVE, jl.Optimize(restarts=2)),
    "variational": (MODEL, ROWS["0"], jl.ADVI(restarts=2, max_iter=500, draws=50)),
    "hidden Markov": (PATHS, STEPS, jl.EM(restarts=2, max_iter=20)),
}


def leave(name, what):
    (FOLDER / name).write_bytes(pickle.dumps(what))


def arrays(result):
    """Whatever a result holds."""
    return {
        name: jax.tree.map(np.asarray, getattr(result, name))
        for name in ("params", "derived", "positions", "statistics", "objective", "status", "trace", "quarantined")
    }


def fit_own(process):
    """The fit of one process, on its own devices."""
    return arrays(jl.fit(MODEL, ROWS[process], jl.Optimize(restarts=1), 0))


def fit_own_in_turns():
    """Each fit ends while the other process does nothing."""
    if PROCESS == "1":
        wait_for("own of 0")
    leave(f"own of {PROCESS}", fit_own(PROCESS))
    wait_for("own of 1")


def wait_for(name):
    while not (FOLDER / name).exists():
        time.sleep(0.01)


def fit_four_times_four():
    """How many devices the states of 4 datasets x 4 chains lie on at the end of a fit, and what of them each device holds."""
    seen = set()
    finish = programs.finish

    def watched(grid, engine, posterior, session):
        seen.update((len(x.devices()), x.sharding.shard_shape(x.shape)[:2]) for x in jax.tree.leaves(session.states))
        return finish(grid, engine, posterior, session)

    programs.finish = watched
    jl.fit(MODEL, jl.batch(ROWS), jl.NUTS(chains=4, warmup=2, draws=2), 0)
    programs.finish = finish
    return seen


def fit_what_differs():
    """Both processes fit together, each its own data, settings or model, and are told so."""
    mine = int(PROCESS)
    calls = {
        "data": (MODEL, ROWS[PROCESS], jl.Optimize(restarts=4), 0),
        "a setting": (MODEL, ROWS["0"], jl.Optimize(restarts=4, tol=1e-3 * (1 + mine)), 0),
        "the model": ((MODEL, jl.fix(MODEL, tau=1.0))[mine], ROWS["0"], jl.Optimize(restarts=4), 0),
        "the seed": (MODEL, ROWS["0"], jl.Optimize(restarts=4), mine),
    }
    told = {}
    for what, call in calls.items():
        try:
            jl.fit(*call, devices=jax.devices())
        except jl.InputError as error:
            told[what] = str(error)
    leave(f"errors of {PROCESS}", told)


def move_session():
    """A session of 5 datasets x 2 lanes on its way to devices of both processes and back."""
    grid = make_grid(5, 2, jax.devices()[:4])
    keys, states = jax.random.split(jax.random.key(0), (5, 2)), np.arange(30.0).reshape(5, 2, 3)
    states[1, 1, 1] = np.nan
    plain = lambda session: session._replace(keys=jax.random.key_data(session.keys), last_keys=None)
    session = Session(np.int32(7), keys, keys, {"position": states}, np.arange(5.0))
    back = to_host(grid, to_devices(grid, session))
    leave(f"session of {PROCESS}", jax.tree.map(np.asarray, (plain(session), plain(back))))


for case in CASES:
    if case in SHARED:
        options = {"devices": jax.devices()[:4], "progress": True, "on_bad_data": "quarantine"}
        leave(f"{case} of {PROCESS}", arrays(jl.fit(*SHARED[case], 3, **options)))
    elif case == "session":
        move_session()
    elif PROCESS == "alone":
        leave("alone", ({process: fit_own(process) for process in "01"}, fit_four_times_four()))
    else:
        fit_own_in_turns()
        fit_what_differs()
