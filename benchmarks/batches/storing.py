"""Parts a and b: a batch in memory and in a store; the state of a run on the disk, as one Zarr array of bytes and by Orbax."""

import itertools
import tempfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import orbax.checkpoint

import jaxlatent as jl
from benchmarks.measure import alternate, called, entries
from jaxlatent.execute.session import begin
from jaxlatent.keys import streams
from jaxlatent.store.bits import pack
from jaxlatent.store.files import create

GROUPS, ROWS, DATASETS = 8, 100, 50
MODEL = jl.Model(
    {
        "mu": dist.Normal(0.0, 10.0),
        "tau": dist.HalfNormal(2.0),
        "effects": lambda p: jl.informed(dist.Normal(p.mu, p.tau).expand([GROUPS]).to_event(1)),
    },
    lambda p, d: {"y": dist.Normal(p.effects[d.g], 1.0)},
)
ENGINE = jl.NUTS(chains=4, warmup=300, draws=2000)


def datasets(count):
    rng = np.random.default_rng(0)
    groups = np.arange(ROWS) % GROUPS
    return jl.batch([{"y": rng.normal(size=ROWS) + rng.normal(size=GROUPS)[groups], "g": groups} for _ in range(count)])


def run(rounds):
    data, numbers = datasets(DATASETS), itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        fit = lambda **store: jl.fit(MODEL, data, ENGINE, 0, **store).status
        contenders = [
            called("jaxlatent", fit),
            called("jaxlatent, stored", lambda: fit(store=f"{folder}/{next(numbers)}.zarr"), target=1.05),
        ]
        seconds = alternate(contenders, rounds)
        size = sum(file.stat().st_size for file in Path(folder, "0.zarr").rglob("*") if file.is_file())
    contenders[1].facts["bytes"] = size
    sizes = {"datasets": DATASETS, "chains": 4, "draws": ENGINE.draws, "rows": ROWS}
    return entries("a", "hierarchical regressions by NUTS", sizes, contenders, seconds)


def session(rounds):
    lines = []
    for count in (20, 1000):
        posterior = jl.condition(MODEL, datasets(count)).nameless
        keys = streams(jax.random.key(0), np.arange(count), 4)
        state = jax.jit(partial(begin, ENGINE.compile_key()))(posterior, keys, jnp.zeros((count, 4, posterior.dim)))
        is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        plain = [np.asarray(jax.random.key_data(x) if is_key(x) else x) for x in jax.tree.leaves(state)]
        plain = [x for x in plain if x.size]  # Orbax refuses arrays without entries
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            orbax.checkpoint.StandardCheckpointer() as checkpointer,
        ):
            files, numbers = create(f"{folder}/x.zarr"), itertools.count()

            def packed(files=files, plain=plain, numbers=numbers):
                array = pack(plain)
                files.add(f"session/{next(numbers) % 2}", array.shape, array.dtype, None, array.shape)[:] = array

            def by_orbax(folder=folder, plain=plain, numbers=numbers, checkpointer=checkpointer):
                checkpointer.save(f"{folder}/{next(numbers)}", {"leaves": plain})
                checkpointer.wait_until_finished()

            contenders = [called("jaxlatent", packed), called("Orbax", by_orbax)]
            seconds = alternate(contenders, rounds, calls=3)
        sizes = {"datasets": count, "chains": 4, "arrays": len(plain), "bytes": sum(x.nbytes for x in plain)}
        lines += entries("b", "the state of a run written", sizes, contenders, seconds)
    return lines
