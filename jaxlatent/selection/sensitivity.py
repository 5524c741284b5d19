"""`prior_sensitivity`: the same data under several priors, and how far the estimates move."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlatent.data.arrays import as_data
from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, listed, require
from jaxlatent.execute.fit import fit
from jaxlatent.model.model import Model
from jaxlatent.results.result import Result
from jaxlatent.selection.arguments import check_model, check_options, options_of
from jaxlatent.selection.points import in_order
from jaxlatent.status import has_failed
from jaxlatent.typing import Data, Key

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class PriorSensitivity:
    """Estimates under several priors, side by side.

    Attributes:
        table: a row a parameter or derived quantity and setting (for a batch by dataset). For draws the ``mean``, ``sd`` and interval of
            `jaxlatent.Result.summary`, the ``shift`` of the mean from that under the reference, in posterior standard deviations under the
            reference, and its Monte Carlo standard error ``shift_se``. For point fits the ``value`` at the best restart and its
            ``difference`` from that under the reference; where standard errors ``se`` are known also the ``shift``, in those of the
            reference. NaN where all lanes failed. Datasets without a
            fit under the reference are left out.
        reference: the setting from which shifts are counted, the first.
        results: the fit of each setting, with hidden labels in the order of the reference.
    """

    table: "pd.DataFrame"
    reference: Any
    results: Mapping[Any, Result] = field(repr=False)

    @property
    def estimates(self) -> "pd.DataFrame":
        """Estimates with a column a setting, and where it is known the ``largest shift`` over settings, with its sign."""
        first = self.table.columns[0]
        wide: pd.DataFrame = self.table[first].unstack("setting", sort=False)
        if "shift" in self.table:
            shifts = self.table["shift"].unstack("setting", sort=False).to_numpy()
            at = np.argmax(np.nan_to_num(np.abs(shifts)), 1)
            wide["largest shift"] = shifts[np.arange(len(shifts)), at]
        return wide

    def __str__(self) -> str:
        column = "shift" if "shift" in self.table else "difference"
        unit = "posterior standard deviations" if column == "shift" else "units of the parameter"
        if column == "shift" and "difference" in self.table:
            unit = "standard errors"
        engine = next(iter(self.results.values())).provenance.engine
        lines = [
            f"{len(self.results)} priors, {engine}; reference: {self.reference}",
            self.estimates.to_string(float_format="{:.4f}".format),
        ]
        moved = self.table[column].abs()
        if moved.notna().any():
            place = moved.idxmax()
            *where, setting = place if isinstance(place, tuple) else (place,)
            lines.append(
                f"Largest {column}: {', '.join(map(str, where))} by {self.table[column][place]:.2f} {unit} under {setting}."
            )
        lost = [str(setting) for setting, result in self.results.items() if _failed(result).any()]
        if lost:
            lines.append(f"Some lanes failed under {listed(lost)}: see the status of their results.")
        return "\n".join(lines)

    __repr__ = __str__


def prior_sensitivity(
    build: Callable[[Any], Model],
    settings: Iterable[Any],
    data: Data | Batch,
    engine: Engine,
    seed: int | Key,
    *,
    prob: float = 0.94,
    **options: Any,
) -> PriorSensitivity:
    """Fit a model under several priors, all with the same seed, and tell how far the estimates move.

    Settings of a ready family are models of their own, which compile one after the other. For many settings of a model by hand let its
    priors read them from the data, ``lambda p, d: dist.Normal(0.0, d.scale)``, and fit ``jl.batch([{**data, "scale": s} for s in ...])``:
    that is one program.

    Args:
        build: the model of a setting, as ``lambda s: jl.models.hmm(2, jl.models.emissions.BernoulliRegression(2, prior_scale=s))``.
        settings: such as prior scales, ``["auto", 0.5, 1, 2, 5]``; anything hashable. The first is the reference.
        data: one dataset, or a batch.
        engine: any. Hidden labels are brought into the order of the reference by `jaxlatent.Result.align`, unless the model has one.
        seed: an int or a typed JAX key.
        prob: of the intervals of draws.
        options: of `jaxlatent.fit`. ``init`` may be a function of the setting; a ``store`` has one subfolder a setting.

    Returns:
        A `PriorSensitivity`, which prints as a table and in words.

    Raises:
        InputError: before any fit for unknown options and settings, and for models with other parameters.
    """
    settings = list(settings)
    require(
        len(settings) > 1 and len(set(settings)) == len(settings),
        "prior_sensitivity(settings)",
        got=settings,
        expected="at least two settings, each once",
        remedy="give for instance [0.5, 1.0, 2.0].",
    )
    require(0 < prob < 1, "prior_sensitivity(prob=...)", got=prob, expected="a probability between 0 and 1")
    check_options("prior_sensitivity", options, ("prob",), "datasets")
    models = {setting: build(setting) for setting in settings}
    _check_same(models, data)
    results = {}
    for setting, model in models.items():
        own = options_of(options, setting)
        results[setting] = fit(model, data, engine, seed, **own)
    results = _in_one_order(results, settings[0])
    return PriorSensitivity(_table(results, settings[0], prob), settings[0], results)


def _in_one_order(results: Mapping[Any, Result], reference: Any) -> dict[Any, Result]:
    """The fits with hidden labels in the order of the reference, without the datasets of a batch that failed there."""
    base = results[reference]
    lost = () if base.names is None else base.failed
    kept = [name for name in base.names or () if name not in lost]
    if lost and kept:
        warnings.warn(f"prior_sensitivity(): {listed(lost)} failed under {reference}, and are left out.", stacklevel=3)
        results = {setting: result.select(kept) for setting, result in results.items()}
    return {setting: in_order(result, results[reference]) for setting, result in results.items()}


def _check_same(models: Mapping[Any, Model], data: Data | Batch) -> None:
    """Raise `InputError` unless all models have the same parameters, in the same shapes."""
    one = data[0] if isinstance(data, Batch) else as_data(data)
    sites = {}
    for setting, model in models.items():
        check_model("prior_sensitivity", model, "one for each setting", f"build({setting!r})")
        sites[setting] = {site.name: site.shape for site in model.shapes(one).sites}
    first, *others = sites
    for setting in others:
        if sites[setting] != sites[first]:
            raise InputError(
                f"prior_sensitivity(build), the model of {setting!r}",
                got=f"parameters {sites[setting]}",
                expected=f"those of {first!r}: {sites[first]}",
                remedy="change nothing but priors; for models of other sizes see jl.select.",
            )


def _table(results: Mapping[Any, Result], reference: Any, prob: float) -> "pd.DataFrame":
    """The rows of all settings, with their shifts from the reference."""
    import pandas as pd

    tables = {setting: _summary(result, prob) for setting, result in results.items()}
    known = next((table for table in tables.values() if table is not None), None)
    if known is None:
        raise InputError(
            "prior_sensitivity(...)",
            got="only failed lanes under every prior",
            expected="at least one fit",
            remedy="look at jl.fit of one of the models, and at the advice of its status.",
        )
    tables = {
        setting: pd.DataFrame(np.nan, known.index, known.columns) if table is None else table
        for setting, table in tables.items()
    }
    base = tables[reference]
    rows = {setting: _shifted(table, base) for setting, table in tables.items()}
    names = [*(known.index.names if known.index.nlevels > 1 else ["parameter"])]
    table = pd.concat(rows, names=["setting", *names])
    order = pd.MultiIndex.from_tuples(
        [(*(at if isinstance(at, tuple) else (at,)), setting) for at in known.index for setting in tables],
        names=[*names, "setting"],
    )
    return table.reorder_levels([*names, "setting"]).reindex(order)


def _summary(result: Result, prob: float) -> "pd.DataFrame | None":
    """The summary of a fit; None if all lanes of the only dataset failed."""
    if result.has_draws:
        table: pd.DataFrame = result.summary(prob=prob)
        return table
    if result.names is None and _failed(result).all():
        return None
    best: pd.DataFrame = result.best().summary()
    return best


def _failed(result: Result) -> np.ndarray:
    return np.asarray(has_failed(result.status) | ~np.isfinite(result.objective))


def _shifted(table: "pd.DataFrame", base: "pd.DataFrame") -> "pd.DataFrame":
    """One setting with its shifts from the reference."""
    if "mean" in table:
        ends = [name for name in table if str(name).startswith("eti_")]
        error = np.hypot(table["mcse_mean"], base["mcse_mean"])
        return table[["mean", "sd", *ends]].assign(
            shift=(table["mean"] - base["mean"]) / base["sd"], shift_se=error / base["sd"], r_hat=table["r_hat"]
        )
    shifted = table.assign(difference=table["value"] - base["value"])
    return shifted.assign(shift=shifted["difference"] / base["se"]) if "se" in table else shifted
