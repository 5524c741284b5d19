"""Whole studies as one call: calibration, cross-validation, numbers of states, the bootstrap, a likelihood-ratio test, other priors."""

from jaxlatent.selection.bootstrapping import Bootstrap, bootstrap
from jaxlatent.selection.calibration import Calibration, calibrate
from jaxlatent.selection.choice import Selection, select
from jaxlatent.selection.cross_validation import CrossValidation, cross_validate
from jaxlatent.selection.likelihood_ratio import LikelihoodRatioTest, likelihood_ratio_test
from jaxlatent.selection.sensitivity import PriorSensitivity, prior_sensitivity

__all__ = [
    "Bootstrap",
    "Calibration",
    "CrossValidation",
    "LikelihoodRatioTest",
    "PriorSensitivity",
    "Selection",
    "bootstrap",
    "calibrate",
    "cross_validate",
    "likelihood_ratio_test",
    "prior_sensitivity",
    "select",
]
