"""Models without forward mode, such as differential equations by diffrax with its default adjoint: every use of curvature has a way."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.posterior.curvature import hessian, jacobian, slope_and_curve

TIMES = np.linspace(0.5, 4.0, 8)
LEVELS = np.exp(-0.7 * TIMES) * 3 * np.exp(0.1 * np.random.default_rng(0).normal(size=8))


def solved(p, d):
    """The level of ``du/dt = -rate u``."""
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, u, rate: -rate * u),
        diffrax.Tsit5(),
        0.0,
        d.t[-1],
        0.1,
        p.start,
        p.rate,
        saveat=diffrax.SaveAt(ts=d.t),
        stepsize_controller=diffrax.PIDController(1e-5, 1e-6),
        throw=False,
    )
    return solution.ys


def decay(level):
    return jl.Model(
        prior={"rate": dist.LogNormal(0.0, 1.0), "start": dist.LogNormal(0.0, 1.0), "scale": dist.LogNormal(-1.0, 1.0)},
        likelihood=lambda p, d: {"u": dist.LogNormal(jnp.log(p.level), p.scale)},
        derived=lambda p, d: {"level": level(p, d)},
        row_wise=False,
    )


BY_SOLVER, IN_CLOSED_FORM = decay(solved), decay(lambda p, d: p.start * jnp.exp(-p.rate * d.t))
DATA = {"u": LEVELS, "t": TIMES}


@pytest.mark.slow
def test_a_mode_its_errors_and_those_of_derived_quantities_are_those_of_the_solution():
    ours, theirs = (jl.fit(model, DATA, jl.Optimize(), seed=0).summary() for model in (BY_SOLVER, IN_CLOSED_FORM))
    np.testing.assert_allclose(ours["value"], theirs["value"], rtol=5e-3)
    np.testing.assert_allclose(ours["se"], theirs["se"], rtol=0.03)  # differences of a gradient in 32 bits


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine", [jl.NUTS(chains=2, warmup=50, draws=20), jl.Laplace(draws=50)], ids=lambda e: type(e).__name__
)
def test_engines_run(engine):
    result = jl.fit(BY_SOLVER, DATA, engine, seed=0)
    assert np.isfinite(result.params["rate"]).all()


@pytest.mark.devices(least=2)
def test_several_devices_say_what_to_do():
    with pytest.raises(jl.InputError, match=r"devices=jax.devices\(\)\[:1\]"):
        jl.fit(BY_SOLVER, DATA, jl.NUTS(chains=2, warmup=50, draws=20), seed=0)


@jax.custom_vjp
def backward_only(x):
    return jnp.sum(x**4) + x[0] * x[1]


backward_only.defvjp(lambda x: (backward_only(x), x), lambda x, g: (g * (4 * x**3 + jnp.array([x[1], x[0], 0.0])),))


def test_differences_stand_in_for_forward_mode():
    x = jnp.array([0.5, -1.0, 2.0])
    exact = np.diag(12 * np.asarray(x) ** 2) + np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    for batch_size in (None, 2):
        np.testing.assert_allclose(hessian(backward_only, x, batch_size), exact, atol=0.02)
    slope, curve = jax.jit(jax.vmap(lambda x: (lambda s, c: (s, c(jnp.ones(3))))(*slope_and_curve(backward_only, x))))(
        x[None]
    )
    np.testing.assert_allclose(slope[0], jax.grad(backward_only)(x), rtol=1e-6)
    np.testing.assert_allclose(curve[0], exact.sum(0), atol=0.02)
    np.testing.assert_allclose(jacobian(lambda x: backward_only(x)[None], x)[0], slope[0], rtol=1e-6)


def test_where_there_is_forward_mode_it_is_used():
    function = lambda x: jnp.sum(jnp.sin(x)) * x[0]
    x = jnp.array([0.3, 0.2])
    np.testing.assert_allclose(hessian(function, x), jax.hessian(function)(x), rtol=1e-6)


#: Pelts of hares and lynxes in thousands, 1900 to 1920 (Hudson's Bay Company; Hewitt 1921), as in Stan's case study.
HARES = [30, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22, 25.4, 27.1, 40.3, 57, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7]  # fmt: skip
LYNXES = [4, 6.1, 9.8, 35.2, 59.4, 41.7, 19, 13, 8.3, 9.1, 7.4, 8, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6]  # fmt: skip


@pytest.mark.slow
def test_lynxes_and_hares_are_those_of_stan():
    def field(t, u, theta):
        (hare, lynx), (birth, eaten, death, fed) = u, theta
        return jnp.stack([(birth - eaten * lynx) * hare, (fed * hare - death) * lynx])

    def levels(p, d):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Tsit5(), 0.0, 20.0, 0.1, p.z_init, p.theta, saveat=diffrax.SaveAt(ts=d.t),
            stepsize_controller=diffrax.PIDController(1e-5, 1e-5), max_steps=1000, throw=False,
        )  # fmt: skip
        return jnp.maximum(solution.ys, 1e-6)

    model = jl.Model(
        prior={
            "theta": dist.TruncatedNormal(
                jnp.array([1, 0.05, 1, 0.05]), jnp.array([0.5, 0.05, 0.5, 0.05]), low=0.0
            ).to_event(1),
            "z_init": dist.LogNormal(jnp.log(10.0), 1.0).expand([2]).to_event(1),
            "sigma": dist.LogNormal(-1.0, 1.0).expand([2]).to_event(1),
        },
        likelihood=lambda p, d: {
            "first": dist.LogNormal(jnp.log(p.z_init), p.sigma),
            "later": dist.LogNormal(jnp.log(levels(p, d)), p.sigma),
        },
    )
    pelts = np.column_stack([HARES, LYNXES])
    start = {"theta": np.array([0.5, 0.03, 0.8, 0.03]), "z_init": np.array([30.0, 5.0]), "sigma": np.array([0.3, 0.3])}
    result = jl.fit(
        model,
        {"first": pelts[0], "later": pelts[1:], "t": np.arange(1.0, 21.0)},
        jl.NUTS(warmup=500, draws=500),
        seed=0,
        init=start,
    )
    summary = result.summary()
    # Carpenter (2018), Predator-prey population dynamics: the Lotka-Volterra model in Stan, to the digits printed there.
    published = {"theta[0]": (0.55, 0.005), "theta[1]": (0.03, 0.005), "theta[2]": (0.80, 0.005), "theta[3]": (0.02, 0.005),
                 "z_init[0]": (33.98, 0.05), "z_init[1]": (5.95, 0.01), "sigma[0]": (0.25, 0.005), "sigma[1]": (0.25, 0.005)}  # fmt: skip
    for name, (mean, digits) in published.items():
        assert abs(summary["mean"][name] - mean) < digits + 5 * summary["mcse_mean"][name], name
    assert (summary["r_hat"] < 1.05).all()
