"""Gallery: growth of cultures by temperature, with a differential equation in the likelihood."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent.demos.regression.figures import TRUTH
from jaxlatent.demos.regression.page import Page, plus_minus
from jaxlatent.errors import InputError
from jaxlatent.plots.style import COLOURS
from jaxlatent.typing import Array

NUTS = jl.NUTS(chains=4, warmup=500, draws=500)
WARMTH = np.array([15.0, 20.0, 25.0, 30.0])  # degrees, of one culture each
TRUE = {"log_rate": -0.7, "by_warmth": 0.4, "capacity": 8.0, "start": 0.2, "sigma": 0.15}

#: ``log_start (), log_capacity (), rate (culture,), hours (T,) -> log size (T, culture)``.
Growth = Callable[[Array, Array, Array, Array], Array]


def model(growth: Growth) -> jl.Model:
    """Cultures that share a start and a capacity; the logarithm of the rate of growth is a line in warmth.

    Args:
        growth: solves ``size' = rate size (1 - size / capacity)``.
    """

    def rate(p: Any, d: Any) -> Array:
        return jnp.exp(p.log_rate + p.by_warmth * (d.warmth - 20.0) / 10.0)

    def sizes(p: Any, d: Any) -> Array:
        return growth(jnp.log(p.start), jnp.log(p.capacity), rate(p, d), d.hours)

    return jl.Model(
        prior={
            "log_rate": dist.Normal(-0.5, 0.5),
            "by_warmth": dist.Normal(0.0, 0.5),
            "capacity": dist.LogNormal(2.0, 0.5),
            "start": dist.LogNormal(-1.0, 1.0),
            "sigma": dist.HalfNormal(1.0),
        },
        likelihood=lambda p, d: {"size": dist.LogNormal(sizes(p, d), p.sigma)},
        derived=lambda p, d: {"rate": rate(p, d)},
        dims={"size": ("time", "culture"), "rate": ("culture",)},
        name="logistic growth",
        key=("logistic growth", growth),
    )


def _slope(t: Array, log_size: Array, args: tuple[Array, Array]) -> Array:
    rate, log_capacity = args
    return rate * (1 - jnp.exp(log_size - log_capacity))


def solved(log_start: Array, log_capacity: Array, rate: Array, hours: Array) -> Array:
    """Solve for log size, which keeps size positive, by Tsitouras's method of order 5 with two steps per interval of times.

    Growth rates above five per hour would need shorter steps, so the sampler starts from a guess. The steps are explicit since
    `diffrax.diffeqsolve` checks times by a host callback, and JAX does not cache programs with callbacks on disk.
    """
    diffrax = _diffrax()
    solver, term, args = diffrax.Tsit5(scan_kind="bounded"), diffrax.ODETerm(_slope), (rate, log_capacity)
    begin, log_size = jnp.zeros_like(hours[0]), jnp.full_like(rate, log_start)
    before = jnp.append(begin, hours[:-1])
    times = jnp.stack([(before + hours) / 2, hours], 1).ravel()

    def step(carry: tuple[Array, Array, Any], until: Array) -> tuple[tuple[Array, Array, Any], Array]:
        time, log_size, state = carry
        log_size, _, _, state, _ = solver.step(term, time, until, log_size, args, state, made_jump=False)
        return (until, log_size, state), log_size

    state = solver.init(term, begin, times[0], log_size, args)
    return jax.lax.scan(step, (begin, log_size, state), times)[1][1::2]


def ode(page: Page) -> dict[str, Any]:
    """Yeast at four temperatures: how much there is of it every hour, measured with errors of some percent."""
    _diffrax()
    rng = np.random.default_rng(page.seed)
    hours = np.arange(1.0, 15.0)
    rates = np.exp(TRUE["log_rate"] + TRUE["by_warmth"] * (WARMTH - 20) / 10)
    excess = TRUE["capacity"] / TRUE["start"] - 1
    true: Callable[[np.ndarray], np.ndarray] = lambda t: TRUE["capacity"] / (1 + excess * np.exp(-rates * t[:, None]))
    size = true(hours) * rng.lognormal(0.0, TRUE["sigma"], (len(hours), len(WARMTH)))
    names = [f"{degrees:.0f} °C" for degrees in WARMTH]
    data = {"size": size, "warmth": WARMTH, "hours": hours}
    guess = {"log_rate": -0.5, "by_warmth": 0.0, "capacity": size.max(), "start": size.min(), "sigma": 0.5}
    fit = jl.fit(model(solved), data, NUTS, page.seed, coords={"culture": names}, init=guess)
    truth = {**TRUE, "rate": rates}
    page.posterior(fit, truth)

    faster, capacity = np.exp(fit.params["by_warmth"]), fit.params["capacity"]
    doubling = 60 * np.log(2) / fit.derived["rate"]
    cold = size[-1, 0]
    page.say(
        f"Ten degrees more make growth {plus_minus(faster)} times as fast (in truth {np.exp(TRUE['by_warmth']):.2f}): a "
        f"small culture doubles in {doubling[..., 0].mean():.0f} ± {doubling[..., 0].std():.0f} minutes at {names[0]} and in "
        f"{doubling[..., -1].mean():.0f} ± {doubling[..., -1].std():.0f} at {names[-1]}. The coldest culture was last seen "
        f"at {cold:.1f}, yet all share one capacity, {plus_minus(capacity)} (in truth {TRUE['capacity']:.1f}): the warm ones "
        "reach it and tell. Each evaluation of the likelihood solves the differential equation, each gradient goes back "
        f"through its {2 * len(hours)} steps."
    )

    figure, axes = plt.subplot_mosaic("abr\ncdr", figsize=(9.4, 4.2), layout="constrained", width_ratios=(3, 3, 4))
    drawn = fit.predict(page.seed)["size"].reshape(-1, *size.shape)
    fine, top = np.linspace(0, hours[-1], 100), 1.1 * max(size.max(), np.quantile(drawn, 0.97, axis=0).max())
    for i, letter in enumerate("abcd"):
        ax, band = axes[letter], np.quantile(drawn[..., i], [0.03, 0.97], axis=0)
        ax.fill_between(hours, *band, color=COLOURS[5], alpha=0.45, lw=0, label="new measurements, 94%")
        ax.plot(fine, true(fine)[:, i], "--", label="truth", **TRUTH)
        ax.plot(hours, size[:, i], "o", color="black", markersize=3, label="measured")
        ax.set(xlim=(0, hours[-1] + 0.5), ylim=(0, top), xticks=range(0, 16, 5))
        ax.text(0.05, 0.92, names[i], transform=ax.transAxes, va="top")
        ax.tick_params(labelbottom=letter in "cd", labelleft=letter in "ac")
    figure.legend(*axes["a"].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    for letter in "cd":
        axes[letter].set_xlabel("hours")
    for letter in "ac":
        axes[letter].set_ylabel("grams per litre")
    right, warmth = axes["r"], np.linspace(12, 33, 50)
    log_rate, slope = (fit.params[name].reshape(-1, 1) for name in ("log_rate", "by_warmth"))
    line = np.exp(log_rate + slope * (warmth - 20) / 10)
    right.fill_between(
        warmth, *np.quantile(line, [0.03, 0.97], axis=0), color=COLOURS[0], alpha=0.35, lw=0, label="94%"
    )
    right.plot(warmth, line.mean(0), color=COLOURS[0], label="posterior mean")
    right.plot(warmth, np.exp(TRUE["log_rate"] + TRUE["by_warmth"] * (warmth - 20) / 10), "--", label="truth", **TRUTH)
    right.set(xlabel="temperature, °C", ylabel="rate of growth, per hour")
    right.legend(loc="upper left")
    page.figure(figure)
    return {"fit": fit, "truth": truth, "data": data}


def _diffrax() -> Any:
    try:
        import diffrax
    except ImportError:
        raise InputError(
            "the row 'ode' of the gallery",
            got="no package diffrax",
            expected="diffrax, which solves the differential equation",
            remedy="pip install 'jaxlatent[gallery]'",
        ) from None
    return diffrax
