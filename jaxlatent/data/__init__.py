"""Reading and checking of data: one dataset, or a batch of datasets that share a model."""

from jaxlatent.data.arrays import Batch, Masked, batch

__all__ = ["Batch", "Masked", "batch"]
