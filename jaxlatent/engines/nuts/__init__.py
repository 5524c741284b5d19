"""The no-U-turn sampler, one leapfrog step at a time."""

from jaxlatent.engines.nuts.nuts import NUTS

__all__ = ["NUTS"]
