"""Studies of many fits as one batch: simulation-based calibration."""

from jaxlatent.selection.calibration import calibrate

__all__ = ["calibrate"]
