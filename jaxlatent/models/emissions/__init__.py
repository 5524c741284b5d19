"""What the states of a hidden Markov model, or the components of a mixture, emit: one observation ``y`` of a step.

Each class is one family of distributions: its priors, its distribution for all ``K`` states at once, its M-step under weights, and where
it starts. `jaxlatent.models.hmm` and `jaxlatent.models.mixture` put them together; a class of your own with the same methods serves as
well. Parameters carry dynamax's names.
"""

from jaxlatent.models.emissions.counts import Bernoulli, Categorical, NegativeBinomial, Poisson
from jaxlatent.models.emissions.gaussian import Gaussian
from jaxlatent.models.emissions.glm import BernoulliRegression, PoissonRegression
from jaxlatent.models.emissions.multinomial import CategoricalRegression
from jaxlatent.models.emissions.regressions import Autoregression, HeteroscedasticRegression, LinearRegression
from jaxlatent.models.emissions.student import StudentT

__all__ = [
    "Autoregression",
    "Bernoulli",
    "BernoulliRegression",
    "Categorical",
    "CategoricalRegression",
    "Gaussian",
    "HeteroscedasticRegression",
    "LinearRegression",
    "NegativeBinomial",
    "Poisson",
    "PoissonRegression",
    "StudentT",
]
