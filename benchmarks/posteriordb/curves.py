"""Gaussian processes and differential equations, each as a model and its data, under the names of posteriordb."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from benchmarks.posteriordb.data import load_data

ModelAndData = tuple[jl.Model, dict[str, Any]]

#: Steps of the solver between two times of measurement.
STEPS = 20


def squared_exponential(x: jax.Array, scale: jax.Array, length: jax.Array, noise: Any) -> jax.Array:
    """A covariance matrix, with ``noise`` on its diagonal."""
    distance = (x[:, None] - x) / length
    return scale**2 * jnp.exp(-0.5 * distance**2) + noise * jnp.eye(x.shape[0])


def gp_regression() -> ModelAndData:
    """A Gaussian process with normal noise, summed out."""
    model = jl.Model(
        prior={"rho": dist.Gamma(25.0, 4.0), "alpha": dist.HalfNormal(2.0), "sigma": dist.HalfNormal(1.0)},
        likelihood=lambda p, d: {
            "y": dist.MultivariateNormal(jnp.zeros_like(d.x), squared_exponential(d.x, p.alpha, p.rho, p.sigma))
        },
    )
    d = load_data("gp_pois_regr")
    return model, {"x": d["x"].astype(float), "y": d["y"].astype(float)}


def gp_poisson() -> ModelAndData:
    """Counts whose log rate is a Gaussian process."""
    d = load_data("gp_pois_regr")
    x = jnp.asarray(d["x"], float)

    def process(p: Any) -> Any:
        factor = jnp.linalg.cholesky(squared_exponential(x, p.alpha, p.rho, 1e-10))
        return jl.noncentred(dist.MultivariateNormal(jnp.zeros_like(x), scale_tril=factor))

    model = jl.Model(
        prior={"rho": dist.Gamma(25.0, 4.0), "alpha": dist.HalfNormal(2.0), "f": process},
        likelihood=lambda p, d: {"k": dist.Poisson(jnp.exp(p.f))},
    )
    return model, {"k": d["k"]}


def acceleration() -> ModelAndData:
    """Acceleration of a head in a crash, whose mean and log scale are Gaussian processes in bases of cosines."""
    d = load_data("mcycle_gp")

    def curve(basis: jax.Array, frequencies: jax.Array, scale: jax.Array, length: jax.Array, z: jax.Array) -> jax.Array:
        density = scale**2 * jnp.sqrt(2 * jnp.pi) * length * jnp.exp(-0.5 * (length * frequencies) ** 2)
        return basis @ (jnp.sqrt(density) * z)

    def likelihood(p: Any, d: Any) -> dict[str, dist.Distribution]:
        mean = p.Intercept + curve(d.basis, d.frequencies, p.sdgp_1, p.lscale_1, p.zgp_1)
        of_scale = curve(d.basis_sigma, d.frequencies_sigma, p.sdgp_sigma_1, p.lscale_sigma_1, p.zgp_sigma_1)
        return {"Y": dist.Normal(mean, jnp.exp(p.Intercept_sigma + of_scale))}

    half_t = dist.FoldedDistribution(dist.StudentT(3.0, 0.0, 36.0))
    length = dist.InverseGamma(1.124909, 0.0177)
    normal = lambda size: dist.Normal(0.0, 1.0).expand([size]).to_event(1)
    model = jl.Model(
        prior={
            "Intercept": dist.StudentT(3.0, -13.0, 36.0),
            "sdgp_1": half_t,
            "lscale_1": length,
            "zgp_1": normal(d["NBgp_1"]),
            "Intercept_sigma": dist.StudentT(3.0, 0.0, 10.0),
            "sdgp_sigma_1": half_t,
            "lscale_sigma_1": length,
            "zgp_sigma_1": normal(d["NBgp_sigma_1"]),
        },
        likelihood=likelihood,
    )
    data = {
        "basis": d["Xgp_1"],
        "frequencies": d["slambda_1"][:, 0],
        "basis_sigma": d["Xgp_sigma_1"],
        "frequencies_sigma": d["slambda_sigma_1"][:, 0],
        "Y": d["Y"],
    }
    return model, data


def solved(slope: Callable[..., jax.Array], start: jax.Array, times: jax.Array) -> jax.Array:
    """The solution of an equation at ``times``, from time 0, by the classical method of Runge and Kutta."""

    def step(state: jax.Array, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        t, h = at
        one = slope(t, state)
        two = slope(t + h / 2, state + h / 2 * one)
        three = slope(t + h / 2, state + h / 2 * two)
        state = state + h / 6 * (one + 2 * two + 2 * three + slope(t + h, state + h * three))
        return state, state

    before = jnp.append(jnp.zeros_like(times[:1]), times[:-1])
    lengths = jnp.repeat((times - before) / STEPS, STEPS)
    begun = jnp.repeat(before, STEPS) + lengths * jnp.tile(jnp.arange(STEPS), times.shape[0])
    return jax.lax.scan(step, start, (begun, lengths))[1][STEPS - 1 :: STEPS]


def lotka_volterra() -> ModelAndData:
    """Pelts of lynxes and hares in twenty years."""

    def populations(p: Any, d: Any) -> jax.Array:
        birth, eaten, death, fed = p.theta

        def slope(_: jax.Array, z: jax.Array) -> jax.Array:
            return jnp.stack([(birth - eaten * z[1]) * z[0], (fed * z[0] - death) * z[1]])

        return jnp.concatenate([p.z_init[None], solved(slope, p.z_init, d.times)])

    model = jl.Model(
        prior={
            "theta": dist.TruncatedNormal(
                jnp.array([1.0, 0.05, 1.0, 0.05]), jnp.array([0.5, 0.05, 0.5, 0.05]), low=0.0
            ).to_event(1),
            "z_init": dist.LogNormal(jnp.log(10.0), 1.0).expand([2]).to_event(1),
            "sigma": dist.LogNormal(-1.0, 1.0).expand([2]).to_event(1),
        },
        likelihood=lambda p, d: {"y": dist.LogNormal(jnp.log(populations(p, d)), p.sigma)},
    )
    d = load_data("hudson_lynx_hare")
    return model, {"y": np.vstack([d["y_init"], d["y"]]), "times": d["ts"].astype(float)}


def elimination() -> ModelAndData:
    """Concentration of a drug that is absorbed, and eliminated by the law of Michaelis and Menten.

    ``K_m`` and ``V_m`` have no variance: with ``V_m / K_m`` fixed the likelihood tends to a positive limit (elimination in proportion to
    the concentration), and the density of ``K_m`` falls as its third power. So the standard deviations of two samples do not agree.
    """
    d = load_data("one_comp_mm_elim_abs")

    def concentrations(p: Any, d: Any) -> jax.Array:
        def slope(t: jax.Array, c: jax.Array) -> jax.Array:
            return d.dose * p.k_a * jnp.exp(-p.k_a * t) - p.V_m / d.volume * c / (p.K_m + c)

        return solved(slope, jnp.zeros_like(p.k_a), d.times)

    model = jl.Model(
        prior={name: dist.HalfCauchy(1.0) for name in ("k_a", "K_m", "V_m", "sigma")},
        likelihood=lambda p, d: {"C_hat": dist.LogNormal(jnp.log(concentrations(p, d)), p.sigma)},
    )
    data = {"dose": d["D"] / d["V"], "volume": float(d["V"]), "times": d["times"], "C_hat": d["C_hat"]}
    return model, data


CURVES: dict[str, Callable[[], ModelAndData]] = {
    "gp_pois_regr-gp_regr": gp_regression,
    "gp_pois_regr-gp_pois_regr": gp_poisson,
    "mcycle_gp-accel_gp": acceleration,
    "hudson_lynx_hare-lotka_volterra": lotka_volterra,
    "one_comp_mm_elim_abs-one_comp_mm_elim_abs": elimination,
}
