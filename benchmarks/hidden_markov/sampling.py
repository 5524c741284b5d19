"""Part e: NUTS on the marginal likelihood of a hidden Markov model with normal emissions, against NumPyro.

Every run is a fresh process, `python -m benchmarks.hidden_markov.sampling CONTENDER --start FILE --seed SEED`, so that
compilation counts; imports do not. All chains of both start at one point, the best of EM, which is not timed either.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from numpyro.distributions import constraints
from numpyro.infer import MCMC, NUTS, init_to_value

import jaxlatent as jl
from benchmarks import record
from benchmarks.hidden_markov import simulate
from benchmarks.measure import line
from benchmarks.peers._compile_clock import compile_clock

ROOT = Path(__file__).resolve().parents[2]
SEQUENCES, STEPS, STATES, CHAINS, WARMUP, DRAWS = 3, 200, 3, 4, 1000, 1000
SIZES = {"sequences": SEQUENCES, "steps": STEPS, "states": STATES, "chains": CHAINS, "warmup": WARMUP, "draws": DRAWS}
CONTENDERS = ("jaxlatent", "numpyro")
TARGETS = {"cold": 2.5, "run": 3.0}
NAMES = ("pi", "A", "mu", "s")


def observations():
    """``(SEQUENCES, STEPS)``; states overlap, but none is lost."""
    rng = np.random.default_rng(8)
    states = simulate.paths(rng, SEQUENCES, STEPS, simulate.sticky(STATES, 0.9))
    means, sds = np.array([-2.0, 0.5, 3.0]), np.array([0.7, 1.0, 1.3])
    return (means[states] + sds[states] * rng.normal(size=states.shape)).astype(np.float32)


def model():
    """jaxlatent's: the chain is summed out by a distribution."""
    flat = jnp.ones(STATES)
    return jl.Model(
        prior={
            "pi": dist.Dirichlet(flat),
            "A": dist.Dirichlet(flat).expand([STATES]).to_event(1),
            "mu": jl.ordered(dist.Normal(0.0, 5.0).expand([STATES])),
            "s": dist.HalfNormal(3.0).expand([STATES]).to_event(1),
        },
        likelihood=lambda p, d: {"y": jl.HiddenMarkov(p.pi, p.A, dist.Normal(p.mu, p.s))},
    )


def numpyro_model(y):
    """The same density as NumPyro's users write it: a forward pass in log space by `lax.scan`."""
    flat = jnp.ones(STATES)
    pi = numpyro.sample("pi", dist.Dirichlet(flat))
    rows = numpyro.sample("A", dist.Dirichlet(flat).expand([STATES]).to_event(1))
    mu = numpyro.sample("mu", dist.ImproperUniform(constraints.ordered_vector, (), (STATES,)))
    numpyro.factor("mu_prior", jnp.sum(dist.Normal(0.0, 5.0).log_prob(mu)))
    s = numpyro.sample("s", dist.HalfNormal(3.0).expand([STATES]).to_event(1))
    emitted = jnp.swapaxes(dist.Normal(mu, s).log_prob(y[..., None]), 0, 1)
    log_rows = jnp.log(rows)

    def forward(log_alpha, log_emitted):
        return logsumexp(log_alpha[:, :, None] + log_rows, axis=1) + log_emitted, None

    log_alpha, _ = jax.lax.scan(forward, jnp.log(pi) + emitted[0], emitted[1:])
    numpyro.factor("y", jnp.sum(logsumexp(log_alpha, axis=1)))


def good_point():
    """The best of EM from six starts, moved a little away from the borders of the simplexes."""
    best = jl.fit(model(), {"y": observations()}, jl.EM(restarts=6), 0, progress=False).best().params
    inside = lambda rows: 0.95 * rows + 0.05 / STATES
    return {name: inside(best[name]) if name in ("pi", "A") else best[name] for name in NAMES}


def child_jaxlatent(start, seed):
    """A cold fit."""
    jl.use_cpu_cores(2)
    jax.devices()
    begin = perf_counter()
    engine = jl.NUTS(chains=CHAINS, warmup=WARMUP, draws=DRAWS)
    result = jl.fit(model(), {"y": observations()}, engine, seed, init=start, progress=False)
    total_s = perf_counter() - begin
    timings = result.provenance.timings
    return record.measurement(
        {name: result.params[name] for name in NAMES},
        total_s=total_s,
        run_s=total_s - timings["compile"],
        compile_by="measured",
        gradients_sampling=result.statistics["n_steps"].sum(),
        divergences=result.statistics["diverging"].sum(),
        device=jax.default_backend(),
    )


