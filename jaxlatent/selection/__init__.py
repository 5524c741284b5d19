"""Studies of many fits as one batch: simulation-based calibration, cross-validation, and the choice of the number of states."""

from jaxlatent.selection.calibration import calibrate
from jaxlatent.selection.choice import Selection, select
from jaxlatent.selection.cross_validation import CrossValidation, cross_validate

__all__ = ["CrossValidation", "Selection", "calibrate", "cross_validate", "select"]
