"""Fits do not depend on the units or the origin of observations and inputs, in 32 and in 64 bits."""

from itertools import product

import jax
import numpy as np
import pytest
from often import often

import jaxlatent as jl
from jaxlatent.models import Gate, InputDriven, emissions, hmm, mixture

N = 240
#: ``(a, b, c, d)``: inputs ``a (x + b)`` and observations ``c (y + d)``, of data whose spreads are near one.
CHANGES = {
    "small inputs, large observations": (1e-6, 0.0, 1e6, 0.0),
    "large inputs, small observations": (1e6, 0.0, 1e-6, 0.0),
    "far from the origin": (1.0, 1e4, 1.0, -1e4),
    "large and far": (1e6, -1e4, 1e6, 1e4),
    "small and far": (1e-6, 1e4, 1e-6, 1e4),
}
Y, X = "y", "x"
# Made in 32 bits, models serve both: those of a process in 64 bits hold numbers that 32 do not.
with jax.enable_x64(False):
    #: A model, and what of its data has units.
    FAMILIES = {
        "scalar normal": (hmm(2, emissions.Gaussian()), Y),
        "full": (hmm(2, emissions.Gaussian(2)), Y),
        "diagonal": (mixture(2, emissions.Gaussian(2, "diagonal")), Y),
        "tied": (hmm(2, emissions.Gaussian(2, "tied")), Y),
        "spherical": (mixture(2, emissions.Gaussian(2, "spherical")), Y),
        "Student-t": (hmm(2, emissions.StudentT()), Y),
        "linear": (hmm(2, emissions.LinearRegression(1)), X + Y),
        "mixture of lines": (mixture(2, emissions.LinearRegression(1)), X + Y),
        "flat linear": (hmm(2, emissions.LinearRegression(1, prior_scale=None, variance_shape=None)), X + Y),
        "autoregression": (hmm(2, emissions.Autoregression(1)), Y),
        "logistic": (hmm(2, emissions.BernoulliRegression(1)), X),
        "flat logistic": (hmm(2, emissions.BernoulliRegression(1, prior_scale=None)), X),
        "Poisson": (hmm(2, emissions.PoissonRegression(1)), X),
        "multinomial": (hmm(2, emissions.CategoricalRegression(1, 3)), X),
        "experts": (mixture(2, emissions.HeteroscedasticRegression(1), Gate(1)), X + Y),
        "gated lines": (mixture(2, emissions.LinearRegression(1), Gate(1)), X + Y),
        "driven transitions": (hmm(2, emissions.Gaussian(), InputDriven(1)), X + Y),
    }


def simulated(name, rng):
    """Two states that are easy to tell apart, and what depends on an input in each of them."""
    states = np.repeat(rng.integers(0, 2, N // 12), 12)
    x = rng.normal(size=N)
    slope, noise = np.where(states, 1.0, -1.0), rng.normal(size=N)
    if name in ("full", "diagonal", "tied", "spherical"):
        y = np.where(states, 2.0, -2.0)[:, None] * [1.0, 0.3] + rng.normal(size=(N, 2))
    elif name in ("logistic", "flat logistic"):
        y = (rng.random(N) < 1 / (1 + np.exp(-3 * slope * x - 0.5))).astype(int)
    elif name == "Poisson":
        y = rng.poisson(np.exp(3 + 0.5 * slope * x))
    elif name == "multinomial":
        y = np.argmax(np.stack([3 * slope * x, 0 * x, 0.5 + 0 * x], -1) + rng.gumbel(size=(N, 3)), -1)
    elif name == "autoregression":
        y = np.zeros(N)
        for t in range(1, N):
            y[t] = 0.8 * slope[t] * y[t - 1] + 0.5 * slope[t] + 0.5 * noise[t]
    elif name in ("experts", "gated lines"):
        states = (x + 0.3 * rng.normal(size=N) > 0).astype(int)
        y = np.where(states, x + 1, -2 * x) + np.where(states, 0.2, 0.5) * noise
    else:
        y = slope * (2 + 0.5 * x) + 0.4 * noise
    return x, y


def fitted(name, x, y):
    model, _ = FAMILIES[name]
    inputs = "u" if name == "driven transitions" else "x"
    return jl.fit(model, {"y": y, inputs: x[:, None]}, jl.EM(restarts=3, max_iter=1000, tol=1e-7), seed=0)


CASES = list(product(FAMILIES, [32, 64]))


@pytest.mark.parametrize(
    "case",
    often(CASES, [("full", 32), ("logistic", 32), ("Poisson", 64)]),
    ids=lambda case: "-".join(map(str, case)),
)
def test_a_fit_in_other_units_is_the_same_fit(case):
    name, bits = case
    x, y = simulated(name, np.random.default_rng(1))
    changing = FAMILIES[name][1]
    with jax.enable_x64(bits == 64):
        plain = fitted(name, x, y).best()
        # What 64 bits do not lose; and in 32 bits the differences between iterations, or from the origin those between the data.
        for change, (a, b, c, d) in CHANGES.items():
            tolerance = 1e-5 if bits == 64 else 5e-4 if b == d == 0 else 5e-3
            moved = fitted(name, a * (x + b) if X in changing else x, c * (y + d) if Y in changing else y)
            best = moved.best()
            # The first step of an autoregression is given.
            scale = np.log(c) * (y.size - (name == "autoregression")) if Y in changing else 0.0
            gained = (best.statistics["log_likelihood"] + scale - plain.statistics["log_likelihood"]) / N
            assert abs(gained) < tolerance, (change, gained)
            assert best.status == jl.Status.CONVERGED, (change, moved.status)
            # Which of equal lanes is the best is a matter of rounding, and with it the numbers of the states.
            ours, theirs = best.smooth()["y"], plain.smooth()["y"]
            apart = min(np.quantile(np.abs(ours - other), 0.99) for other in (theirs, theirs[:, ::-1]))
            assert apart < 30 * tolerance, (change, apart)


@pytest.mark.parametrize("level", [0.3, 1e3, 1e6])
def test_the_default_prior_of_counts_is_weak_at_every_level(level):
    """Against the closed form without prior: their mean, which a prior of fixed rate held five standard errors lower at a million."""
    y = np.random.default_rng(0).poisson(level, 400)
    rate = (
        jl.fit(mixture(1, emissions.Poisson()), {"y": y}, jl.EM(restarts=1), 0, progress=False)
        .best()
        .params["rates"]
        .item()
    )
    assert abs(rate - y.mean()) < 0.05 * np.sqrt(y.mean() / len(y))
