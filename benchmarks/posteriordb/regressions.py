"""Regressions, each as a model and its data, under the names of posteriordb.

Linear regressions have the columns of `design` and a residual scale; flat priors where Stan's program states none.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import constraints

import jaxlatent as jl
from benchmarks.posteriordb.data import load_data

Data = Mapping[str, Any]
ModelAndData = tuple[jl.Model, dict[str, Any]]


def flat(size: int) -> dist.Distribution:
    """A flat prior of ``size`` coefficients."""
    return dist.ImproperUniform(constraints.real_vector, (), (size,))


FLAT_SCALE = dist.ImproperUniform(constraints.positive, (), ())


def columns(*values: Any) -> np.ndarray:
    """A design matrix with an intercept."""
    return np.column_stack([np.ones(len(values[0])), *values])


def linear(x: np.ndarray, y: np.ndarray, sigma: dist.Distribution = FLAT_SCALE, beta: Any = None) -> ModelAndData:
    """Normal linear regression on the columns of ``x``."""
    model = jl.Model(
        prior={"beta": flat(x.shape[1]) if beta is None else beta, "sigma": sigma},
        likelihood=lambda p, d: {"y": dist.Normal(d.x @ p.beta, p.sigma)},
    )
    return model, {"x": x, "y": y}


def logistic(x: np.ndarray, y: np.ndarray) -> ModelAndData:
    """Logistic regression on the columns of ``x``, with flat priors."""
    model = jl.Model(
        prior={"beta": flat(x.shape[1])},
        likelihood=lambda p, d: {"y": dist.Bernoulli(logits=d.x @ p.beta)},
    )
    return model, {"x": x, "y": y.astype(int)}


def standardised(x: np.ndarray) -> np.ndarray:
    """Zero mean and unit standard deviation, as in Stan."""
    return (x - x.mean()) / x.std(ddof=1)


def kidiq(design: Callable[[Data], np.ndarray], sigma: dist.Distribution, data: str = "kidiq") -> ModelAndData:
    """Test scores of children."""
    d = load_data(data)
    return linear(design(d), d["kid_score"], sigma)


def earnings(design: Callable[[Data], np.ndarray], response: Callable[[Any], Any] = np.log) -> ModelAndData:
    """Earnings by height and sex."""
    d = load_data("earnings")
    return linear(design(d), response(d["earn"]))


def mesquite() -> ModelAndData:
    """Weights of mesquite bushes."""
    d = load_data("mesquite")
    names = ("diam1", "diam2", "canopy_height", "total_height", "density", "group")
    return linear(columns(*(d[name] for name in names)), d["weight"])


def log_mesquite(*names: str) -> ModelAndData:
    """Logarithms of weights, by logarithms of the named measures and the group."""
    d = load_data("mesquite")
    area = d["diam1"] * d["diam2"]
    measures = {**d, "area": area, "volume": area * d["canopy_height"], "shape": d["diam1"] / d["diam2"]}
    logs = [np.log(measures[name]) for name in names]
    # The model of the volume alone leaves the group out.
    return linear(columns(*logs) if names == ("volume",) else columns(*logs, d["group"]), np.log(d["weight"]))


def nes(year: int) -> ModelAndData:
    """Party identification in a year's National Election Study."""
    d = load_data(f"nes{year}")
    ages = (d["age_discrete"] == age for age in (2, 3, 4))
    x = columns(d["real_ideo"], d["race_adj"], *ages, d["educ1"], d["gender"], d["income"])
    return linear(x, d["partyid7"])


def diamonds() -> ModelAndData:
    """Logarithms of prices of diamonds, by 24 centred columns."""
    d = load_data("diamonds")
    x = d["X"][:, 1:]
    model = jl.Model(
        prior={
            "b": dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1),
            "Intercept": dist.StudentT(3.0, 8.0, 10.0),
            "sigma": dist.FoldedDistribution(dist.StudentT(3.0, 0.0, 10.0)),
        },
        likelihood=lambda p, d: {"Y": dist.Normal(p.Intercept + d.Xc @ p.b, p.sigma)},
    )
    return model, {"Xc": x - x.mean(0), "Y": d["Y"]}


def sblr(data: str) -> ModelAndData:
    """Simulated regressions with correlated ("sblrc") or independent ("sblri") columns."""
    d = load_data(data)
    beta = dist.Normal(0.0, 10.0).expand([d["X"].shape[1]]).to_event(1)
    return linear(d["X"], d["y"], dist.HalfNormal(10.0), beta)


def kilpisjarvi() -> ModelAndData:
    """Summer temperatures by year, uncentred."""
    d = load_data("kilpisjarvi_mod")
    model = jl.Model(
        prior={
            "alpha": dist.Normal(d["pmualpha"], d["psalpha"]),
            "beta": dist.Normal(d["pmubeta"], d["psbeta"]),
            "sigma": FLAT_SCALE,
        },
        likelihood=lambda p, d: {"y": dist.Normal(p.alpha + p.beta * d.x, p.sigma)},
    )
    return model, {"x": d["x"], "y": d["y"]}


def sesame() -> ModelAndData:
    """Watching by encouragement."""
    d = load_data("sesame_data")
    return linear(columns(d["encouraged"]), d["watched"])


def radon_pooled() -> ModelAndData:
    """Radon of all counties together."""
    d = load_data("radon_mn")
    beta = dist.Normal(0.0, 10.0).expand([2]).to_event(1)
    return linear(columns(d["floor_measure"]), d["log_radon"], dist.HalfNormal(1.0), beta)


