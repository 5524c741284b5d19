r"""`bootstrap`: standard errors, bias and intervals of point fits from replicates that are fitted as one batch.

With the estimate :math:`\hat\theta` and its :math:`R` replicates :math:`\theta^*_r` (Efron 1979; Davison and Hinkley 1997, chapters 2, 5)
the bias is :math:`\bar\theta^* - \hat\theta`, the standard error the standard deviation of the replicates, the percentile interval
:math:`(\theta^*_{(\alpha)}, \theta^*_{(1-\alpha)})` (equation 5.18) and the basic, or reverse percentile, interval
:math:`(2\hat\theta - \theta^*_{(1-\alpha)}, 2\hat\theta - \theta^*_{(\alpha)})` (equation 5.6), with quantiles at ranks
:math:`(R + 1)\alpha`. The Monte Carlo error of a standard error is about :math:`1 / \sqrt{2 R}` of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import jax
import numpy as np

from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine, Search
from jaxlatent.errors import InputError, did_you_mean, require
from jaxlatent.execute.fit import fit
from jaxlatent.keys import Purpose, key_for
from jaxlatent.masks import widen
from jaxlatent.model.dims import coords_for
from jaxlatent.model.model import Model
from jaxlatent.results import predictive
from jaxlatent.results.result import Result
from jaxlatent.results.summary import frame, joined, labels
from jaxlatent.selection.arguments import check_model, check_options, check_point_engine, options_of
from jaxlatent.selection.assumptions import check_simulation, check_units, first_of
from jaxlatent.selection.points import Points, endings, in_order, points_of, starts_at
from jaxlatent.selection.replicates import batch_of, resample, simulate
from jaxlatent.typing import Data, Key

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Bootstrap:
    """A point fit and its replicates.

    Attributes:
        kind: "parametric", or what was drawn with replacement: "row" or "sequence".
        estimates: parameters and derived quantities of the fit to the data, ``(dataset?, ...)``.
        replicates: the same of the replicates, ``(dataset?, replicate, ...)``, with hidden labels in the order of the fit to the data;
            NaN where a replicate failed.
        original: the fit to the data, at its best restart.
        result: all replicate fits: its datasets are "replicate 0", "replicate 1", ..., for a batch "name, replicate 0", ..., with labels
            as each fit left them.
    """

    kind: str
    estimates: Mapping[str, np.ndarray] = field(repr=False)
    replicates: Mapping[str, np.ndarray] = field(repr=False)
    original: Result = field(repr=False)
    result: Result = field(repr=False)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the replicates that failed, and are left out."""
        return self.result.failed

    @property
    def table(self) -> "pd.DataFrame":
        """`summary` of everything."""
        return self.summary()

    def summary(self, names: Sequence[str] | None = None, prob: float = 0.94) -> "pd.DataFrame":
        """A row a parameter and derived quantity, as in `jaxlatent.Result.summary`; for a batch by dataset.

        Columns: ``estimate``, ``bias``, ``se``, and the ends of the ``percentile`` and ``basic`` intervals; see
        `jaxlatent.selection.bootstrapping`. NaN where a dataset has too few replicates that did not fail: two for a standard error, and for
        an interval one beyond each end.

        Args:
            names: of parameters and derived quantities; all by default.
            prob: of the intervals.

        Raises:
            InputError: for an unknown name, or a ``prob`` that is not between 0 and 1.
        """
        require(0 < prob < 1, "bootstrap.summary(prob=...)", got=prob, expected="a probability between 0 and 1")
        known = tuple(self.estimates)
        for name in names or ():
            if name not in known:
                raise InputError(
                    "bootstrap.summary(names=...)",
                    got=repr(name),
                    expected=f"names among {list(known)}",
                    remedy=did_you_mean(name, known),
                )
        values = {name: self.estimates[name] for name in names or known}
        leading = len(self.original.leading)
        rows = [label for name in values for label in labels(self.original, name, values[name])]
        estimate = joined(values, leading)
        drawn = joined({name: self.replicates[name] for name in values}, leading + 1)
        count, tail = drawn.shape[leading], (1 - prob) / 2
        kept = ~points_of(self.result).failed.reshape(-1, count)
        each = zip(estimate.reshape(-1, len(rows)), drawn.reshape(-1, count, len(rows)), kept, strict=True)
        columns = [_columns(one, own[use], tail) for one, own, use in each]
        table = {name: np.stack([column[name] for column in columns]) for name in columns[0]}
        if not leading:
            table = {name: value[0] for name, value in table.items()}
        return frame(self.original, rows, table, lanes=False)

    def __str__(self) -> str:
        total, datasets = len(self.result.names or ()), self.original.names
        many = (
            f"{total} replicates"
            if datasets is None
            else f"{total // len(datasets)} replicates of {len(datasets)} datasets"
        )
        drawn = "parametric" if self.kind == "parametric" else f"{self.kind}s drawn with replacement"
        lines = [f"bootstrap, {drawn}: {many}", self.summary().to_string(float_format="{:.4f}".format)]
        lines += endings(self.result)
        return "\n".join(lines)

    __repr__ = __str__


