r"""`likelihood_ratio_test`: a parametric bootstrap of the likelihood ratio of nested models.

The statistic is :math:`T = 2 (\ell_1 - \ell_0)`, with the log likelihoods :math:`\ell` of the fits of the smaller model and of the larger.
For numbers of components or states, and where parameters lie on a boundary, it is not chi-squared under the smaller model, since there
the larger one is not identified; so its distribution is simulated (McLachlan 1987). With the statistics :math:`T^*_r` of :math:`R` datasets
drawn from the fit of the smaller model, to each of which both are fitted,

.. math::
    p = \frac{1 + \#\{T^*_r \geq T\}}{R + 1}

(Davison and Hinkley 1997, equation 4.11). The test holds its level whatever is maximised, and however well, as long as the fits to data and
replicates are found in the same way; a larger model whose best optimum is missed costs power.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, listed, require
from jaxlatent.execute.fit import fit
from jaxlatent.keys import Purpose, key_for
from jaxlatent.model.checks import unread_allowed
from jaxlatent.model.dims import coords_for
from jaxlatent.model.model import Model
from jaxlatent.posterior.condition import condition
from jaxlatent.results.result import Result
from jaxlatent.selection.arguments import check_model, check_options, check_point_engine, options_of
from jaxlatent.selection.assumptions import check_simulation, first_of
from jaxlatent.selection.points import Points, endings, points_of
from jaxlatent.selection.replicates import batch_of, simulate
from jaxlatent.typing import Data, Key

if TYPE_CHECKING:
    import pandas as pd

#: The name of the fit to the data, among those to the replicates.
DATA = "data"
#: A statistic this far below zero, in nats, is more than rounding; and so many times the rounding error of the log likelihood.
_BELOW, _ROUNDINGS = 0.01, 10


@dataclass(frozen=True, repr=False)
class LikelihoodRatioTest:
    """The likelihood ratio of two nested models, and its distribution under the smaller one.

    Attributes:
        table: a row a dataset: log likelihoods ``smaller`` and ``larger``, in nats; ``statistic``; ``null_95%``, the quantile of the
            statistics of the replicates; ``pvalue`` and its Monte Carlo standard error ``pvalue_se``; numbers of ``replicates`` that
            count, of those that ``failed``, and of those whose statistic is ``negative``.
        null: statistics of the replicates, ``(dataset?, replicate)``; NaN where a fit of either model failed.
        smaller, larger: the fits to the data, with all restarts.
        replicates: the fits to the replicates by each model; their datasets are "replicate 0", ..., for a batch "name, replicate 0", ...
        penalised: whether the fits maximise likelihood times prior.
    """

    table: "pd.DataFrame"
    null: np.ndarray = field(repr=False)
    smaller: Result = field(repr=False)
    larger: Result = field(repr=False)
    replicates: tuple[Result, Result] = field(repr=False)
    penalised: bool

    @property
    def statistic(self) -> Any:
        """Twice the difference of the log likelihoods, a number; for a batch ``(dataset,)``."""
        return self._column("statistic")

    @property
    def pvalue(self) -> Any:
        """The p-value, a number; for a batch ``(dataset,)``. At least ``1 / (replicates + 1)``."""
        return self._column("pvalue")

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the replicates to which a fit of either model failed; they are left out."""
        lost = np.isnan(self.null).ravel()
        return tuple(name for name, gone in zip(self.replicates[0].names or (), lost, strict=True) if gone)

    def _column(self, name: str) -> Any:
        values = self.table[name].to_numpy()
        return float(values[0]) if self.smaller.names is None else values

    def __str__(self) -> str:
        names = [
            f"{fit.posterior.density.label}, {fit.posterior.dim} parameters" for fit in (self.smaller, self.larger)
        ]
        lines = [
            f"likelihood-ratio test by parametric bootstrap; smaller: {names[0]}; larger: {names[1]}",
            self.table.to_string(float_format="{:.4f}".format),
        ]
        if self.smaller.names is None:
            lines.append(_in_words(self.table.iloc[0]))
        if self.penalised:
            lines.append("The fits maximise likelihood times prior; the statistic is of the likelihood alone.")
        if (negative := _negative(self.table)) and self.penalised:
            negative += ", or its priors cost as much"
        lines += [f"{negative}."] * bool(negative)
        for result in self.replicates:
            lines += [f"{result.posterior.density.label}: {one}" for one in endings(result)]
        return "\n".join(lines)

    __repr__ = __str__