def wells(design: Callable[[Data], np.ndarray]) -> ModelAndData:
    """Switching of wells."""
    d = load_data("wells_data")
    return logistic(design(d), d["switched"])


def nes_logit() -> ModelAndData:
    """Votes by income."""
    d = load_data("nes_logit_data")
    return logistic(columns(d["income"]), d["vote"])


def glm_binomial() -> ModelAndData:
    """Binomial counts with a quadratic trend."""
    d = load_data("GLM_Binomial_data")
    model = jl.Model(
        prior={"beta": dist.Normal(0.0, 100.0).expand([3]).to_event(1)},
        likelihood=lambda p, d: {"C": dist.Binomial(d.N, logits=d.x @ p.beta)},
    )
    return model, {"x": columns(d["year"], d["year"] ** 2), "N": d["N"], "C": d["C"]}


def glm_poisson() -> ModelAndData:
    """Poisson counts with a cubic trend."""
    d = load_data("GLM_Poisson_Data")
    bounds = jnp.array([20.0, 10.0, 10.0, 10.0])
    model = jl.Model(
        prior={"beta": dist.Uniform(-bounds, bounds).to_event(1)},
        likelihood=lambda p, d: {"C": dist.Poisson(jnp.exp(d.x @ p.beta))},
    )
    return model, {"x": columns(d["year"], d["year"] ** 2, d["year"] ** 3), "C": d["C"]}


def interaction(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Two columns and their product, with an intercept."""
    return columns(x, z, x * z)


CAUCHY = dist.HalfCauchy(2.5)
MOM_WORK = "kidiq_with_mom_work"

REGRESSIONS: dict[str, Callable[[], ModelAndData]] = {
    "kidiq-kidscore_momhs": lambda: kidiq(lambda d: columns(d["mom_hs"]), CAUCHY),
    "kidiq-kidscore_momiq": lambda: kidiq(lambda d: columns(d["mom_iq"]), CAUCHY),
    "kidiq-kidscore_momhsiq": lambda: kidiq(lambda d: columns(d["mom_hs"], d["mom_iq"]), CAUCHY),
    "kidiq-kidscore_interaction": lambda: kidiq(lambda d: interaction(d["mom_hs"], d["mom_iq"]), CAUCHY),
    "kidiq_with_mom_work-kidscore_interaction_c": lambda: kidiq(
        lambda d: interaction(d["mom_hs"] - d["mom_hs"].mean(), d["mom_iq"] - d["mom_iq"].mean()), FLAT_SCALE, MOM_WORK
    ),
    "kidiq_with_mom_work-kidscore_interaction_c2": lambda: kidiq(
        lambda d: interaction(d["mom_hs"] - 0.5, d["mom_iq"] - 100), FLAT_SCALE, MOM_WORK
    ),
    "kidiq_with_mom_work-kidscore_interaction_z": lambda: kidiq(
        lambda d: interaction(standardised(d["mom_hs"]) / 2, standardised(d["mom_iq"]) / 2), FLAT_SCALE, MOM_WORK
    ),
    "kidiq_with_mom_work-kidscore_mom_work": lambda: kidiq(
        lambda d: columns(*(d["mom_work"] == level for level in (2, 3, 4))), FLAT_SCALE, MOM_WORK
    ),
    "earnings-earn_height": lambda: earnings(lambda d: columns(d["height"]), np.asarray),
    "earnings-log10earn_height": lambda: earnings(lambda d: columns(d["height"]), np.log10),
    "earnings-logearn_height": lambda: earnings(lambda d: columns(d["height"])),
    "earnings-logearn_height_male": lambda: earnings(lambda d: columns(d["height"], d["male"])),
    "earnings-logearn_interaction": lambda: earnings(lambda d: interaction(d["height"], d["male"])),
    "earnings-logearn_interaction_z": lambda: earnings(lambda d: interaction(standardised(d["height"]), d["male"])),
    "earnings-logearn_logheight_male": lambda: earnings(lambda d: columns(np.log(d["height"]), d["male"])),
    "mesquite-mesquite": mesquite,
    "mesquite-logmesquite": lambda: log_mesquite("diam1", "diam2", "canopy_height", "total_height", "density"),
    "mesquite-logmesquite_logva": lambda: log_mesquite("volume", "area"),
    "mesquite-logmesquite_logvas": lambda: log_mesquite("volume", "area", "shape", "total_height", "density"),
    "mesquite-logmesquite_logvash": lambda: log_mesquite("volume", "area", "shape", "total_height"),
    "mesquite-logmesquite_logvolume": lambda: log_mesquite("volume"),
    **{f"nes{year}-nes": partial(nes, year) for year in range(1972, 2001, 4)},
    "sblrc-blr": lambda: sblr("sblrc"),
    "sblri-blr": lambda: sblr("sblri"),
    "kilpisjarvi_mod-kilpisjarvi": kilpisjarvi,
    "sesame_data-sesame_one_pred_a": sesame,
    "radon_mn-radon_pooled": radon_pooled,
    "wells_data-wells_dist": lambda: wells(lambda d: columns(d["dist"])),
    "wells_data-wells_interaction_model": lambda: wells(lambda d: interaction(d["dist"] / 100, d["arsenic"])),
    "wells_data-wells_interaction_c_model": lambda: wells(
        lambda d: interaction((d["dist"] - d["dist"].mean()) / 100, d["arsenic"] - d["arsenic"].mean())
    ),
    "nes_logit_data-nes_logit_model": nes_logit,
    "GLM_Binomial_data-GLM_Binomial_model": glm_binomial,
    "GLM_Poisson_Data-GLM_Poisson_model": glm_poisson,
    "diamonds-diamonds": diamonds,
}