def _columns(estimate: np.ndarray, drawn: np.ndarray, tail: float) -> dict[str, np.ndarray]:
    """The columns of one dataset, from the replicates ``(replicate, entry)`` that did not fail."""
    low, high = f"{100 * tail:.3g}%", f"{100 - 100 * tail:.3g}%"
    if len(drawn) < 2:
        drawn = np.full((2, len(estimate)), np.nan)
    ends = np.quantile(drawn, [tail, 1 - tail], axis=0, method="weibull")
    if tail * (len(drawn) + 1) < 1:
        ends = np.full_like(ends, np.nan)
    return {
        "estimate": estimate,
        "bias": drawn.mean(0) - estimate,
        "se": drawn.std(0, ddof=1),
        f"percentile_{low}": ends[0],
        f"percentile_{high}": ends[1],
        f"basic_{low}": 2 * estimate - ends[1],
        f"basic_{high}": 2 * estimate - ends[0],
    }


def bootstrap(
    model: Model,
    data: Data | Batch,
    engine: Engine,
    seed: int | Key,
    *,
    replicates: int = 200,
    kind: Literal["parametric", "units"] = "parametric",
    init: Mapping[str, Any] | Result | None = None,
    **options: Any,
) -> Bootstrap:
    """Standard errors, bias and intervals of a point fit, from replicates fitted as one batch.

    Every replicate has the shapes, and starts once from the estimates: what it tells is how the estimate varies around this maximum, not
    whether another one is better. Hidden labels are brought into the order of the fit to the data by `jaxlatent.Result.align`, unless the
    model has an order of them or several kinds. Priors in units of the data follow the replicate.

    Args:
        model: any `Model`.
        data: one dataset, or a batch, each of whose datasets has replicates of its own.
        engine: of point fits, such as ``EM(...)`` or ``Optimize(objective="mle")``. Its restarts are those of the fit to the data.
        seed: an int or a typed JAX key, for the fits and the replicates.
        replicates: number of replicates of each dataset.
        kind:

            - "parametric": observations are drawn from the best fit, given all its parameters, effects of groups included. Covariates and
              masks stay, also covariates that were made of earlier observations, such as `jaxlatent.lag` (a fixed design).
            - "units": rows, or the sequences of hidden Markov models, are drawn with replacement, with their covariates and masks (Efron
              1979; it holds if the model is wrong). Entries of the data with as many rows as the observations go with them.
        init: see `jaxlatent.fit`, for the fit to the data.
        options: of `jaxlatent.fit`; a ``store`` has subfolders "data" and "replicates".

    Returns:
        A `Bootstrap`, which prints as a table.

    Raises:
        InputError: before any fit for engines that draw and unknown options; for "parametric" if observations cannot be drawn, or depend on
            observed values; for "units" if there is one sequence only, or units depend on each other or on their place. Before the
            replicates are fitted if the fit to the data failed.
    """
    check_model("bootstrap", model, "whose data can be drawn anew")
    check_options("bootstrap", options, ("replicates", "kind"), "replicates")
    check_point_engine("bootstrap", engine)
    require(replicates >= 2, "bootstrap(replicates=...)", got=replicates, expected="at least 2 replicates")
    kinds = ("parametric", "units")
    require(kind in kinds, "bootstrap(kind=...)", got=kind, expected=f"one of {kinds}")
    layout = None if kind == "parametric" else check_units("bootstrap", model, first_of(data))
    if layout is None:
        check_simulation("bootstrap", model, first_of(data))
    keys = [jax.random.fold_in(key_for(Purpose.BOOTSTRAP, seed), i) for i in range(3)]
    fitted = fit(model, data, engine, keys[0], init=init, **options_of(options, "data"))
    points = points_of(fitted)
    drawn = simulate(points, replicates, keys[1]) if layout is None else resample(layout, points, replicates, keys[1])
    batch = batch_of("bootstrap", points, drawn, replicates, options.get("on_bad_data") == "quarantine")
    own = {
        **options_of(options, "replicates"),
        "coords": coords_for(model, data, options.get("coords")),
        "on_bad_data": "quarantine",
    }
    once = replace(cast(Any, engine), restarts=1) if isinstance(engine, Search) else engine
    result = fit(model, batch, once, keys[2], init=starts_at(points, replicates), **own)
    parts = [points_of(in_order(one, best)) for one, best in _by_dataset(result, fitted, replicates)]
    values = _values(points, parts)
    if points.names is None:
        values = {name: value[0] for name, value in values.items()}
    best = fitted.best()
    return Bootstrap(kind if layout is None else layout.kind, {**best.params, **best.derived}, values, best, result)


def _by_dataset(result: Result, fitted: Result, count: int) -> Iterator[tuple[Result, Result]]:
    """The replicate fits of each dataset, and the fit that they replicate."""
    if fitted.names is None:
        yield result, fitted
        return
    names = result.names or ()
    for i, name in enumerate(fitted.names):
        yield result.select(names[i * count : (i + 1) * count]), fitted[name]


def _values(points: Points, parts: Sequence[Points]) -> dict[str, np.ndarray]:
    """Parameters and derived quantities of the replicates of each dataset, ``(dataset, replicate, ...)``; NaN where they failed.

    Derived quantities are functions of the parameters: they are computed from these with the data themselves, not with the replicates.
    """
    params = {name: np.stack([part.params[name] for part in parts]) for name in points.params}
    values = {**params, **predictive.derived(points.posterior, params)}
    lost = np.stack([part.failed for part in parts])
    numbers = {name: np.asarray(value, float) for name, value in values.items()}
    return {name: np.where(widen(lost, value.ndim), np.nan, value) for name, value in numbers.items()}
