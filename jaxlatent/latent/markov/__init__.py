"""Hidden Markov chains: likelihood with its own gradient, filter, smoother, most likely and random paths.

dynamax's functions do the same one sequence at a time and are what the tests compare with; `jaxlatent.latent.markov.reference` wraps them.
"""

from jaxlatent.latent.markov.inference import Filtered, Smoothed, filtered, smooth
from jaxlatent.latent.markov.normalizer import log_normalizer
from jaxlatent.latent.markov.paths import most_likely_states, sample_states, simulate_states

__all__ = [
    "Filtered",
    "Smoothed",
    "filtered",
    "log_normalizer",
    "most_likely_states",
    "sample_states",
    "simulate_states",
    "smooth",
]
