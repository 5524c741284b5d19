"""Latent-variable and hierarchical Bayesian models in JAX: a thousand fits are one compiled program."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from jaxlatent import models
from jaxlatent.data import Batch, Masked, batch, exponential_filter, lag, sequences, table, win_stay_lose_switch
from jaxlatent.diagnostics import compare
from jaxlatent.distributions import Factor, centred, flat, informed, noncentred, ordered, partially_centred
from jaxlatent.engines import ADVI, DADVI, EM, NUTS, ChEES, Laplace, Optimize, Pathfinder
from jaxlatent.errors import InputError, JaxlatentError, StoreError
from jaxlatent.execute import Plan, fit, plan, resume, run, until
from jaxlatent.execute import open_run as open
from jaxlatent.execute.compilation_cache import enable_compilation_cache
from jaxlatent.execute.devices import use_cpu_cores
from jaxlatent.latent import responsibilities
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.model import Model, fix, tie
from jaxlatent.posterior import Posterior, condition, from_log_density, from_numpyro, from_pymc
from jaxlatent.results import PriorDraws, Result, sample_prior
from jaxlatent.selection import (
    Bootstrap,
    Calibration,
    CrossValidation,
    LikelihoodRatioTest,
    PriorSensitivity,
    Selection,
    bootstrap,
    calibrate,
    cross_validate,
    likelihood_ratio_test,
    prior_sensitivity,
    select,
)
from jaxlatent.status import Status

if TYPE_CHECKING:
    from jaxlatent import datasets as datasets
    from jaxlatent import sklearn as sklearn
    from jaxlatent.models import MixtureDensityNetwork

try:
    __version__ = version("jaxlatent")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "unknown"

__all__ = [
    "ADVI",
    "DADVI",
    "EM",
    "NUTS",
    "Batch",
    "Bootstrap",
    "Calibration",
    "ChEES",
    "CrossValidation",
    "Factor",
    "HiddenMarkov",
    "InputError",
    "JaxlatentError",
    "Laplace",
    "LikelihoodRatioTest",
    "Masked",
    "MixtureDensityNetwork",
    "Model",
    "Optimize",
    "Pathfinder",
    "Plan",
    "Posterior",
    "PriorDraws",
    "PriorSensitivity",
    "Result",
    "Selection",
    "Status",
    "StoreError",
    "batch",
    "bootstrap",
    "calibrate",
    "centred",
    "compare",
    "condition",
    "cross_validate",
    "enable_compilation_cache",
    "exponential_filter",
    "fit",
    "fix",
    "flat",
    "from_log_density",
    "from_numpyro",
    "from_pymc",
    "informed",
    "lag",
    "likelihood_ratio_test",
    "models",
    "noncentred",
    "open",
    "ordered",
    "partially_centred",
    "plan",
    "prior_sensitivity",
    "responsibilities",
    "resume",
    "run",
    "sample_prior",
    "select",
    "sequences",
    "table",
    "tie",
    "until",
    "use_cpu_cores",
    "win_stay_lose_switch",
]


def __getattr__(name: str) -> Any:
    if name == "MixtureDensityNetwork":  # Flax is imported where a network is used
        return models.MixtureDensityNetwork
    if name in ("datasets", "sklearn"):  # examples; the estimators, which are an extra
        return import_module(f"jaxlatent.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "datasets", "sklearn"})
