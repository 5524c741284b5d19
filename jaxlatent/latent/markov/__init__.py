"""Inference in hidden Markov chains: likelihood with a custom gradient, filter, smoother, Viterbi paths and path sampling."""

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
