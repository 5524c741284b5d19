"""Geweke's scores: against slices written out, and their distribution in and out of equilibrium."""

import arviz as az
import jax
import numpy as np
import pytest
from scipy.signal import lfilter

from jaxlatent.diagnostics import geweke
from jaxlatent.errors import InputError


def autoregressive(shape, phi, seed=0):
    noise = np.random.default_rng(seed).normal(size=shape) * np.sqrt(1 - phi**2)
    noise[:, 0] /= np.sqrt(1 - phi**2)
    return lfilter([1], [1, -phi], noise, axis=1)


def test_scores_are_those_of_the_slices_written_out():
    axes = {} if az.__version__.startswith("0") else {"chain_axis": 0, "draw_axis": 1}
    draws = autoregressive((2, 400, 2), 0.5)

    def variance_of_mean(part):
        return part.var(ddof=1) / float(az.ess(part[None], method="identity", **axes))

    with jax.enable_x64(True):
        starts, scores = geweke(draws, intervals=4)
    assert starts.tolist() == [0, 66, 132, 199] and scores.shape == (2, 4, 2)
    for i, start in enumerate(starts):
        head = draws[:, start : start + int(0.1 * (399 - start))]
        tail = draws[:, int(399 - 0.5 * (399 - start)) :]
        for chain, parameter in np.ndindex(2, 2):
            x, y = head[chain, :, parameter], tail[chain, :, parameter]
            expected = (x.mean() - y.mean()) / np.sqrt(variance_of_mean(x) + variance_of_mean(y))
            np.testing.assert_allclose(scores[chain, i, parameter], expected, rtol=1e-9)


def test_scores_in_equilibrium_are_standard_normal():
    # the standard deviation of 300 scores is known to 4%, and the variance of short slices is estimated a little low
    _, scores = geweke(autoregressive((300, 2000), 0.7), intervals=1)
    assert abs(scores.mean()) < 0.25
    np.testing.assert_allclose(scores.std(), 1, rtol=0.2)


def test_a_drift_at_the_start_is_seen_there_only():
    draws = autoregressive((4, 2000), 0.5)
    draws[:, :300] += 2
    starts, scores = geweke(draws)
    assert (np.abs(scores[:, 0]) > 5).all()
    assert np.mean(np.abs(scores[:, starts > 600]) > 3) < 0.05


def test_nan_stays_in_its_chain():
    draws = autoregressive((3, 200), 0.5)
    draws[1, 150] = np.nan
    assert np.isnan(geweke(draws)[1]).all(1).tolist() == [False, True, False]


def test_vmap_equals_loop():
    datasets = autoregressive((5, 200, 2, 3), 0.5).swapaxes(1, 2)
    batched = jax.vmap(lambda x: geweke(x, intervals=3)[1])(datasets)
    np.testing.assert_allclose(batched, [geweke(x, intervals=3)[1] for x in datasets], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"first": 0.6}, {"last": 0.0}, {"intervals": 0}])
def test_bad_fractions_are_refused(options):
    with pytest.raises(InputError, match="first"):
        geweke(np.zeros((2, 100)), **options)
