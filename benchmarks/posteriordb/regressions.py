"""The regressions of posteriordb, each as a model and its data, under the names of posteriordb.

Linear regressions have the columns of `design` and a residual scale; flat priors where Stan's program states none.
"""

from collections.abc import Callable, Mapping
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


def logmesquite_logvash() -> ModelAndData:
    """Their logarithms, by volume, area, shape and height."""
    d = load_data("mesquite")
    area = d["diam1"] * d["diam2"]
    shape = d["diam1"] / d["diam2"]
    logs = (np.log(v) for v in (area * d["canopy_height"], area, shape, d["total_height"]))
    return linear(columns(*logs, d["group"]), np.log(d["weight"]))


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


CAUCHY = dist.HalfCauchy(2.5)
MOM_WORK = "kidiq_with_mom_work"

REGRESSIONS: dict[str, Callable[[], ModelAndData]] = {
    "kidscore_momhs": lambda: kidiq(lambda d: columns(d["mom_hs"]), CAUCHY),
    "kidscore_momiq": lambda: kidiq(lambda d: columns(d["mom_iq"]), CAUCHY),
    "kidscore_momhsiq": lambda: kidiq(lambda d: columns(d["mom_hs"], d["mom_iq"]), CAUCHY),
    "kidscore_interaction": lambda: kidiq(
        lambda d: columns(d["mom_hs"], d["mom_iq"], d["mom_hs"] * d["mom_iq"]), CAUCHY
    ),
    "kidscore_interaction_c2": lambda: kidiq(
        lambda d: columns(d["mom_hs"] - 0.5, d["mom_iq"] - 100, (d["mom_hs"] - 0.5) * (d["mom_iq"] - 100)),
        FLAT_SCALE,
        MOM_WORK,
    ),
    "kidscore_mom_work": lambda: kidiq(
        lambda d: columns(*(d["mom_work"] == level for level in (2, 3, 4))), FLAT_SCALE, MOM_WORK
    ),
    "earn_height": lambda: earnings(lambda d: columns(d["height"]), np.asarray),
    "log10earn_height": lambda: earnings(lambda d: columns(d["height"]), np.log10),
    "logearn_height": lambda: earnings(lambda d: columns(d["height"])),
    "logearn_height_male": lambda: earnings(lambda d: columns(d["height"], d["male"])),
    "logearn_interaction": lambda: earnings(lambda d: columns(d["height"], d["male"], d["height"] * d["male"])),
    "logearn_interaction_z": lambda: earnings(
        lambda d: columns(standardised(d["height"]), d["male"], standardised(d["height"]) * d["male"])
    ),
    "logearn_logheight_male": lambda: earnings(lambda d: columns(np.log(d["height"]), d["male"])),
    "mesquite": mesquite,
    "logmesquite_logvash": logmesquite_logvash,
    "nes1972": lambda: nes(1972),
    "nes1988": lambda: nes(1988),
    "nes2000": lambda: nes(2000),
    "sblrc": lambda: sblr("sblrc"),
    "sblri": lambda: sblr("sblri"),
    "kilpisjarvi": kilpisjarvi,
    "sesame_one_pred_a": sesame,
    "radon_pooled": radon_pooled,
    "wells_dist": lambda: wells(lambda d: columns(d["dist"])),
    "wells_interaction_model": lambda: wells(
        lambda d: columns(d["dist"] / 100, d["arsenic"], d["dist"] / 100 * d["arsenic"])
    ),
    "wells_interaction_c_model": lambda: wells(
        lambda d: columns(
            (d["dist"] - d["dist"].mean()) / 100,
            d["arsenic"] - d["arsenic"].mean(),
            (d["dist"] - d["dist"].mean()) / 100 * (d["arsenic"] - d["arsenic"].mean()),
        )
    ),
    "nes_logit_model": nes_logit,
    "GLM_Binomial_model": glm_binomial,
    "GLM_Poisson_model": glm_poisson,
    "diamonds": diamonds,
}
