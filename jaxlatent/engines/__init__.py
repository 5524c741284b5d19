"""Inference algorithms, one file each, written for one lane of one dataset."""

from jaxlatent.engines.nuts import NUTS

__all__ = ["NUTS"]
