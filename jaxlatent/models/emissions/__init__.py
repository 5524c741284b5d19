"""Emission distributions of hidden Markov models and mixtures, for the observation ``y``.

Each class is one family of distributions: its priors, its distribution for all ``K`` states at once, its weighted M-step, and its start.
They are parts of `jaxlatent.models.hmm` and `jaxlatent.models.mixture`, as is any class of your own with the same methods. Parameters
have dynamax's names.
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