def child_numpyro(start, seed):
    """A cold `MCMC.run`, a host device for each chain."""
    numpyro.set_host_device_count(CHAINS)
    jax.devices()
    start = {name: jnp.asarray(value) for name, value in start.items()}
    with compile_clock() as compiling:
        begin = perf_counter()
        kernel = NUTS(numpyro_model, init_strategy=init_to_value(values=start))
        mcmc = MCMC(
            kernel,
            num_warmup=WARMUP,
            num_samples=DRAWS,
            num_chains=CHAINS,
            chain_method="parallel",
            progress_bar=False,
        )
        mcmc.run(jax.random.PRNGKey(seed), observations(), extra_fields=("num_steps", "diverging"))
        samples, extra = jax.device_get((mcmc.get_samples(group_by_chain=True), mcmc.get_extra_fields()))
        total_s = perf_counter() - begin
    return record.measurement(
        {name: samples[name] for name in NAMES},
        total_s=total_s,
        run_s=total_s - compiling[0],
        compile_by="measured",
        gradients_sampling=np.sum(extra["num_steps"]),
        divergences=np.sum(extra["diverging"]),
        device=jax.default_backend(),
    )


def run(rounds):
    """Lines of part e: medians over rounds; round r uses seed r."""
    # XLA_FLAGS would give children devices that they did not ask for.
    env = {name: value for name, value in os.environ.items() if name not in ("JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS")}
    measured = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "start.json")
        path.write_text(json.dumps({name: np.asarray(value).tolist() for name, value in good_point().items()}))
        for seed in range(rounds):
            for name in CONTENDERS:
                command = [sys.executable, "-m", __spec__.name, name, "--start", str(path), "--seed", str(seed)]
                done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError(f"{name} failed with exit code {done.returncode}\n{done.stderr[-2000:]}")
                measured[name].append(json.loads(done.stdout.splitlines()[-1]))
    rows = {name: summary(runs) for name, runs in measured.items()}
    lines = []
    for name, row in rows.items():
        for rate in TARGETS:
            row[f"ratio_{rate}"] = round(rows["jaxlatent"][f"ess_per_s_{rate}"] / row[f"ess_per_s_{rate}"], 3)
        row |= {"ratio": row["ratio_cold"]}
        if name != "jaxlatent":
            row |= {"target": TARGETS["cold"], "target_run": TARGETS["run"]}
        lines.append(line("e", "NUTS, marginal likelihood", name, SIZES, **row))
    return lines


def summary(runs):
    """Medians of cold runs; times in milliseconds are of whole runs, compilation included."""
    middle = lambda value: statistics.median(map(value, runs))
    last = runs[-1]
    return {
        "compile_s": middle(lambda one: one["compile_s"]),
        "compile_by": "measured",
        "unit": "ms a cold run",
        "median_ms": round(1000 * middle(lambda one: one["total_s"]), 1),
        "min_ms": round(1000 * min(one["total_s"] for one in runs), 1),
        "repetitions": len(runs),
        "run_s": middle(lambda one: one["run_s"]),
        "min_ess_bulk": middle(lambda one: one["min_ess_bulk"]),
        "ess_per_s_cold": round(middle(lambda one: one["min_ess_bulk"] / one["total_s"]), 2),
        "ess_per_s_run": round(middle(lambda one: one["min_ess_bulk"] / one["run_s"]), 2),
        "max_rhat": max(one["max_rhat"] for one in runs),
        "divergences": middle(lambda one: one["divergences"]),
        "gradients_per_draw": middle(lambda one: one["gradients_per_draw"]),
        "worst": last["worst"],
        "mean": last["mean"],
        "sd": last["sd"],
    }


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hidden_markov.sampling", description="One cold run.")
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--start", required=True, help="JSON file of named values")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start = {name: np.asarray(value, np.float32) for name, value in json.loads(Path(args.start).read_text()).items()}
    print(json.dumps({"jaxlatent": child_jaxlatent, "numpyro": child_numpyro}[args.contender](start, args.seed)))


if __name__ == "__main__":
    main()
