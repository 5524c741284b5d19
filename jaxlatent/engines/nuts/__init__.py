"""The no-U-turn sampler: trajectory, transition, warm-up."""

from jaxlatent.engines.nuts.nuts import NUTS

__all__ = ["NUTS"]
