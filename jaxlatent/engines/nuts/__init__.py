"""The no-U-turn sampler: kernel, mass matrix, warm-up."""

from jaxlatent.engines.nuts.nuts import NUTS

__all__ = ["NUTS"]
