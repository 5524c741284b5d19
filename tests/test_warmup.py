"""Laws of NUTS's warm-up: its stages, and what the lanes of a dataset agree on at the end of one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlatent.engines.base import Stage
from jaxlatent.engines.hmc.metric import identity
from jaxlatent.engines.hmc.stages import LAST, WINDOW, warmup_stages
from jaxlatent.engines.nuts.warmup import Shared, Window, pool

LANES, LENGTH, DIM = 4, 100, 2
COVARIANCE = np.array([[1.0, 0.9], [0.9, 1.0]])


def window(divergences: int, first: int = LENGTH // 2) -> Window:
    """Draws of a correlated Gaussian, with ``divergences`` in all lanes together, from record ``first`` on."""
    draws = jax.random.multivariate_normal(jax.random.key(0), jnp.zeros(DIM), COVARIANCE, (LANES, LENGTH))
    gradients = -draws @ np.linalg.inv(COVARIANCE)
    diverging = np.zeros((LANES, LENGTH), bool)
    for i in range(divergences):
        diverging[i % LANES, first + i // LANES] = True
    depth = jnp.full((LANES, LENGTH), 3)
    return Window(draws, gradients, 0.5 * jnp.sum(draws * gradients, -1), jnp.asarray(diverging), depth)


def pooled(
    window,
    *,
    kind=WINDOW,
    steps=LENGTH,
    automatic=True,
    step_sizes=(0.5, 0.5, 0.5, 0.5),
    diagonal_only=False,
    unmixed=False,
) -> Shared:
    """What the lanes agree on after ``window``, which began with a dense metric that knows nothing."""
    shared = Shared(identity("dense", DIM, 0), jnp.float32(0.1), jnp.asarray(diagonal_only), jnp.asarray(unmixed))
    stage = Stage(jnp.int32(steps), jnp.int32(kind), jnp.int32(10), False)
    return pool(shared, window, jnp.asarray(step_sizes), jnp.full(LANES, LENGTH), stage, automatic)


def correlation(shared: Shared) -> float:
    """What the metric holds the correlation of the two coordinates to be."""
    factor = np.diag(shared.metric.scale) @ np.asarray(shared.metric.matrix)
    covariance = factor @ factor.T
    return covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])


@pytest.mark.parametrize("warmup", [1, 5, 19, 20, 39, 40, 100, 137, 999, 1000, 5000])
def test_the_stages_make_up_the_warmup(warmup):
    stages = warmup_stages(warmup, limit=10, early_limit=6)
    assert [stage.limit for stage in stages[:-1]] == ([6, 6] + [10] * len(stages))[: len(stages) - 1]
    assert sum(stage.steps for stage in stages) == warmup
    assert stages[-1].kind == LAST and all(stage.kind == WINDOW for stage in stages[:-1])
    assert not any(stage.keep for stage in stages) and max(stage.steps for stage in stages) <= 250


def test_no_warmup_has_no_stages():
    assert warmup_stages(0, limit=10, early_limit=6) == ()


def test_a_window_teaches_the_covariance():
    shared = pooled(window(0))
    factor = np.diag(shared.metric.scale) @ np.asarray(shared.metric.matrix)
    # Draws and gradients of a Gaussian determine its covariance; what is left is the shrinkage of 2 draws in 400.
    np.testing.assert_allclose(factor @ factor.T, COVARIANCE, atol=0.05)
    assert not shared.diagonal_only


@pytest.mark.parametrize("divergences, given_up", [(0, False), (1, False), (2, True), (40, True)])
def test_correlations_are_given_up_above_one_divergence_in_200(divergences, given_up):
    # The second halves of four lanes of 100 draws are 200 draws: one divergence is the 0.5% that is still tolerated.
    shared = pooled(window(divergences))
    assert bool(shared.diagonal_only) == given_up
    assert abs(correlation(shared) - (0.0 if given_up else 0.9)) < 0.05


def test_correlations_once_given_up_stay_so():
    shared = pooled(window(0), diagonal_only=True)
    assert shared.diagonal_only and correlation(shared) == 0


@pytest.mark.parametrize(
    "options", [{"automatic": False}, {"steps": 79}, {"kind": LAST}], ids=["asked for", "an early window", "the last"]
)
def test_divergences_leave_correlations_alone(options):
    assert not pooled(window(40), **options).diagonal_only


def test_divergences_of_the_first_half_of_a_window_say_nothing():
    assert not pooled(window(40, first=0)).diagonal_only


def test_the_step_size_is_the_least_of_four_but_not_that_of_a_lane_in_trouble():
    assert pooled(window(0), step_sizes=(0.5, 0.3, 0.6, 0.5)).step_size == np.float32(0.3)
    assert pooled(window(0), step_sizes=(0.5, 1e-6, 0.5, 0.5)).step_size == np.float32(0.125)


def test_a_lane_far_below_the_others_has_no_say():
    far = window(0)
    lp = far.lp.at[1].add(-100.0)
    draws = far.draws.at[1].multiply(30.0)
    shared = pooled(far._replace(lp=lp, draws=draws), step_sizes=(0.5, 0.01, 0.5, 0.5))
    assert shared.step_size == 0.5 and np.all(shared.metric.scale < 1.2)


def far_apart(depth, lanes=LANES, distance=10.0):
    """A window whose lanes are ``distance`` apart, the first ``lanes`` of them with trees of ``depth``."""
    near = window(0)
    move = distance * jnp.arange(LANES)[:, None, None]
    return near._replace(draws=near.draws + move, depth=near.depth.at[:lanes].set(depth))


@pytest.mark.parametrize(
    ("window", "options", "lost"),
    [
        (far_apart(10), {}, True),
        (far_apart(10), {"kind": LAST}, True),
        (far_apart(10), {"steps": 79}, False),
        (far_apart(9), {}, False),
        (far_apart(10, lanes=3), {}, False),
        (far_apart(10, distance=0.5), {}, False),
        (far_apart(6), {"unmixed": True}, True),
        (far_apart(5), {"unmixed": True}, False),
        (far_apart(6, distance=0.5), {"unmixed": True}, False),
    ],
    ids=[
        "lost",
        "in the last",
        "an early window",
        "short trees",
        "one lane does well",
        "together",
        "still lost",
        "found by trees",
        "found",
    ],
)
def test_lanes_with_nothing_in_common_at_full_depth_are_lost_until_that_changes(window, options, lost):
    shared = pooled(window, **options)
    stage = Stage(jnp.int32(100), jnp.int32(WINDOW), jnp.int32(10), False)
    assert bool(shared.unmixed) == lost and shared.limit(stage) == (6 if lost else 10)