def _in_words(row: "pd.Series") -> str:
    if not np.isfinite(row["pvalue"]):
        return "No p-value: a fit to the data failed, or one of the two to every replicate; see their status."
    reached = round(row["pvalue"] * (row["replicates"] + 1)) - 1
    return (
        f"{reached} of {row['replicates']:.0f} datasets simulated from the smaller model have a statistic of "
        f"{row['statistic']:.2f} or more: p = {row['pvalue']:.4f}, Monte Carlo standard error {row['pvalue_se']:.4f}."
    )


def _negative(table: "pd.DataFrame") -> str:
    """Where the larger model was fitted worse than the smaller, in words; empty for nowhere."""
    count, data = int(table["negative"].sum()), [str(name) for name in table.index[table["statistic"] < -_BELOW]]
    where = [f"{count} replicates"] * (count > 0) + ([f"the data ({listed(data)})"] if data else [])
    if not where:
        return ""
    return (
        f"The statistic of {' and of '.join(where)} is negative: the larger model was fitted worse than the smaller that it contains. "
        "Its search missed the best optimum: use more restarts"
    )


def likelihood_ratio_test(
    smaller: Model,
    larger: Model,
    data: Data | Batch,
    engine: Engine,
    seed: int | Key,
    *,
    replicates: int = 200,
    **options: Any,
) -> LikelihoodRatioTest:
    """Test a model against a larger one that contains it, by a parametric bootstrap of the likelihood ratio.

    It holds where the chi-squared distribution does not, as for the number of components of a mixture or of hidden states. Datasets of the
    shapes, covariates and masks of the data are drawn from the fit of the smaller model; both models are fitted to all of them, each as
    one batch, with all restarts of the engine.

    Args:
        smaller: the null hypothesis, such as ``jl.models.gaussian_mixture(1, None)``.
        larger: a model that contains it, such as ``jl.models.gaussian_mixture(2, None)``, of the same observations.
        data: one dataset, or a batch, each of whose datasets is tested by itself.
        engine: of point fits: ``Optimize(objective="mle")`` for the ratio of maxima; others, such as ``EM``, maximise likelihood times
            prior. Give it restarts enough to find the best optimum of the larger model.
        seed: an int or a typed JAX key, for the fits and the replicates.
        replicates: number ``R`` for each dataset. The least p-value is ``1 / (R + 1)``.
        options: of `jaxlatent.fit`, without ``init``; a ``store`` has subfolders.

    Returns:
        A `LikelihoodRatioTest`, which prints as a table and in words.

    Raises:
        InputError: before any fit for engines that draw, unknown options, or models that are not nested by their numbers of parameters or
            have other observations, and if observations cannot be drawn from the smaller. After its fit if that failed.
    """
    study = "likelihood_ratio_test"
    check_model(study, smaller, "from which data can be drawn", "smaller")
    check_model(study, larger, "fitted to the same data", "larger")
    check_options(study, options, ("replicates",), "replicates")
    check_point_engine(study, engine)
    require(replicates >= 1, f"{study}(replicates=...)", got=replicates, expected="at least 1 replicate")
    require(
        options.get("init") is None,
        f"{study}(init=...)",
        got="starting values",
        expected="none: the models have other parameters",
        remedy="give the models a `start`, or the engine more restarts.",
    )
    quarantine = options.get("on_bad_data") == "quarantine"
    _check_nested(smaller, larger, data, quarantine)
    for argument, model in (("smaller", smaller), ("larger", larger)):
        require(
            model.adjustment is None,
            f"{study}({argument}, ...)",
            got=model.name,
            expected="a model whose log likelihood is that of all its free parameters, not given the effects of groups",
            remedy="compare such models by jl.cross_validate.",
        )
    check_simulation(study, smaller, first_of(data))
    keys = [jax.random.fold_in(key_for(Purpose.LIKELIHOOD_RATIO_TEST, seed), i) for i in range(4)]
    with unread_allowed():
        fitted = fit(smaller, data, engine, keys[0], **options_of(options, "smaller"))
    points = points_of(fitted)
    drawn = simulate(points, replicates, keys[1])
    batch = batch_of(study, points, drawn, replicates, quarantine)
    refit: Callable[[Model, Batch, Key, str], Result] = lambda model, batch, key, part: fit(
        model,
        batch,
        engine,
        key,
        **{
            **options_of(options, part),
            "coords": coords_for(model, data, options.get("coords")),
            "on_bad_data": "quarantine",
        },
    )
    with unread_allowed():
        small = refit(smaller, batch, keys[2], "smaller replicates")
    large = refit(larger, _with_data(points, batch), keys[3], "larger")
    return _tested(engine, fitted, points, small, large)


