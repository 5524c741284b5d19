"""The study of simulated mice beside what their trials were drawn from."""

from typing import NamedTuple

import numpy as np

import jaxlatent as jl
from jaxlatent.datasets import Mice
from jaxlatent.demos.mice import Study


class Recovery(NamedTuple):
    """How near the fits are to what the trials were drawn from.

    Attributes:
        group, own: the pooled fit, and those of each animal, their states in the order of the truth.
        population: true and pooled weights, ``(2, K, input)``.
        animals: true and fitted weights, ``(2, animal, K, input)``.
        correlation: of the deviations of animals from the population, fitted and true, over all states and inputs.
        decoded: the share of observed trials whose true state is the most probable one under the fit of the animal.
    """

    group: jl.Result
    own: jl.Result
    population: np.ndarray
    animals: np.ndarray
    correlation: float
    decoded: float


def recovery(truth: Mice, found: Study) -> Recovery:
    """The fits beside the truth, in whose order the states are put."""
    group, own = found.group.align(to=truth.params), found.own.align(to=truth.params).best()
    fitted = own.params["weights"]
    deviations = [truth.weights - truth.params["weights"], fitted - group.params["weights"]]
    probs = own.smooth()["y"]
    likely = found.each.in_rows(probs.argmax(-1))
    seen = np.array([choice is not None for choice in truth.table["choice"]])
    return Recovery(
        group,
        own,
        np.stack([truth.params["weights"], group.params["weights"]]),
        np.stack([truth.weights, fitted]),
        float(np.corrcoef(*(deviation.ravel() for deviation in deviations))[0, 1]),
        float((likely == truth.states)[seen].mean()),
    )
