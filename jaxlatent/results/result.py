"""`Result`: the result of a fit, as host arrays with provenance, summaries and checks."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from jaxlatent.results import alignment, arviz, report, saving, split_and_merge
from jaxlatent.results.fitted import Fitted
from jaxlatent.results.summary import stacked, summarise
from jaxlatent.typing import Key


@dataclass(frozen=True, repr=False)
class Result(Fitted):
    """Draws or point estimates for one dataset, or for a batch of datasets.

    Arrays lead with ``(dataset, lane)``, followed by ``draw`` for draws; ``dataset`` is absent if one dataset was fitted.

    Attributes:
        posterior: the fitted posterior, with its data.
        engine: the engine with its settings.
        params: named values.
        derived: the model's derived quantities.
        unconstrained: see `positions`.
        statistics: sampler statistics under ArviZ's names; see the engine.
        objective: final log density or ELBO of each lane.
        status: `jaxlatent.status.Status` of each lane.
        trace: history of the objective, ``(dataset?, lane, iteration)``, for engines that optimise.
        names: of the datasets; None for one dataset.
        coords: labels of named dimensions.
        quarantined: messages of quarantined datasets, by name; their values are NaN.
        provenance: see `Provenance`.
    """

    def summary(self, names: Sequence[str] | None = None, prob: float = 0.94) -> Any:
        """A table of every parameter and derived quantity, as a pandas ``DataFrame``.

        Mean, standard deviation, equal-tailed interval, Monte Carlo errors, effective sample sizes and R-hat (Vehtari et al. 2021),
        computed on the host. For point fits: value, and standard error where known.

        Args:
            names: of parameters and derived quantities; all by default.
            prob: of the interval.
        """
        if self._ragged:
            return stacked({name: self[name].summary(names, prob) for name in self.names or ()})
        return summarise(self, names, prob)

    def align(self, to: "Result | Mapping[str, Any]") -> Self:
        """The result with its states or components in the order of a reference, as in ``animals.align(to=pooled)``.

        The likelihood does not know the order of labels, so datasets, lanes and draws may each have their own. Each gets the order in which
        the expected number of observed steps that it and the reference put into the same state is largest, by their posterior probabilities
        on its data. So the reference may be a fit of other data, such as that of all animals.

        Args:
            to: a fit of a model with the same parameters and as many labels: of one dataset, or of a batch that has the names of this one;
                its best lane counts, of draws their mean. Or values by name, one for each parameter that labels index.

        Returns:
            The same with permuted parameters, positions and derived quantities; the log joint is the same. ``statistics["agreement"]`` is
            the share of observed steps expected in the same state as under the reference: low where no order fits. Dimensions named
            "state", "next_state" or "component" are permuted, see `jaxlatent.Model`; if there are none, axes of that length.

        Raises:
            InputError: for other parameters or datasets, and for labels that are not exchangeable, as under an ordered prior.
        """
        return alignment.aligned(self, to)

    def split_and_merge(self, restarts: int, seed: int | Key) -> dict[str, np.ndarray]:
        """Starts near the best lane, for a second fit where few restarts of the first agree.

        In each start two states or components that share observations are one, and a third is two: what separates a local optimum of EM
        from a better one (Ueda et al. 2000, see `jaxlatent.results.split_and_merge`). The first start is the best lane itself, so that
        EM, which only climbs, ends no lower than before::

            again = jl.fit(model, data, jl.EM(restarts=20), 1, init=fit.split_and_merge(20, seed=1))

        Args:
            restarts: number of starts, for an engine with as many; at least 2.
            seed: required, an int or a typed JAX key.

        Returns:
            Values by name, for ``fit(init=...)``, that lead with ``(dataset, lane)`` or ``(lane,)``.

        Raises:
            InputError: for draws, for datasets without a fit, fewer than 3 labels, or labels that are not exchangeable.
        """
        return split_and_merge.starts_near(self, restarts, seed)

    def check(self) -> Any:
        """Check for common problems; the report prints as text, and is empty and false if there are none.

        Checks for failed lanes, divergences, chains that disagree (label switching, a stuck chain), too few draws, a high k-hat,
        unidentified parameters, collinear covariates, separation in binary regressions, conflicts of prior and data, supports that are
        too narrow, and tails without a variance.

        Returns:
            A `jaxlatent.results.report.Report`. For a batch, `jaxlatent.results.report.Reports`, which prints as a table of the datasets
            with findings; ``to_frame()`` has one row a dataset, and ``result.check()[name]`` is the same as ``result[name].check()``.
        """
        return report.check(self)

    @property
    def problems(self) -> Any:
        """The datasets whose fit went wrong, as a pandas ``DataFrame`` with a row for each; empty if all went well.

        The part of `check` that looks at lanes and chains: it needs no model, and takes milliseconds a dataset. Draws of a store are read
        one dataset at a time.

        Columns, of which a table has those that apply:

        - ``status`` of the lanes, such as ``"3 OK, 1 STUCK"``;
        - of chains the largest ``r_hat`` and the least ``ess`` (effective sample size, bulk or tail) of all parameters, and the numbers of
          ``divergences`` and of transitions ``at_max_depth``, the limit of NUTS;
        - of approximations the largest Pareto ``khat``;
        - of engines that optimise the number of restarts ``agreeing``, within a nat of the best;
        - ``findings``, by name: ``result[name].check()`` says what to do, and ``result.quarantined[name]`` why a dataset was set aside.

        The index is the name of the ``dataset``, as for ``batch.select(result.problems.index)``; 0 for one dataset.
        """
        return report.problems(self)

    def report(self, path: str | os.PathLike[str], title: str | None = None) -> None:
        """Write the result as a page that any browser opens from the disk: one HTML file, which loads nothing and runs no script.

        How lanes ended, the findings of `check` and figures of restarts or chains; the tables of `summary` and `criteria`; model, data and
        settings; provenance, and the lines to reproduce it. Of a large batch, tables are cut at 60,000 cells, and say so.

        Args:
            path: of the file, ending in ``.html``; one that is there is replaced, and a folder that is not there is made.
            title: the heading; by default the name of the model.

        Raises:
            InputError: for another kind of path, before any work.
            StoreError: on failures of the disk; what was there before still is.
        """
        # Lazy import, from a room below: with Matplotlib `import jaxlatent` would take twice as long.
        from jaxlatent.pages.result import report as write_page

        write_page(self, path, title)

    def _repr_html_(self) -> str:
        from jaxlatent.pages.notebook import result_html

        return result_html(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to a store that `jaxlatent.open` gives back in a later process.

        Args:
            path: a path or an address that fsspec knows, where nothing is yet. Zarr; ``xarray.open_datatree(path, engine="zarr")`` reads
                it too.

        Raises:
            StoreError: if something is there, or on failures of the disk.
        """
        saving.save(self, path)

    def to_arviz(self, predictions: int | None = None) -> Any:
        """ArviZ's container: `arviz.InferenceData` with ArviZ 0.2x, `xarray.DataTree` with 1.x.

        Groups: posterior (derived quantities included), sample_stats, log_likelihood, observed_data, constant_data, and
        posterior_predictive if asked for. Masked values are NaN. For one dataset of a ragged batch, as in ``result[name].to_arviz()``, rows
        that only the longer datasets have are left out; if a model has no covariates by row, these are like missing values, and stay.

        ArviZ counts all that is in log_likelihood, so that of one dataset it holds observed values alone, and ``az.loo`` agrees with `loo`:
        an observation ``y`` with masked values has one axis there, ``y_seen``, of labels of its rows, or of places in the flat array. In
        that of a batch masked values are NaN.

        Args:
            predictions: a seed; adds posterior predictive draws.
        """
        return arviz.to_arviz(self, predictions)
