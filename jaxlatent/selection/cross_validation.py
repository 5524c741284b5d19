"""`cross_validate`: exact refits on all folds as one batch, and held-out scores.

A fold is a dataset of a batch: the same data, in which the observations of the held-out units are masked. A masked value contributes
nothing, so such a fit is that of the other units, and all folds of all datasets have one shape and are one program.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxlatent.data.arrays import as_data
from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError
from jaxlatent.execute.fit import fit
from jaxlatent.keys import Purpose, key_for
from jaxlatent.model.checks import check_fit
from jaxlatent.model.dims import coords_for
from jaxlatent.model.model import Model
from jaxlatent.posterior.posterior import batched
from jaxlatent.results.result import Result
from jaxlatent.selection.arguments import check_model, check_options
from jaxlatent.selection.assumptions import check_informed
from jaxlatent.selection.folds import Folds, make_folds
from jaxlatent.selection.held_out import BITS, Mean, Scores, columns_of, mean_of, score_units
from jaxlatent.selection.layout import Layout, counts_of, layout_of, masks_of, repeated, scored_of
from jaxlatent.typing import Data, Key

if TYPE_CHECKING:
    import pandas as pd

#: The name of the fit to all data, where there is one.
ALL = "all"


@dataclass(frozen=True, repr=False)
class CrossValidation:
    """Held-out scores of a model.

    The score of a unit is its log likelihood under the fit that did not see it: for point fits at the best restart by the training
    objective, for draws the logarithm of the mean likelihood of each row or sequence over draws. See
    `jaxlatent.selection.held_out` for means and standard errors.

    Attributes:
        table: a row a fold (and dataset): number of ``units`` held out, of ``observations`` held out, and of those fitted to
            (``training``); held-out ``log_likelihood`` in nats; the same in ``nats`` and ``bits`` per observed value with standard
            errors ``nats_se`` and ``bits_se``; for restarts how many ``agreed``: were within a nat of the best of the fold.
        totals: the same over all folds, a row a dataset.
        total: over all folds and datasets, see `jaxlatent.selection.held_out.Mean`.
        scores: of every unit, ``(dataset?, unit)``, in nats; NaN for units that are never held out, or whose fold failed.
        observations: number of observed values of every unit that is held out, ``(dataset?, unit)``.
        fold: that holds out each unit, ``(dataset?, unit)``; -1 for none.
        unit: what a unit is: "sequence", "row", "group" or "block" of steps.
        labels: of the units: their places, or the labels of groups; for a batch by dataset.
        result: all fits: its datasets are "fold 0", "fold 1", ..., for a batch "name, fold 0", ...
    """

    table: "pd.DataFrame"
    totals: "pd.DataFrame"
    total: Mean
    scores: np.ndarray
    observations: np.ndarray
    fold: np.ndarray
    unit: str
    labels: np.ndarray | tuple[np.ndarray, ...]
    result: Result = field(repr=False)

    @property
    def nats(self) -> float:
        """Held-out log likelihood per observed value, over all datasets."""
        return self.total.nats

    @property
    def nats_se(self) -> float:
        """The standard error of `nats`."""
        return self.total.se

    @property
    def bits(self) -> float:
        """Held-out log likelihood in bits per observed value, over all datasets."""
        return self.total.nats * BITS

    @property
    def bits_se(self) -> float:
        """The standard error of `bits`."""
        return self.total.se * BITS

    def __str__(self) -> str:
        folds = len(self.table.index.unique("fold"))
        where = "" if self.fold.ndim == 1 else f" in {len(self.fold)} datasets"
        many = f"{self.total.units} {self.unit}{'' if self.total.units == 1 else 's'}"
        lines = [
            f"{folds} fold{'' if folds == 1 else 's'}; held out: {many}, {self.total.observations} observations{where}",
            f"log likelihood {self.total.log_likelihood:.2f} nats; for each observation",
            f"  {self.nats:.5f} nats, standard error {self.nats_se:.5f}",
            f"  {self.bits:.5f} bits, standard error {self.bits_se:.5f}",
            self.table.to_string(float_format="{:.4f}".format),
        ]
        if not np.isfinite(self.total.nats):
            lines.append("A fold has no finite score: see result.problems.")
        return "\n".join(lines)

    __repr__ = __str__


class Study(NamedTuple):
    """The data of a cross-validation, as given and stacked: what is held out of them, and when."""

    model: Model
    given: Data | Batch
    names: tuple[Any, ...] | None
    data: dict[str, Any]
    problems: Mapping[Any, InputError]
    layout: Layout
    masks: dict[str, np.ndarray]
    counts: np.ndarray
    folds: Folds

    @property
    def fold_names(self) -> tuple[str, ...]:
        """Names of the folds of all datasets."""
        own = [f"fold {fold}" for fold in range(self.folds.number)]
        return tuple(own if self.names is None else (f"{name}, {fold}" for name in self.names for fold in own))

    def check_informed(self, engine: Engine) -> None:
        """See `jaxlatent.selection.assumptions.check_informed`; of every dataset."""
        if self.model.adjustment is None:
            return
        training = self.batch(self.folds.training(), False)
        for i in range(len(self.folds.of)):
            own = slice(i * self.folds.number, (i + 1) * self.folds.number)
            one, many = (
                jax.tree.map(lambda x, at=at: x[at], tree) for tree, at in ((self.data, i), (training.data, own))
            )
            check_informed("cross_validate", engine, self.model, one, many)

    def batch(self, keep: np.ndarray, whole: bool) -> Batch:
        """All folds, each with the elements that it keeps, ``(dataset, fold, element)``; with ``whole`` also all data as they are."""
        names = self.fold_names
        owners = list(self.names or (ALL,))
        problem_of = dict(zip(names, np.repeat(np.arange(len(owners)), self.folds.number).tolist(), strict=True))
        if whole:
            problem_of |= {name: i for i, name in enumerate(whole_names(self.names))}
        if len(problem_of) < len(names) + whole * len(owners):
            raise InputError(
                "cross_validate(), the names of the datasets",
                got=repr(self.names),
                expected="names that differ as text",
                remedy="rename them.",
            )
        if not whole:
            made = repeated(self.layout, self.data, self.masks, keep, names)
        elif len(owners) == 1:
            every = np.concatenate([keep, np.ones_like(keep[:, :1])], 1)
            made = repeated(self.layout, self.data, self.masks, every, tuple(problem_of))
        else:
            folds = repeated(self.layout, self.data, self.masks, keep, names)
            once = repeated(self.layout, self.data, self.masks, np.ones_like(keep[:, :1]), whole_names(self.names))
            both: Callable[[Any, Any], Any] = lambda x, y: np.concatenate([x, y])
            made = Batch(jax.tree.map(both, folds.data, once.data), tuple(problem_of))
        problems = {name: self.problems[owners[i]] for name, i in problem_of.items() if owners[i] in self.problems}
        return Batch(made.data, made.names, problems)


def cross_validate(
    model: Model,
    data: Data | Batch,
    engine: Engine,
    seed: int | Key,
    *,
    folds: Any = 5,
    by: Any = None,
    **options: Any,
) -> CrossValidation:
    """Fit a model to all but each fold of the data, as one batch, and score what was held out.

    The refits are exact: no approximation as in leave-one-out by importance sampling. Default priors in units of the data know the
    training data only.

    Args:
        model: of rows or sequences; see `jaxlatent.models`, or your own.
        data: one dataset, or a batch, of which every dataset has folds of its own.
        engine: any. For the standard errors of draws see also ``result.result.check()``.
        seed: an int or a typed JAX key, for the folds and the fits.
        folds: a number of folds, to which units are assigned at random, equally many to each (or one more); or the fold of every row
            or sequence, as whole numbers, negative where it is never held out; for a batch such an array for each dataset, as a list or
            by name, or one for all.
        by: what is held out as a whole; None for sequences where the model has them, and rows elsewhere:

            - "sequence": sequences of a hidden Markov model.
            - "row": rows of other models, which are independent given the parameters.
            - "forward": in the order of the data, which is that of time, there are ``folds + 1`` blocks of about equally many units. Each
              but the first is held out from a fit to all before it. Units are sequences or rows, or where there is only one sequence its
              steps: then a block is scored given all steps before it, and is one unit of the standard error. As ``folds``, an array
              numbers the blocks, of which the least is for training only.
            - an array of labels, one for each sequence or row: groups, such as animals, are held out as a whole. For draws the score is
              still the sum of those of the rows or sequences, each averaged over draws.
        options: of `jaxlatent.fit`, such as ``store``, ``memory``, ``devices`` or ``progress``.

    Returns:
        A `CrossValidation`, which prints as a table.

    Raises:
        InputError: before any fit, for more folds than units, folds without training observations, ways of holding out that do not fit the
            model, models whose observed values depend on those of other rows, point fits of `jaxlatent.models.hierarchical` from which
            whole groups are held out, and unknown options.
    """
    check_options("cross_validate", options, ("folds", "by"), "folds")
    return validated(study_of(model, data, seed, folds, by), engine, seed, options, whole=False)


def validated(
    study: Study, engine: Engine, seed: int | Key, options: Mapping[str, Any], whole: bool
) -> CrossValidation:
    """The fits of `cross_validate`; with ``whole`` the batch also has every dataset as it is, after the folds of all of them."""
    study.check_informed(engine)
    batch = study.batch(study.folds.training(), whole)
    labelled = {**options, "coords": coords_for(study.model, study.given, options.get("coords"))}
    result = fit(study.model, batch, engine, jax.random.fold_in(key_for(Purpose.CROSS_VALIDATE, seed), 1), **labelled)
    scored = replace(study.batch(study.folds.scored(), whole), problems={})
    return _summarised(study, result, score_units(result, scored, study.layout, study.folds, study.counts))


def whole_of(validation: CrossValidation, names: tuple[Any, ...] | None) -> Result:
    """The fits to all data, of `validated` with ``whole``, under the ``names`` of their datasets; None for one dataset."""
    if names is None:
        return validation.result[ALL]
    found = validation.result.select(whole_names(names))
    posterior = found.posterior.nameless
    named = batched(posterior.density, posterior.data, names, posterior.guides)
    reasons = {
        name: found.quarantined[own]
        for name, own in zip(names, whole_names(names), strict=True)
        if own in found.quarantined
    }
    return replace(found, posterior=named, names=names, quarantined=reasons)


def whole_names(names: tuple[Any, ...] | None) -> tuple[str, ...]:
    """The names of the fits to all data."""
    return (ALL,) if names is None else tuple(f"{name}, {ALL}" for name in names)


def study_of(model: Model, data: Data | Batch, seed: int | Key, folds: Any, by: Any) -> Study:
    """The data, checked, and their folds; see `cross_validate`."""
    check_model("cross_validate", model, "in whose data values can be masked")
    key = jax.random.fold_in(key_for(Purpose.CROSS_VALIDATE, seed), 0)
    if isinstance(data, Batch):
        names: tuple[Any, ...] | None = data.names
        stacked = jax.tree.map(np.asarray, data.data)
        problems = data.problems
    else:
        names, problems = None, {}
        stacked = jax.tree.map(lambda x: np.asarray(x)[None], as_data(data))
    first: dict[str, Any] = jax.tree.map(lambda x: x[0], stacked)
    layout = layout_of(model, first, "cross_validate()")
    masks = masks_of(layout, stacked)
    counts = counts_of(layout, scored_of(model, layout, stacked, masks))
    by = ("row" if layout.kind == "row" else "sequence") if by is None else by
    made = make_folds(layout, counts, names, by, folds, key)
    study = Study(model, data, names, stacked, problems, layout, masks, counts, made)
    _check_independent(model, study, first)
    return study


def _check_independent(model: Model, study: Study, first: Data) -> None:
    """Raise `InputError` if a value that a fold fits to depends on one that it masks: `jaxlatent.fit` would, in terms of masks."""
    try:
        check_fit(model, first)
    except InputError:  # `jaxlatent.fit` raises it, or quarantines the dataset
        return
    fold = study.batch(study.folds.training(), False)[0]
    try:
        check_fit(model, fold)
    except InputError as problem:
        raise InputError(
            "cross_validate(), the model",
            got=f"on the training data of fold 0: {problem.what}: {problem.got}",
            expected="observed values that do not depend on held-out ones",
            remedy="use by='forward' if values depend on earlier ones only; otherwise compare by jl.compare.",
        ) from problem


def _summarised(study: Study, result: Result, scores: Scores) -> CrossValidation:
    import pandas as pd

    folds, single = study.folds, study.names is None
    own = len(study.fold_names)
    agreed = None if result.has_draws else np.asarray(result.agreeing())[:own].reshape(len(folds.of), folds.number)
    training = np.einsum("dfe,de->df", folds.training(), study.counts)
    rows, totals = [], []
    for dataset in range(len(folds.of)):
        score, number, fold = (x[dataset] for x in scores)
        for f in range(folds.number):
            row = columns_of(mean_of(score[fold == f], number[fold == f]))
            row = {"units": row.pop("units"), "training": int(training[dataset, f]), **row}
            rows.append(row if agreed is None else {**row, "agreed": int(agreed[dataset, f])})
        totals.append(columns_of(mean_of(score, number)))
    if single:
        index: pd.Index = pd.RangeIndex(folds.number, name="fold")
    else:
        index = pd.MultiIndex.from_product([list(study.names or ()), range(folds.number)], names=["dataset", "fold"])
    total_index = pd.Index([ALL] if single else list(study.names or ()), name="dataset", tupleize_cols=False)
    mine: Callable[[Any], Any] = lambda x: x[0] if single else x
    return CrossValidation(
        table=pd.DataFrame(rows, index),
        totals=pd.DataFrame(totals, total_index),
        total=mean_of(scores.log_likelihood.ravel(), scores.observations.ravel()),
        scores=mine(scores.log_likelihood),
        observations=mine(scores.observations),
        fold=mine(scores.fold),
        unit=folds.name,
        labels=mine(folds.labels),
        result=result,
    )
