"""Whole studies as one batch of fits."""

from jaxlatent.selection.calibration import calibrate

__all__ = ["calibrate"]
