r"""`select`: the choice among models of several sizes, such as numbers of states, by cross-validation, beside information criteria.

The criteria of point fits are those of `jaxlatent.results.scores`, from the fit to all data: with :math:`L` the log likelihood, :math:`k`
free parameters and :math:`n` observed values, AIC is :math:`2 k - 2 L` and BIC is :math:`k \log n - 2 L`. ICL treats the most likely
labels or paths :math:`\hat z` as data, :math:`-2 \log p(y, \hat z) + k \log n = \mathrm{BIC} - 2 \log p(\hat z \mid y)` (Biernacki, Celeux
and Govaert 2000; for paths Celeux and Durand 2008): BIC with a penalty for states that the data do not tell apart. In a penalised fit
:math:`L` is below the maximum by what the prior costs.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlatent.data.arrays import split
from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, require
from jaxlatent.keys import seed_in_words
from jaxlatent.model.model import Model
from jaxlatent.results.result import Result
from jaxlatent.selection.arguments import check_options, options_of
from jaxlatent.selection.cross_validation import CrossValidation, Study, study_of, validated, whole_of
from jaxlatent.selection.held_out import BITS, mean_of
from jaxlatent.store.manifest import PLAIN
from jaxlatent.typing import Data, Key

if TYPE_CHECKING:
    import pandas as pd

_CRITERIA = ("aic", "bic", "icl")
#: A state that holds less than this fraction of the observations is mentioned.
_RARE = 0.01


@dataclass(frozen=True, repr=False)
class Selection:
    """Models of several sizes side by side, and the smallest that predicts about as well as the best.

    Attributes:
        table: a row a candidate. Of the fits to all data, summed over datasets: number of free ``parameters``; for point fits
            ``log_likelihood``, ``aic``, ``bic`` and for latent labels or paths ``icl`` (see `jaxlatent.selection.choice`), and the
            ``occupancy``: the expected fraction of the observations in the least occupied state. Held out: ``nats`` and ``bits`` per
            observed value with their standard errors ``nats_se`` and ``bits_se``; the ``difference`` in bits to the best
            candidate, and its standard error ``difference_se``, paired over the same units in the same folds. Restarts within a nat of
            the best: how many ``agreed`` of the fit to all data, and ``agreed_folds`` of that fold where they are fewest; of
            a batch, of that dataset.
        chosen: the candidate of fewest parameters whose difference to the best is within one standard error of this difference; None if
            no candidate could be scored.
        reason: why, in words.
        validations: by candidate, its `CrossValidation`; its ``result`` also holds the fits to all data, "all" or "name, all".
        names: of the datasets of a batch; None for one dataset.
        settings: of `select`: ``seed``, a key as text, ``folds``, ``by`` and options; ``...`` for what is no number or word.
    """

    table: "pd.DataFrame"
    chosen: Any
    reason: str
    validations: Mapping[Any, CrossValidation] = field(repr=False)
    names: tuple[Any, ...] | None
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def best(self) -> Result:
        """The fit of the chosen candidate to all data: its best restart, or all chains."""
        if self.chosen is None:
            raise InputError(
                "selection.best", got="no candidate with a score", expected="at least one", remedy=self.reason
            )
        found = self.whole(self.chosen)
        return found if found.engine.kind == "chains" else found.best()

    def whole(self, candidate: Any) -> Result:
        """The fit of one candidate to all data, with all restarts."""
        if candidate not in self.validations:
            raise InputError(
                f"selection.whole({candidate!r})",
                got="no such candidate",
                expected=f"one of {list(self.validations)}",
                remedy="use selection.table.index to see them.",
            )
        return whole_of(self.validations[candidate], self.names)

    def plot(self, axes: Any = None) -> Any:
        """Held-out bits against the candidates, and the information criteria; see `jaxlatent.plots.choice`."""
        # Lazy import: with Matplotlib `import jaxlatent` would take twice as long.
        from jaxlatent.plots.choice import choice

        return choice(self.table, self.chosen, axes)

    def report(self, path: str | os.PathLike[str], title: str | None = None) -> None:
        """Write the study as a page that any browser opens from the disk: the choice, its table and figure, and the chosen fit.

        Args:
            path: of the file, ending in ``.html``; one that is there is replaced, and a folder that is not there is made.
            title: the heading; by default the name of the chosen model.

        Raises:
            InputError: for another kind of path, before any work.
            StoreError: on failures of the disk; what was there before still is.
        """
        # Lazy import: with Matplotlib `import jaxlatent` would take twice as long.
        from jaxlatent.pages.selection import Choice, report

        ended = {candidate: found.result.status for candidate, found in self.validations.items()}
        # As it was given: an index of pandas may hold NumPy's numbers.
        shown = next(candidate for candidate in self.validations if self.chosen is None or candidate == self.chosen)
        folds = self.validations[shown].table
        choice = Choice(self.table, self.chosen, self.reason, self._held_out(), ended, folds, self.settings)
        report(choice, shown, self.whole(shown), path, title)

    def _held_out(self) -> str:
        first = next(iter(self.validations.values()))
        return f"{first.total.units} {first.unit}s, {first.total.observations} observations held out"

    def __str__(self) -> str:
        table = self.table.to_string(float_format="{:.4f}".format)
        return f"{self._held_out()}\n{table}\nchosen: {self.chosen}. {self.reason}"

    __repr__ = __str__


def select(
    build: Callable[[Any], Model],
    candidates: Iterable[Any],
    data: Data | Batch,
    engine: Engine,
    seed: int | Key,
    *,
    folds: Any = 5,
    by: Any = None,
    **options: Any,
) -> Selection:
    """Fit models of several sizes to all data and to all but each fold, and choose one.

    For each candidate the data and all folds of all datasets are one batch and one program. All candidates have the same folds, those of
    `jaxlatent.cross_validate` with the same seed, so that their scores are compared unit by unit. The choice is that of the
    one-standard-error rule (Breiman et al. 1984; Hastie, Tibshirani and Friedman 2009, section 7.10), with the standard error of the
    difference to the best: the score of every candidate is high in the same easy sessions.

    Args:
        build: the model of a candidate, as ``lambda K: jl.models.hmm(K, jl.models.emissions.Gaussian())``.
        candidates: such as numbers of states, ``range(1, 7)``; anything hashable.
        data: one dataset, or a batch, over whose datasets scores and criteria are summed.
        engine: any. Information criteria are those of point fits.
        seed: an int or a typed JAX key, for the folds and the fits.
        folds, by: see `jaxlatent.cross_validate`.
        options: of `jaxlatent.fit`. ``init`` may be a function of the candidate; a ``store`` has one subfolder a candidate.

    Returns:
        A `Selection`, which prints as a table with the reason of the choice.

    Raises:
        InputError: before any fit; see `jaxlatent.cross_validate`. Also for candidates that condition on different values.
    """
    require(
        callable(build) and isinstance(candidates, Iterable),
        "select(build, candidates, ...)",
        got=build if not callable(build) else candidates,
        expected="a function of a candidate that returns a model, and candidates",
        remedy="write select(lambda K: jl.models.hmm(K, emissions), range(1, 7), data, ...).",
    )
    candidates = list(candidates)
    require(
        len(candidates) > 0 and len(set(candidates)) == len(candidates),
        "select(candidates)",
        got=candidates,
        expected="at least one candidate, each once",
        remedy="give for instance range(1, 7).",
    )
    names = data.names if isinstance(data, Batch) else None
    check_options("select", options, ("folds", "by"), "folds")
    models = {candidate: build(candidate) for candidate in candidates}
    studies = {candidate: study_of(model, data, seed, folds, by) for candidate, model in models.items()}
    _check_counts(studies)
    validations, rows = {}, {}
    for candidate, study in studies.items():
        own = options_of(options, candidate)
        found = validations[candidate] = validated(study, engine, seed, own, whole=True)
        rows[candidate] = _row(found, names)
    table = _table(rows, validations)
    first = next(iter(validations.values()))
    chosen, reason = _chosen(table, f"{first.total.units} {first.unit}s")
    given = {"seed": seed_in_words(seed), "folds": folds, "by": by, **options}
    settings = {name: value if type(value) in PLAIN else ... for name, value in given.items()}
    return Selection(table, chosen, reason, validations, names, settings)


def _check_counts(studies: Mapping[Any, Study]) -> None:
    """Raise `InputError` for candidates that give different values a density: sums and criteria of fewer values are higher."""
    first = next(iter(studies.values())).counts
    if any(not np.array_equal(study.counts, first) for study in studies.values()):
        raise InputError(
            "select(), the candidates",
            got=f"likelihoods of different numbers of values: { {c: int(study.counts.sum()) for c, study in studies.items()} }",
            expected="the same values in all, of which none is conditioned on by some candidates only",
            remedy="condition all on the same first steps, as in emissions.Autoregression(lags, given=4) with the most lags for 4.",
        )


def _row(found: CrossValidation, names: tuple[Any, ...] | None) -> dict[str, Any]:
    """The columns of one candidate that need no other."""
    datasets = len(found.totals)
    row: dict[str, Any] = {"parameters": found.result.posterior.density.free_parameters * datasets}
    held = {"nats": found.nats, "nats_se": found.nats_se, "bits": found.bits, "bits_se": found.bits_se}
    if found.result.has_draws:
        return row | held
    whole = whole_of(found, names)
    best = whole.best() if names is not None or np.isfinite(whole.objective).any() else None
    if best is None:
        return row | held | {"agreed": 0, "agreed_folds": int(found.table["agreed"].min())}
    row["log_likelihood"] = float(sum(np.nansum(term) for term in best.log_likelihood().values()))
    # Models that EM integrates over have labels, and no number of free parameters.
    integrates = best.posterior.density.integrates
    criteria = {} if integrates else best.criteria()
    row |= {name: float(np.sum(criteria[name])) for name in _CRITERIA if name in criteria}
    rest = {"occupancy": _least_occupancy(best)} if integrates or "icl" in criteria else {}
    agreed = {"agreed": int(np.min(whole.agreeing())), "agreed_folds": int(found.table["agreed"].min())}
    return row | held | rest | agreed


def _least_occupancy(best: Result) -> float:
    """The expected fraction of the observed values in the least occupied state, of all observations and datasets."""
    least = 1.0
    for name, probs in best.smooth().items():
        mask = split(best.posterior.data[name])[1]
        states = probs.shape[-1]
        shape = (1 if best.names is None else len(best.names), -1, states)
        seen = np.ones(probs.shape[:-1]) if mask is None else np.asarray(mask, float)
        weights = (probs * seen[..., None]).reshape(shape).sum(1)
        least = min(least, float(np.min(weights / weights.sum(-1, keepdims=True))))
    return least


def _table(rows: Mapping[Any, Mapping[str, Any]], validations: Mapping[Any, CrossValidation]) -> "pd.DataFrame":
    """The rows of all candidates, with their differences to the best."""
    import pandas as pd

    index = pd.Index(list(rows), name="candidate", tupleize_cols=False)
    table = pd.DataFrame(list(rows.values()), index)
    held = table["nats"].to_numpy()
    if not np.isfinite(held).any():
        differences = [(np.nan, np.nan)] * len(table)
    else:
        top = list(validations.values())[int(np.nanargmax(held))]
        paired = [mean_of((one.scores - top.scores).ravel(), top.observations.ravel()) for one in validations.values()]
        differences = [(mean.nats * BITS, mean.se * BITS) for mean in paired]
    place = table.columns.get_loc("bits_se") + 1
    for i, name in enumerate(("difference", "difference_se")):
        table.insert(place + i, name, [both[i] for both in differences])
    return table


def _chosen(table: "pd.DataFrame", units: str) -> tuple[Any, str]:
    """The candidate of the one-standard-error rule, and the reason; ``units`` says over how many what."""
    scored = table[np.isfinite(table["bits"])]
    if scored.empty:
        return None, "No candidate has a finite held-out score; see the status of its fits in `validations`."
    top = scored["bits"].idxmax()
    # Without a standard error, as with one unit, the best it is.
    near = scored[-scored["difference"] <= scored["difference_se"].fillna(0.0)]
    chosen = near["parameters"].idxmin()
    bits, row = scored["bits"], scored.loc[chosen]
    said = [f"{top} has the highest held-out log likelihood, {bits[top]:.4f} bits for each observation."]
    if chosen == top:
        said.append("No smaller candidate is within one standard error of it.")
    else:
        said.append(
            f"{chosen} is the smallest within one standard error of it: {-row['difference']:.4f} bits lower, with a standard error of the "
            f"difference of {row['difference_se']:.4f} over {units}."
        )
    if len(scored) < len(table):
        said.append(
            f"Without a finite score, and left out: {', '.join(map(str, table.index.difference(scored.index)))}."
        )
    criteria = [
        f"{name.upper()} {table[name].idxmin()}" for name in _CRITERIA if name in table and table[name].notna().any()
    ]
    if criteria:
        said.append(f"Least criteria: {', '.join(criteria)}.")
    if len(table) > 1 and chosen == table["parameters"].idxmax():
        said.append("It is the largest that was tried: try larger ones.")
    if "agreed" in table and int(table.loc[chosen, ["agreed", "agreed_folds"]].min()) < 2:
        said.append(
            f"Of some fit of {chosen} a single restart reached the best objective: more restarts, or starts by `split_and_merge`, might "
            "find a better one."
        )
    if "occupancy" in table and row["occupancy"] < _RARE:
        said.append(f"Its least occupied state holds {row['occupancy']:.2%} of the observations.")
    return chosen, " ".join(said)
