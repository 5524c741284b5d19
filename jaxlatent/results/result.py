"""`Result`: what a fit hands out. Host arrays, what was done to get them, and what follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxlatent.results import arviz, report
from jaxlatent.results.fitted import Fitted
from jaxlatent.results.report import Report
from jaxlatent.results.summary import stacked, summarise


@dataclass(frozen=True, repr=False)
class Result(Fitted):
    """Draws or point estimates of one dataset, or of a batch of them, with everything needed to go on.

    Arrays lead with ``(dataset, lane)``, without ``dataset`` when one dataset was fitted; draws follow with ``draw``.

    Attributes:
        posterior: what was fitted, data included.
        engine: what fitted it.
        params: named values.
        derived: the model's derived quantities.
        positions: the same, unconstrained and flat: ``(dataset?, lane, draw?, dim)``.
        statistics: sampler statistics under ArviZ's names; see the engine.
        objective: final log density or ELBO of each lane.
        status: `jaxlatent.status.Status` of each lane.
        trace: history of the objective, ``(dataset?, lane, iteration)``, for engines that optimise.
        names: of the datasets; None for one dataset.
        coords: labels of named dimensions.
        problems: by the name of a dataset that was set aside, what is wrong with it; its values are NaN.
        provenance: see `Provenance`.
    """

    def summary(self, names: Sequence[str] | None = None, prob: float = 0.94) -> Any:
        """A table of every parameter and derived quantity, as a pandas ``DataFrame``.

        Mean, standard deviation, equal-tailed interval, Monte Carlo errors, effective sample sizes and R-hat (Vehtari et al. 2021),
        computed on the host. For point fits: value, and standard error where known.

        Args:
            names: which; all by default.
            prob: of the interval.
        """
        if self._ragged:
            return stacked({name: self[name].summary(names, prob) for name in self.names or ()})
        return summarise(self, names, prob)

    def check(self) -> Report:
        """What is wrong, in plain words: a page to print, empty when all is well.

        Looks for lanes that failed, divergences, chains that disagree (and why: switched labels, a stuck chain), too few draws, bad k-hat,
        parameters that are known only together, covariates that say the same, separation in binary regressions, priors that contradict
        the data, supports that are too narrow, tails without a variance.

        Raises:
            InputError: for several datasets: pick one first.
        """
        return report.check(self)

    def to_arviz(self, predictions: int | None = None) -> Any:
        """ArviZ's container: `arviz.InferenceData` with ArviZ 0.2x, `xarray.DataTree` with 1.x.

        Groups: posterior (derived quantities included), sample_stats, log_likelihood, observed_data, constant_data, and
        posterior_predictive if asked for.

        Args:
            predictions: a seed; adds posterior predictive draws.
        """
        return arviz.to_arviz(self, predictions)
