"""Latent-variable and hierarchical Bayesian models in JAX: a thousand fits are one compiled program."""

from importlib.metadata import PackageNotFoundError, version

from jaxlatent import models
from jaxlatent.adapters import from_log_density, from_numpyro
from jaxlatent.calibration import calibrate
from jaxlatent.condition import condition
from jaxlatent.data import Batch, Masked, batch
from jaxlatent.devices import use_cpu_cores
from jaxlatent.diagnostics import compare
from jaxlatent.distributions import Factor, HiddenMarkov, centred, informed, noncentred, ordered, partially_centred
from jaxlatent.engines import ADVI, DADVI, EM, NUTS, Laplace, Optimize, Pathfinder
from jaxlatent.errors import InputError, JaxlatentError
from jaxlatent.execute import fit, run, until
from jaxlatent.fixing import fix, tie
from jaxlatent.latent import responsibilities
from jaxlatent.model import Model
from jaxlatent.models import MixtureDensityNetwork
from jaxlatent.posterior import Posterior
from jaxlatent.prior import PriorDraws, sample_prior
from jaxlatent.results import Result
from jaxlatent.status import Status

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
    "Factor",
    "HiddenMarkov",
    "InputError",
    "JaxlatentError",
    "Laplace",
    "Masked",
    "MixtureDensityNetwork",
    "Model",
    "Optimize",
    "Pathfinder",
    "Posterior",
    "PriorDraws",
    "Result",
    "Status",
    "batch",
    "calibrate",
    "centred",
    "compare",
    "condition",
    "fit",
    "fix",
    "from_log_density",
    "from_numpyro",
    "informed",
    "models",
    "noncentred",
    "ordered",
    "partially_centred",
    "responsibilities",
    "run",
    "sample_prior",
    "tie",
    "until",
    "use_cpu_cores",
]
