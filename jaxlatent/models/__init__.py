"""Ready families of models with hidden labels and paths, for every engine."""

from jaxlatent.models import emissions
from jaxlatent.models.chains import Initial, InputDriven, Stationary
from jaxlatent.models.families import gaussian_mixture, hmm, mixture, regression_mixture

__all__ = [
    "Initial",
    "InputDriven",
    "Stationary",
    "emissions",
    "gaussian_mixture",
    "hmm",
    "mixture",
    "regression_mixture",
]
