"""Distributions missing from numpyro.distributions, and the centring of priors."""

from jaxlatent.distributions.centring import Recentred, centred, informed, noncentred, partially_centred
from jaxlatent.distributions.factor import Factor
from jaxlatent.distributions.flat import flat
from jaxlatent.distributions.ordered import Ordered, ordered

__all__ = [
    "Factor",
    "Ordered",
    "Recentred",
    "centred",
    "flat",
    "informed",
    "noncentred",
    "ordered",
    "partially_centred",
]
