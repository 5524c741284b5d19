"""Ready families of mixtures, mixtures of experts, hidden Markov models and density networks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaxlatent.models import emissions
from jaxlatent.models.chains import Initial, InputDriven, Stationary
from jaxlatent.models.families import gaussian_mixture, hmm, mixture, mixture_of_experts, regression_mixture
from jaxlatent.models.hierarchical import hierarchical
from jaxlatent.models.interfaces import Emission, Transitions, Weights
from jaxlatent.models.weights import Constant, Gate

if TYPE_CHECKING:
    from jaxlatent.models.density_network import MixtureDensityNetwork, mixture_density_network
    from jaxlatent.models.network import Network

__all__ = [
    "Constant",
    "Emission",
    "Gate",
    "Initial",
    "InputDriven",
    "MixtureDensityNetwork",
    "Network",
    "Stationary",
    "Transitions",
    "Weights",
    "emissions",
    "gaussian_mixture",
    "hierarchical",
    "hmm",
    "mixture",
    "mixture_density_network",
    "mixture_of_experts",
    "regression_mixture",
]

#: Flax is a tenth of a second of ``import jaxlatent``, and only networks use it.
_NEURAL = {
    "MixtureDensityNetwork": "jaxlatent.models.density_network",
    "mixture_density_network": "jaxlatent.models.density_network",
    "Network": "jaxlatent.models.network",
}


def __getattr__(name: str) -> Any:
    if name in _NEURAL:
        return getattr(import_module(_NEURAL[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
