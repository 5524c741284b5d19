"""Ready families of models with hidden labels and paths, for every engine."""

from jaxlatent.models import emissions
from jaxlatent.models.chains import Initial, InputDriven, Stationary
from jaxlatent.models.density_network import MixtureDensityNetwork, mixture_density_network
from jaxlatent.models.families import gaussian_mixture, hmm, mixture, mixture_of_experts, regression_mixture
from jaxlatent.models.interfaces import Emission, Transitions, Weights
from jaxlatent.models.network import Network
from jaxlatent.models.weights import Constant, Gate

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
    "hmm",
    "mixture",
    "mixture_density_network",
    "mixture_of_experts",
    "regression_mixture",
]
