"""Laws of NUTS's warm-up: its stages, and what the lanes of a dataset agree on at the end of one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlatent.engines.base import Stage
from jaxlatent.engines.hmc.metric import estimate, identity
from jaxlatent.engines.hmc.stages import LAST, SEARCH, WINDOW, warmup_stages
from jaxlatent.engines.nuts.warmup import Shared, Window, pool

LANES, LENGTH, DIM = 4, 100, 2
COVARIANCE = np.array([[1.0, 0.9], [0.9, 1.0]])


def window(correlation: float = 0.9) -> Window:
    """Draws of a correlated Gaussian."""
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    draws = jax.random.multivariate_normal(jax.random.key(0), jnp.zeros(DIM), covariance, (LANES, LENGTH))
    gradients = -draws @ np.linalg.inv(covariance)
    depth = jnp.full((LANES, LENGTH), 3)
    return Window(draws, gradients, 0.5 * jnp.sum(draws * gradients, -1), depth)


def neck(spread: float, length: int = LENGTH) -> Window:
    """Draws of v ~ N(0, spread**2), x ~ N(0, exp(v)), with the coordinates turned by 45 degrees."""
    key_v, key_x = jax.random.split(jax.random.key(1))
    v = spread * jax.random.normal(key_v, (LANES, length))
    x = jnp.exp(v / 2) * jax.random.normal(key_x, (LANES, length))
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    slope_v = -v / spread**2 - 0.5 + 0.5 * x**2 * jnp.exp(-v)
    draws, gradients = jnp.stack([v, x], -1) @ turn, jnp.stack([slope_v, -x * jnp.exp(-v)], -1) @ turn
    lp = -0.5 * (v / spread) ** 2 - 0.5 * v - 0.5 * x**2 * jnp.exp(-v)
    return Window(draws, gradients, lp, jnp.full((LANES, length), 3))


def pooled(
    window,
    *,
    kind=WINDOW,
    steps=LENGTH,
    automatic=True,
    step_sizes=(0.5, 0.5, 0.5, 0.5),
    diagonal_only=False,
    unmixed=False,
    lost=(False,) * LANES,
) -> Shared:
    """What the lanes agree on after ``window``, which began with a dense metric that knows nothing."""
    metric = identity("dense", DIM, 0)
    shared = Shared(metric, jnp.float32(0.1), jnp.float32(jnp.nan), jnp.asarray(diagonal_only), jnp.asarray(unmixed))
    stage = Stage(jnp.int32(steps), jnp.int32(kind), jnp.int32(10), False)
    lost = jnp.asarray(lost)
    return pool(shared, window, jnp.asarray(step_sizes), jnp.full(LANES, LENGTH), lost, stage, automatic)


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
    windows = len(stages) - 1
    searches = max(min(windows - 2, 4), 0)
    assert [stage.kind for stage in stages] == [SEARCH] * searches + [WINDOW] * (windows - searches) + [LAST]
    assert not any(stage.keep for stage in stages) and max(stage.steps for stage in stages) <= 250


def test_no_warmup_has_no_stages():
    assert warmup_stages(0, limit=10, early_limit=6) == ()


def covariance_of(shared: Shared) -> np.ndarray:
    factor = np.diag(shared.metric.scale) @ np.asarray(shared.metric.matrix)
    return factor @ factor.T


def test_a_window_teaches_the_covariance():
    shared = pooled(window())
    # Draws and gradients of a Gaussian determine its covariance; what is left is the shrinkage.
    np.testing.assert_allclose(covariance_of(shared), COVARIANCE, atol=0.01)
    assert not shared.diagonal_only


def test_a_window_teaches_a_covariance_of_condition_10000():
    shared = pooled(window(0.9998))
    narrow, wide = np.linalg.eigvalsh(covariance_of(shared))
    # Shrinkage by two whole draws would make the narrow direction four times as wide as it is.
    assert 1 < narrow / 0.0002 < 1.2 and 0.8 < wide / 1.9998 < 1.01


def test_draws_on_the_way_to_the_typical_set_teach_nothing():
    plain = window()
    far = plain.draws.at[:, :10].set(jnp.array([50.0, -50.0]))
    gradients = -far @ np.linalg.inv(COVARIANCE)
    shared = pooled(Window(far, gradients, 0.5 * jnp.sum(far * gradients, -1), plain.depth))
    np.testing.assert_allclose(covariance_of(shared), COVARIANCE, atol=0.01)


@pytest.mark.parametrize("spread", [0.3, 0.5, 0.7])
def test_the_curvature_ratio_is_that_of_the_moments(spread):
    """Closed form: x has variance exp(s**2 / 2) and mean curvature exp(s**2 / 2), v has s**2 and 1 / s**2 + 1 / 2."""
    many = neck(spread, length=20_000)
    weights = jnp.ones((LANES, 20_000))
    ratio = estimate(many.draws, many.gradients, weights, identity("dense", DIM, 0)).curvature_ratio
    expected = max(np.exp(spread**2), 1 + spread**2 / 2)
    # The heaviest tail is that of the squared gradient; 80,000 draws know its mean to 1%, for these spreads, and its noise to 2%.
    np.testing.assert_allclose(ratio, expected, rtol=0.06)


def test_noise_does_not_bend_a_posterior_of_many_dimensions():
    draws, gradients = jax.random.normal(jax.random.key(2), (2, LANES, LENGTH, 60))
    ratio = estimate(draws, gradients, jnp.ones((LANES, LENGTH)), identity("dense", 60, 0)).curvature_ratio
    # Independent of each other, they are at the edge; the product of their largest eigenvalues would be four times as large.
    assert 0.5 < ratio < 1.1


@pytest.mark.parametrize("spread, bent", [(0.3, False), (3.0, True)])
def test_correlations_are_left_out_where_the_curvature_varies(spread, bent):
    shared = pooled(neck(spread))
    assert bool(shared.diagonal_only) == bent and (shared.curvature_ratio > 2) == bent
    # Turned, the two coordinates are correlated as soon as their variances differ, as at a spread of 0.3.
    assert (correlation(shared) == 0.0) == bent


@pytest.mark.parametrize("kind", ["diag", "dense", "low_rank"])
def test_a_metric_without_correlations_is_that_of_the_standard_deviations(kind):
    many, ones = neck(0.7), jnp.ones((LANES, LENGTH))
    diagonal = estimate(many.draws, many.gradients, ones, identity(kind, DIM, 1)).diagonal
    deviations = np.sqrt(np.var(many.draws, 1, ddof=1).mean(0))
    np.testing.assert_allclose(jax.vmap(diagonal.forward)(jnp.eye(DIM)), np.diag(deviations), rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(diagonal.transpose)(jnp.eye(DIM)), np.diag(deviations), rtol=1e-5)


def test_a_later_window_brings_correlations_back():
    shared = pooled(window(), diagonal_only=True)
    assert not shared.diagonal_only and abs(correlation(shared) - 0.9) < 0.05


@pytest.mark.parametrize(
    "options", [{"automatic": False}, {"steps": 99}, {"kind": LAST}], ids=["asked for", "an early window", "the last"]
)
def test_only_a_long_window_decides_and_only_if_it_was_asked_to(options):
    assert not pooled(neck(3.0), **options).diagonal_only
    if "automatic" not in options:
        assert pooled(window(), diagonal_only=True, **options).diagonal_only


def test_the_step_size_is_the_least_of_four_but_not_that_of_a_lane_in_trouble():
    assert pooled(window(), step_sizes=(0.5, 0.3, 0.6, 0.5)).step_size == np.float32(0.3)
    assert pooled(window(), step_sizes=(0.5, 1e-6, 0.5, 0.5)).step_size == np.float32(0.125)


def test_a_lane_far_below_the_others_has_no_say():
    far = window()
    lp = far.lp.at[1].add(-100.0)
    draws = far.draws.at[1].multiply(30.0)
    shared = pooled(far._replace(lp=lp, draws=draws), step_sizes=(0.5, 0.01, 0.5, 0.5))
    assert shared.step_size == 0.5 and np.all(shared.metric.scale < 1.2)


def far_apart(depth, lanes=LANES, distance=10.0):
    """A window whose lanes are ``distance`` apart, the first ``lanes`` of them with trees of ``depth``."""
    near = window()
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
