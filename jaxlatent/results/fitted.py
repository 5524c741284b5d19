"""`Fitted`: predictions, hidden states and scores of a fitted model, on the data of the fit or on others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import jax
import numpy as np

from jaxlatent.data.arrays import as_data
from jaxlatent.data.batches import Batch, labelled
from jaxlatent.diagnostics import loo, waic
from jaxlatent.distributions.censoring import is_censored, warn_of_draws
from jaxlatent.errors import InputError, require
from jaxlatent.keys import Purpose, key_for
from jaxlatent.model.checks import levels_needed
from jaxlatent.posterior.absent import Absent
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results import accuracy, conditional, hidden, predictive, scores
from jaxlatent.results.conditional import Conditional
from jaxlatent.results.evaluated import Evaluated
from jaxlatent.results.standard_errors import standard_errors
from jaxlatent.typing import Data, Key


@dataclass(frozen=True, repr=False)
class Fitted(Evaluated):
    """A result with the methods that follow from its model and parameters."""

    def standard_errors(self, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Standard errors of a point fit, by the delta method from the inverse Hessian at each point.

        That of EM is the Hessian of what it maximises, log prior plus the log likelihood with labels and paths summed out, as Louis (1982)
        has it. NaN where that is not curved downwards in every direction, as at a boundary or where EM has not converged.

        Args:
            names: parameters and derived quantities; all by default.

        Returns:
            Errors by name, of the shape of the values.

        Raises:
            InputError: for an unknown name, and fits without a Hessian.
        """
        return standard_errors(self, self._gridded()[0], names)

    def log_likelihood(self, data: Data | Batch | None = None) -> dict[str, np.ndarray]:
        """Pointwise log likelihood by observation (for hidden Markov models by sequence), with the leading axes of `params`.

        Args:
            data: other data; those of the fit by default.
        """
        terms = self._terms(data)
        self._require(terms, "log_likelihood")
        return terms

    def log_predictive_density(
        self, data: Data | Batch | None = None, given: Data | Batch | None = None
    ) -> dict[str, np.ndarray]:
        """The log density that the fit gives to each observed value (for hidden Markov models to each sequence), by observation.

        Of draws it is the logarithm of the mean density over all chains and draws, as in leave-one-out cross-validation (Vehtari, Gelman
        and Gabry 2017, equation 3); of a point fit, or an approximation with several lanes, the density at the `best` lane. Arrays lead
        with ``dataset`` if there are several; NaN where all lanes of a dataset failed.

        Args:
            data: other data; those of the fit by default.
            given: the same data with fewer values observed, on which the others are conditioned, as the beginning of a sequence.
        """
        fit = self if self.engine.kind == "chains" else self.best()
        exists = fit._exists().reshape(-1, *(fit.positions.shape[-3:-1] if fit.has_draws else (1,)))
        before = None if given is None else fit._gridded(given)[0]
        density = lambda posterior, params: predictive.log_predictive_density(
            posterior, before, params, exists, fit.has_draws
        )
        terms = fit._computed(density, data)
        self._require(terms, "log_predictive_density")
        return {name: np.asarray(term if self.names is not None else term[0]) for name, term in terms.items()}

    def predict(
        self, seed: int | Key, data: Data | Batch | None = None, new_levels: bool = False
    ) -> dict[str, np.ndarray]:
        """One predictive draw of every observation for each draw of the parameters, with the leading axes of `params`.

        Draws of censored observations are uncensored, of which a warning tells.

        Args:
            seed: required, an int or a typed JAX key.
            data: other covariates; those of the fit by default. Only the shapes of observations are used; without an observation, its
                draws have the shape of its distribution.
            new_levels: whether to draw effects for new groups (indices beyond the existing effects) from their population: the prior
                given the other parameters, once for each group and draw. It needs i.i.d. priors, centred or not, such as
                ``jl.informed(dist.Normal(p.mu, p.tau).expand([n]).to_event(1))``.

        Raises:
            InputError: for indices out of range, missing or masked covariates, or a prior that is not i.i.d.
        """
        key, fit = key_for(Purpose.PREDICT, seed), self
        if new_levels and data is not None:
            key, key_levels = jax.random.split(key)
            fit = self._with_new_levels(key_levels, data)
        draws = fit._computed(predictive.predict, data, key, self.has_draws, use="predict")
        self._require(draws, "predict")
        warn_of_draws("predict()", self._censored(), stacklevel=2)
        return self._by_row(self._ungridded(draws), data)

    def conditional(self, data: Data | Batch | None = None, name: str | None = None) -> Conditional:
        """The predictive distribution of an observation at each row: moments, quantiles, densities, draws, calibration.

        Args:
            data: other inputs, and observations for calibration and scores; those of the fit by default.
            name: of the observation, if there are several.
        """
        own = self if data is not None else replace(self, posterior=replace(self.posterior, data=self._own_data()))
        return own._computed(conditional.make_conditional, data, self.has_draws, name, self._stripped, use="predict")

    def smooth(self, data: Data | Batch | None = None) -> dict[str, np.ndarray]:
        """Posterior probabilities of hidden states or components, ``(..., K)`` by observation, with the leading axes of `params`.

        A sequence ends with its last observed step; later steps have probabilities of 0, as have missing values of mixtures.

        Args:
            data: other data; those of the fit by default.
        """
        return self._require_hidden(self._computed(hidden.smooth, data, self.has_draws), "smooth", data)

    def most_likely_states(self, data: Data | Batch | None = None) -> dict[str, np.ndarray]:
        """The most likely path of every sequence (Viterbi), or label of every value.

        -1 after the last observed step of a sequence, and for missing values of mixtures.

        Args:
            data: other data; those of the fit by default.
        """
        found = self._computed(hidden.most_likely, data, self.has_draws)[0]
        return self._require_hidden(found, "most_likely_states", data, -1)

    def sample_states(self, seed: int | Key, data: Data | Batch | None = None) -> dict[str, np.ndarray]:
        """Paths or labels drawn given the data, one for each draw of the parameters; -1 as in `most_likely_states`.

        Args:
            seed: required, an int or a typed JAX key.
            data: other data; those of the fit by default.
        """
        drawn = self._computed(hidden.sample, data, key_for(Purpose.SAMPLE_STATES, seed), self.has_draws)
        return self._require_hidden(drawn, "sample_states", data, -1)

    def forecast(self, steps: int, seed: int | Key, data: Data | Batch | None = None) -> dict[str, np.ndarray]:
        """Draw the next ``steps`` values of every sequence, once for each draw of the parameters.

        They follow the last *observed* step: missing steps at the end of a sequence are the first of its forecast. For hidden Markov
        models without inputs; with inputs, simulate with `predict`.

        Args:
            steps: number of steps.
            seed: required, an int or a typed JAX key.
            data: other data; those of the fit by default.
        """
        require(
            isinstance(steps, int | np.integer) and bool(steps >= 1),
            "forecast(steps)",
            got=steps,
            expected="a whole number, at least 1",
        )
        drawn = self._computed(hidden.forecast, data, key_for(Purpose.FORECAST, seed), steps, self.has_draws)
        return self._require_hidden(drawn, "forecast", data)

    def score(self, data: Data | Batch | None = None) -> np.ndarray:
        """Log likelihood in nats per observed value, with the leading axes of `params`; on held-out data a measure of predictive accuracy.

        Args:
            data: held-out data; those of the fit by default.
        """
        found = self._computed(scores.score, data, self.has_draws)
        self._require(found, "score")
        return self._ungridded(found)["score"]

    def criteria(self) -> dict[str, np.ndarray]:
        """AIC, BIC and ICL of point fits, smaller is better, and ``free_parameters``; by lane. See `jaxlatent.results.scores`.

        Raises:
            InputError: for draws, for posteriors that do not know their observations, and for models of groups around a population, whose
                parameters are not all free.
        """
        if self.posterior.density.integrates:
            raise InputError(
                "result.criteria()",
                got="a model that integrates over its groups",
                expected="one whose number of free parameters is that of its parameters",
                remedy="compare such models by jl.cross_validate or jl.select, with data of every group in all folds or by jl.NUTS.",
            )
        if self.has_draws:
            raise InputError(
                "result.criteria()",
                got=f"draws by {self.provenance.engine}",
                expected="a point fit, as of EM or Optimize(objective='mle')",
                remedy="use result.loo() or result.waic().",
            )
        found = scores.criteria(*self._gridded())
        self._require(found, "criteria")
        return self._ungridded(found)

    def _require_hidden(
        self, values: Mapping[str, Any], what: str, data: Data | Batch | None, fill: float = np.nan
    ) -> dict[str, np.ndarray]:
        if isinstance(self.posterior.density, Absent):
            self._require(values, what)
        if not values:
            raise InputError(
                f"result.{what}()",
                got="observations without latent labels or paths" + (" or need inputs" if what == "forecast" else ""),
                expected="a HiddenMarkov" + ("" if what == "forecast" else " or a mixture distribution"),
                remedy="use result.predict().",
            )
        own = self._ungridded(values, fill)
        return own if what == "forecast" else self._by_row(own, data)

    def waic(self) -> Any:
        """The widely applicable information criterion (Watanabe 2010), over all observations of a dataset.

        Returns:
            A `jaxlatent.diagnostics.InformationCriterion`. For a batch, a pandas ``DataFrame`` with one row a ``dataset`` and its fields
            ``elpd``, ``se``, ``p``, ``n_observations``, ``n_samples`` and ``n_unreliable`` as columns; NaN where a dataset was
            quarantined or has a failed chain. ``result[name].waic()`` has the contributions of its observations.

        Raises:
            InputError: for a point fit, and for posteriors that do not know their observations.
        """
        return self._criterion("waic")

    def loo(self) -> Any:
        """Leave-one-out cross-validation by Pareto-smoothed importance sampling (Vehtari et al. 2017), over all observations of a dataset.

        Returns:
            A `jaxlatent.diagnostics.InformationCriterion`. For a batch, a pandas ``DataFrame`` with one row a ``dataset`` and its fields
            ``elpd``, ``se``, ``p``, ``n_observations``, ``n_samples`` and ``n_unreliable`` (too large a Pareto k) as columns; NaN where
            a dataset was quarantined or has a failed chain. ``result[name].loo()`` has the contributions of its observations.

        Raises:
            InputError: for a point fit, and for posteriors that do not know their observations.
        """
        return self._criterion("loo")

    def _criterion(self, kind: Literal["waic", "loo"]) -> Any:
        if not self.has_draws:
            raise InputError(
                f"result.{kind}()",
                got="a point fit",
                expected="draws",
                remedy="fit with an engine that draws.",
            )
        if self.names is not None:
            posterior, params = self._gridded()
            self._require(accuracy.terms(posterior, params), kind)
            return accuracy.table(self.names, accuracy.each(posterior, params, self._made(), kind))
        terms = self.log_likelihood()
        observations = self._observations(terms)
        seen = {name: accuracy.seen(observations[name], term.shape[2:]) for name, term in terms.items()}
        criterion = {"waic": waic, "loo": loo}[kind](terms, seen)
        found = accuracy.contents(*self._at_first_draws())
        if found.keys() != terms.keys():
            return criterion
        counts, sums = (self._unpadded({name: np.asarray(x)[0, ..., i] for name, x in found.items()}) for i in (0, 1))
        # In the order of the terms, which is that of JAX.
        each = [np.stack([counts[name], sums[name]], -1)[seen[name]] for name in sorted(terms)]
        return replace(criterion, contents=np.concatenate(each))

    def _made(self) -> np.ndarray:
        """The number of draws of each dataset of a batch; 0 if all its lanes failed, or one of them has no draws."""
        exists = self._exists()
        each = np.any(exists, 1)
        made = np.where(each.any(-1), each.shape[-1] - np.argmax(each[:, ::-1], -1), 0)
        whole = exists.all(1).sum(-1) == made
        return np.where(whole & ~self._failed().all(-1), made, 0)

    def _terms(self, data: Data | Batch | None = None) -> dict[str, np.ndarray]:
        """The pointwise log likelihood; empty for a bare log density."""
        return self._by_row(self._ungridded(self._computed(predictive.log_likelihood, data, self.has_draws)), data)

    def _censored(self) -> list[str]:
        """Names of the observations whose distribution is censored."""
        found: list[str] = []

        def walk(posterior: Posterior, params: Any) -> None:
            observed = posterior.density.observed(params, posterior.data)
            found[:] = [name for name, d in observed.items() if is_censored(d)]

        jax.eval_shape(walk, *jax.tree.map(lambda x: x[0], self._at_first_draws()))
        return found

    def _observations(self, names: Collection[str]) -> dict[str, Any]:
        """The observed values by name, `jaxlatent.Masked` where some are missing, None where there are none."""
        found = predictive.observations(*self._at_first_draws(), tuple(names))
        return found if self.names is not None else self._unpadded(jax.tree.map(lambda x: x[0], found))

    def _require(self, values: Mapping[str, Any], what: str) -> None:
        if not values:
            raise InputError(
                f"result.{what}()",
                got="a posterior that does not know its observations",
                expected="one from a Model or a NumPyro model",
                remedy=self.posterior.density.remedy,
            )

    def _with_new_levels(self, key: Key, data: Data | Batch) -> Self:
        """A copy with effects for all groups in ``data``."""
        posterior, params = self._gridded()
        if not isinstance(posterior.density, ModelDensity):
            raise InputError(
                "result.predict(new_levels=True)",
                got="a posterior that does not know its priors",
                expected="one from a jaxlatent.Model",
                remedy="declare the model as a jl.Model.",
            )
        wanted: dict[str, int] = {}
        fitted = posterior.one(0).data
        for _, one in labelled(self._paired(data) if isinstance(data, Batch) else as_data(data)):
            for name, length in levels_needed(posterior.density.model, self._first(), fitted, one).items():
                wanted[name] = max(wanted.get(name, 0), length)
        if not wanted:
            return self
        in_order = tuple((name, wanted[name]) for name in posterior.density.names if name in wanted)
        longer = predictive.with_new_levels(posterior, key, params, self.has_draws, in_order)
        return replace(self, params=self._ungridded(longer))
