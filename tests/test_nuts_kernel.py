"""The transition of `NUTS`, one leapfrog step at a time, has the distribution of BlackJAX's, start by start.

20,000 independent transitions of each from one start on a banana-shaped density. Histograms are compared by chi-square
tests, positions by Kolmogorov-Smirnov tests: four p-values a case, each below 1e-4 once in 10,000 keys, so that four
cases raise a false alarm once in 600. By hand they were seen to fail for each of: no half-step correction in the U-turn
check, a check of one end only, no checks inside subtrees, these checks one level short, and a uniform instead of the
biased choice between trajectory and subtree.
"""

from functools import partial

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from often import often
from scipy import stats

import jaxlatent as jl
from jaxlatent.engines.base import Stage
from jaxlatent.engines.hmc.stages import SAMPLE
from jaxlatent.engines.nuts import trajectory
from jaxlatent.execute.drive import drive

LANES = 20_000


def banana(x):
    return -0.5 * (x[0] / 1.5) ** 2 - 2.0 * (x[1] - 0.5 * x[0] ** 2) ** 2


POSTERIOR = jl.from_log_density(banana, jnp.zeros(2))


@partial(jax.jit, static_argnums=0)
def ours(engine, key, start, step_size, scale, limit):
    posterior = jax.tree.map(lambda x: x[None], POSTERIOR)
    keys = jax.random.split(key, LANES)
    shared = engine.shared(POSTERIOR, key)
    states = jax.vmap(lambda key: engine.init(POSTERIOR, key, start, shared))(keys)
    shared = shared._replace(step_size=step_size, metric=shared.metric._replace(scale=scale))
    stage = Stage(jnp.int32(1), jnp.int32(SAMPLE), limit, None)
    lead = lambda tree: jax.tree.map(lambda x: x[None], tree)
    _, _, record, counts, _ = drive(
        engine, posterior, keys[None], lead(states), lead(shared), stage, jnp.ones((1, len(keys))), capacity=1
    )
    info = {name: value[0, :, 0] for name, value in record.info._asdict().items()}
    return {**info, "position": record.position[0, :, 0], "count": counts[0]}


@partial(jax.jit, static_argnums=(0, 5))
def theirs(threshold, key, start, step_size, scale, max_depth):
    kernel = blackjax.nuts.build_kernel(divergence_threshold=threshold)

    def one(key):
        state, info = kernel(key, blackjax.nuts.init(start, banana), banana, step_size, scale**2, max_depth)
        return {
            "position": state.position,
            "n_steps": info.num_integration_steps,
            "tree_depth": info.num_trajectory_expansions,
            "diverging": info.is_divergent,
            "acceptance_rate": info.acceptance_rate,
            "energy": info.energy,
        }

    return jax.vmap(one)(jax.random.split(key, LANES))


def histogram_p_value(one, other):
    """Chi-square test that two samples have one distribution; values seen fewer than 20 times share a cell."""
    values, counts = np.unique(np.concatenate([one, other]), return_counts=True)
    common = values[counts >= 20]
    table = [[(sample == value).sum() for value in common] for sample in (one, other)]
    table = np.array([[*row, LANES - sum(row)] for row in table])
    table = table[:, table.sum(0) > 0]
    return 1.0 if table.shape[1] == 1 else stats.chi2_contingency(table, correction=False).pvalue


#: name: start, step size, metric, divergence threshold, largest depth
CASES = {
    "from the middle": ([0.3, 0.1], 0.25, [1.0, 1.0], 1000.0, 10),
    "from the tail, with a metric": ([2.5, 2.0], 0.1, [1.5, 0.5], 1000.0, 10),
    "divergent": ([0.3, 0.1], 0.45, [1.0, 1.0], 0.3, 3),
    "cut at the depth limit": ([1.5, 1.0], 0.05, [1.0, 1.0], 0.3, 3),
}