def _check_nested(smaller: Model, larger: Model, data: Data | Batch, quarantine: bool) -> None:
    """Raise `InputError` for other observations, no more parameters, or data that the larger model cannot use."""
    one = first_of(data)
    if not quarantine:
        condition(larger, data)
    sizes = [model.shapes(one).sites[-1].stop for model in (smaller, larger)]
    if sizes[0] >= sizes[1]:
        raise InputError(
            "likelihood_ratio_test(smaller, larger, ...)",
            got=f"{sizes[0]} parameters of the smaller model and {sizes[1]} of the larger",
            expected="more parameters of the larger model, which contains the smaller",
            remedy="swap them, or compare models that are not nested by jl.cross_validate.",
        )
    observed = [sorted(name for name in model.shapes(one).named if name in one) for model in (smaller, larger)]
    if observed[0] != observed[1]:
        raise InputError(
            "likelihood_ratio_test(smaller, larger, ...)",
            got=f"observations {observed[0]} of the smaller model and {observed[1]} of the larger",
            expected="two models of the same observations",
            remedy="give both the same observations.",
        )


def _with_data(points: Points, replicates: Batch) -> Batch:
    """The data, under the names of `_data_names`, and their replicates as one batch."""
    own = jax.tree.map(np.asarray, dict(points.posterior.data))
    names = _data_names(points.names)
    problems = dict(replicates.problems)
    count = len(replicates) // len(names)
    for dataset in np.flatnonzero(points.failed).tolist():
        problems[names[dataset]] = problems[replicates.names[dataset * count]]
    both = jax.tree.map(lambda x, y: np.concatenate([x, y]), own, replicates.data)
    return Batch(both, (*names, *replicates.names), problems)


def _data_names(names: tuple[Any, ...] | None) -> tuple[str, ...]:
    return (DATA,) if names is None else tuple(f"{name}, {DATA}" for name in names)


def _tested(engine: Engine, fitted: Result, points: Points, small: Result, large: Result) -> LikelihoodRatioTest:
    import pandas as pd

    datasets = len(points.failed)
    before, both, below = points.log_likelihood(), points_of(large).log_likelihood(), points_of(small).log_likelihood()
    statistic = 2 * (both[:datasets] - before)
    null = 2 * (both[datasets:] - below).reshape(datasets, -1)
    rows = []
    for own, value, low, high in zip(null, statistic, before, both[:datasets], strict=True):
        kept = own[np.isfinite(own)]
        known = len(kept) > 0 and np.isfinite(value)
        p = (1 + np.sum(kept >= value)) / (len(kept) + 1) if known else np.nan
        rounding = _ROUNDINGS * np.finfo(points.objective.dtype).eps * abs(low)
        rows.append(
            {
                "smaller": low,
                "larger": high,
                "statistic": value,
                "null_95%": np.quantile(kept, 0.95) if len(kept) else np.nan,
                "pvalue": p,
                "pvalue_se": np.sqrt(p * (1 - p) / (len(kept) + 1)),
                "replicates": len(kept),
                "failed": len(own) - len(kept),
                "negative": int(np.sum(kept < -max(_BELOW, rounding))),
            }
        )
    names = _data_names(points.names)
    index = pd.Index([DATA] if points.names is None else list(points.names), name="dataset", tupleize_cols=False)
    single = points.names is None
    return LikelihoodRatioTest(
        table=pd.DataFrame(rows, index),
        null=null[0] if single else null,
        smaller=fitted,
        larger=large[DATA] if single else large.select(names),
        replicates=(small, large.select(small.names or ())),
        penalised=getattr(engine, "objective", "map") != "mle",
    )
