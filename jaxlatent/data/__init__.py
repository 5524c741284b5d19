"""Reading and checking of data: one dataset, or a batch of datasets that share a model."""

from jaxlatent.data.arrays import Masked
from jaxlatent.data.batches import Batch, batch
from jaxlatent.data.lags import exponential_filter, lag, win_stay_lose_switch
from jaxlatent.data.tables import TableBatch, TableData, sequences, table

__all__ = [
    "Batch",
    "Masked",
    "TableBatch",
    "TableData",
    "batch",
    "exponential_filter",
    "lag",
    "sequences",
    "table",
    "win_stay_lose_switch",
]
