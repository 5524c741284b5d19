"""`Estimator`: the fit by expectation-maximisation that all estimators share."""

import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from jaxlatent.engines import EM
from jaxlatent.errors import InputError, require
from jaxlatent.execute import fit
from jaxlatent.model import Model
from jaxlatent.results import Result
from jaxlatent.status import Status

#: What scikit-learn keeps as it is; all else becomes float64.
FLOATS = (np.float64, np.float32)


class Estimator(BaseEstimator):
    """Base of the estimators.

    Attributes:
        result_: the `jaxlatent.Result` of the fit, with a lane for each initialisation.
        converged_: whether the best initialisation met the stopping rule.
        n_iter_: number of its iterations.
        lower_bound_: its log likelihood per row.
    """

    n_components: int
    n_init: int
    max_iter: int
    tol: float
    random_state: Any

    #: Outcomes of EM by which the best initialisation has converged.
    _converged: frozenset[Status] = frozenset({Status.CONVERGED})
    #: What to do where a component is not identified.
    _degenerate = "a component has next to no rows: choose fewer components, or raise n_init."

    def _check_settings(self, rows: int) -> None:
        """Raise `InputError` for settings out of range, or more components than ``rows`` of data."""
        for name in ("n_components", "n_init", "max_iter"):
            self._check_setting(name, Integral, 1, "an integer of at least 1")
        self._check_setting("tol", Real, 0, "a number of at least 0, in nats per row")
        if self.n_components > rows:
            raise InputError(
                f"{type(self).__name__}.fit(X)",
                got=f"n_samples = {rows} for n_components = {self.n_components}",
                expected="at least as many rows as components",
                remedy="give more rows, or choose a smaller n_components.",
            )

    def _check_setting(self, name: str, kind: type, least: float, expected: str) -> None:
        value = getattr(self, name)
        fine = isinstance(value, kind) and not isinstance(value, bool) and value >= least  # type: ignore[operator]
        require(fine, f"{type(self).__name__}({name}=...)", got=value, expected=expected)

    def _fit_model(self, model: Model, data: Mapping[str, Any], rows: int) -> dict[str, np.ndarray]:
        """Fit by EM, set the attributes, and return the parameters of the best initialisation in double precision.

        Raises:
            InputError: if no initialisation has a finite log likelihood.
        """
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        engine = EM(restarts=int(self.n_init), tol=float(self.tol), max_iter=int(self.max_iter))
        self.result_ = fit(model, data, engine, seed, progress=False)
        lane = _best_lane(self.result_)
        status, statistics = Status(int(self.result_.status[lane])), self.result_.statistics
        self.converged_ = status in self._converged
        self.n_iter_ = int(statistics["n_steps"][lane])
        self.lower_bound_ = float(statistics["log_likelihood"][lane]) / rows
        if not self.converged_:
            limit = "the iteration limit came first: raise max_iter or tol."
            advice = {Status.MAX_ITERATIONS: limit, Status.DEGENERATE: self._degenerate}.get(status, status.advice)
            warnings.warn(
                f"{type(self).__name__}: the best of {self.n_init} initialisations did not converge ({status.name}): {advice}",
                ConvergenceWarning,
                stacklevel=3,
            )
        return {name: np.asarray(value[lane], np.float64) for name, value in self.result_.params.items()}


def _best_lane(result: Result) -> int:
    """The lane of the highest objective: among those that did not fail, or else among those with a finite objective.

    scikit-learn keeps a fit with an empty component too, with a warning.
    """
    finite = np.isfinite(result.objective)
    if not finite.any():
        result.best()  # raises, with advice
    sound = finite & ~np.array([Status(int(code)).failed for code in result.status])
    return int(np.argmax(np.where(sound if sound.any() else finite, result.objective, -np.inf)))


def normalised(probs: np.ndarray) -> np.ndarray:
    """Probabilities of JAX's precision that sum to one in double precision, over the last axis."""
    total: np.ndarray = probs / probs.sum(-1, keepdims=True)
    return total
