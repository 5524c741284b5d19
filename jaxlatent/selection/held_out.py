r"""Held-out scores by unit, and their mean per observed value with its standard error.

With the score :math:`s_u` of unit :math:`u`, in nats, and its number :math:`n_u` of observed values, the mean is the ratio
:math:`R = \sum_u s_u / \sum_u n_u`, and its standard error that of a ratio (Cochran 1977, section 2.11)

.. math::
    \mathrm{se} = \frac{1}{\sum_u n_u} \sqrt{\frac{m}{m - 1} \sum_u (s_u - R\,n_u)^2}

over the :math:`m` units. Where every unit is one value it is that of Vehtari, Gelman and Gabry (2017, equation 23). It takes units for
independent; that all folds share most of their training data is left out (Bengio and Grandvalet 2004: no estimator has it without bias).
"""

import math
from typing import Any, NamedTuple

import numpy as np

from jaxlatent.data.batches import Batch
from jaxlatent.results.result import Result
from jaxlatent.selection.folds import Folds
from jaxlatent.selection.layout import Layout

BITS = 1 / math.log(2)


class Scores(NamedTuple):
    """Held-out scores of the units of every dataset, ``(dataset, unit)``.

    Attributes:
        log_likelihood: in nats; NaN for units that no fold holds out.
        observations: the number of observed values; 0 for these.
        fold: that holds out the unit; -1 for none.
    """

    log_likelihood: np.ndarray
    observations: np.ndarray
    fold: np.ndarray


class Mean(NamedTuple):
    """A sum of scores, and the mean per observed value, in nats.

    Attributes:
        units, observations: numbers of them.
        log_likelihood: the sum.
        nats, se: the mean and its standard error; the latter NaN for a single unit.
    """

    units: int
    observations: int
    log_likelihood: float
    nats: float
    se: float


def score_units(result: Result, data: Batch, layout: Layout, folds: Folds, counts: np.ndarray) -> Scores:
    """The score of every unit under the fit that held it out.

    Args:
        result: of every fold of every dataset, and perhaps of more after these.
        data: what scores read of the data: under the names of the result, see `Folds.scored`.
        layout, folds: of the data.
        counts: number of observed values of each element, ``(dataset, element)``.
    """
    datasets, elements = folds.of.shape
    terms = result.log_predictive_density(data, result_data(result) if folds.blocks else None)
    own = [np.asarray(term, float)[: datasets * folds.number] for name, term in terms.items() if name in layout.units]
    if folds.blocks:
        by_fold: np.ndarray = np.sum([term.reshape(datasets, folds.number) for term in own], 0)
        each = np.take_along_axis(by_fold, np.maximum(folds.of, 0), 1)
        # The score is of the block as a whole: at its first step.
        first = np.zeros(folds.of.shape, bool)
        for mine, mark in zip(folds.of, first, strict=True):
            found, places = np.unique(mine, return_index=True)
            mark[places[found >= 0]] = True
        each = np.where(first, each, 0.0)
    else:
        shape = (datasets, folds.number, elements, -1)
        by_fold = np.sum([term.reshape(shape).sum(-1) for term in own], 0)
        each = np.take_along_axis(by_fold, np.maximum(folds.of, 0)[:, None], 1)[:, 0]
    held = folds.of >= 0
    width = int(folds.unit.max()) + 1

    def summed(values: np.ndarray) -> np.ndarray:
        rows = zip(folds.unit, held, values, strict=True)
        return np.stack([np.bincount(unit[out], value[out], width) for unit, out, value in rows])

    observations = summed(counts).astype(int)
    fold = np.full(observations.shape, -1)
    for row, unit, out, of in zip(fold, folds.unit, held, folds.of, strict=True):
        row[unit[out]] = of[out]
    return Scores(np.where(fold >= 0, summed(each), np.nan), observations, fold)


def result_data(result: Result) -> Batch:
    """The data of a result of a batch."""
    return Batch(result.posterior.data, result.names or ())


def mean_of(scores: np.ndarray, observations: np.ndarray) -> Mean:
    """Sum and mean of the scores of units with observations; NaN if one of them is. See the module for the standard error."""
    held = observations > 0
    own, number = scores[held], observations[held]
    units, total, count = len(own), float(own.sum()), int(number.sum())
    ratio = total / count if count else math.nan
    if units < 2 or not math.isfinite(ratio):
        return Mean(units, count, total, ratio, math.nan)
    spread = float(np.sum((own - ratio * number) ** 2))
    return Mean(units, count, total, ratio, math.sqrt(units / (units - 1) * spread) / count)


def columns_of(mean: Mean) -> dict[str, Any]:
    """The columns of a table."""
    return {
        "units": mean.units,
        "observations": mean.observations,
        "log_likelihood": mean.log_likelihood,
        "nats": mean.nats,
        "nats_se": mean.se,
        "bits": mean.nats * BITS,
        "bits_se": mean.se * BITS,
    }