@pytest.mark.parametrize("case", often(CASES, {"divergent"}))
def test_a_transition_has_the_distribution_of_blackjax(case):
    start, step_size, scale, threshold, depth = CASES[case]
    start, scale = jnp.asarray(start), jnp.asarray(scale)
    engine = jl.NUTS(chains=1, metric="diag", max_depth=depth, divergence_threshold=threshold)
    mine = ours(engine, jax.random.key(11), start, jnp.float32(step_size), scale, jnp.int32(depth))
    other = theirs(threshold, jax.random.key(12), start, jnp.float32(step_size), scale, depth)
    mine, other = jax.tree.map(np.asarray, (mine, other))
    assert (mine["count"] == 1).all()
    if case == "divergent":
        assert 0.05 < mine["diverging"].mean() < 0.95
    if case == "cut at the depth limit":
        assert (mine["tree_depth"] == depth).mean() > 0.9
    joint = lambda out: out["n_steps"] * 32 + out["tree_depth"] * 2 + out["diverging"]
    p_values = {
        "steps, depth, divergence": histogram_p_value(joint(mine), joint(other)),
        "first coordinate": stats.ks_2samp(mine["position"][:, 0], other["position"][:, 0]).pvalue,
        "second coordinate": stats.ks_2samp(mine["position"][:, 1], other["position"][:, 1]).pvalue,
        # rounded: BlackJAX sums logarithms, so that its atom at 1 is spread over the neighbouring floats
        "acceptance rate": stats.ks_2samp(mine["acceptance_rate"].round(5), other["acceptance_rate"].round(5)).pvalue,
    }
    assert min(p_values.values()) > 1e-4, p_values


def test_chains_from_the_posterior_stay_in_it():
    """Invariance: exact draws, moved by one transition, have the same distribution (this needs no other sampler)."""
    key, normal = jax.random.key(5), jax.random.normal(jax.random.key(6), (LANES, 2))
    x = 1.5 * normal[:, 0]
    exact = jnp.stack([x, 0.5 * x**2 + 0.5 * normal[:, 1]], 1)
    engine = jl.NUTS(chains=1, metric="diag")

    @jax.jit
    def move(keys, starts):
        shared = engine.shared(POSTERIOR, key)._replace(step_size=jnp.float32(0.3))
        states = jax.vmap(lambda key, start: engine.init(POSTERIOR, key, start, shared))(keys, starts)
        lead = lambda tree: jax.tree.map(lambda x: x[None], tree)
        stage = Stage(jnp.int32(1), jnp.int32(SAMPLE), jnp.int32(10), None)
        return drive(
            engine, lead(POSTERIOR), keys[None], lead(states), lead(shared), stage, jnp.ones((1, len(keys))), capacity=1
        )[2].position[0, :, 0]

    moved = np.asarray(move(jax.random.split(key, LANES), exact))
    assert (moved != np.asarray(exact)).any(1).mean() > 0.9
    assert stats.kstest(moved[:, 0], stats.norm(0, 1.5).cdf).pvalue > 1e-4
    assert stats.kstest(moved[:, 1] - 0.5 * moved[:, 0] ** 2, stats.norm(0, 0.5).cdf).pvalue > 1e-4


def ends_in_a_turn(momenta):
    """Whether a subtree that ends at the last leaf makes a U-turn, by the definition, in double precision."""
    size, found = 2, False
    while len(momenta) % size == 0:
        part = momenta[-size:]
        rho = part.sum(0) - (part[0] + part[-1]) / 2
        found |= part[0] @ rho <= 0 or part[-1] @ rho <= 0
        size *= 2
    return found


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_every_leaf_is_checked_for_the_turns_of_the_subtrees_that_it_ends(platform, monkeypatch):
    """Both forms, of which that for GPUs runs nowhere else here; lanes are at different leaves of two subtrees."""
    monkeypatch.setattr(trajectory, "on_cpu", lambda cpu, gpu, *args: (cpu if platform == "cpu" else gpu)(*args))
    depth, leaves, late = 6, 2**5, np.array([0, 3, 8])
    momenta = np.random.default_rng(0).normal(size=(3, 2 * leaves, 2)) + 0.7
    sums = momenta.reshape(3, 2, leaves, 2).cumsum(2).reshape(momenta.shape)
    steps = np.arange(2 * leaves + late.max())[:, None] - late

    @jax.jit
    def check(momenta, sums, leaf):
        begin = (jnp.zeros((3, depth, 2)),) * 2
        return jax.lax.scan(lambda c, now: jax.vmap(trajectory._check_subtree)(c, *now), begin, (momenta, sums, leaf))[
            1
        ]

    at = lambda values: values[np.arange(3), steps % (2 * leaves)].astype(np.float32)
    found = np.asarray(check(at(momenta), at(sums), (steps % leaves).astype(np.int32)))
    expected = np.array([[ends_in_a_turn(one[k - k % leaves : k + 1]) for k in range(2 * leaves)] for one in momenta])
    assert 0.1 < expected.mean() < 0.4  # half of the leaves end no subtree
    for lane, start in enumerate(late):
        np.testing.assert_array_equal(found[start : start + 2 * leaves, lane], expected[lane])
