"""Distributions and coordinates that numpyro.distributions lacks."""

from jaxlatent.distributions.centring import Recentred, centred, informed, noncentred, partially_centred

__all__ = ["Recentred", "centred", "informed", "noncentred", "partially_centred"]
