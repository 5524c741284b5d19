"""`GLMHMM`: choices by logistic regressions on inputs, whose coefficients depend on a hidden state."""

from typing import Any, Literal, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxlatent.data.reading import narrow
from jaxlatent.errors import InputError
from jaxlatent.model import Model
from jaxlatent.models import Emission, Initial, Stationary, hmm
from jaxlatent.models.emissions import BernoulliRegression, CategoricalRegression
from jaxlatent.sklearn.estimator import FLOATS
from jaxlatent.sklearn.hidden_markov import HiddenMarkovEstimator, simulate
from jaxlatent.sklearn.sequences import in_sequences, lengths_of


class GLMHMM(ClassifierMixin, HiddenMarkovEstimator):
    """A classifier of sequences of choices: a hidden Markov model whose states are logistic regressions (a GLM-HMM).

    Rows of several sequences follow each other, and ``lengths`` tells how many each has, as in hmmlearn.

    `predict`, `predict_proba` and `score` are those of a scikit-learn classifier: they know inputs and no choices, so that the probability
    of each state is that at its step of the chain. Methods with both ``X`` and ``y`` say what choices tell of states: `state_proba`,
    `decode` and `log_likelihood`.

    Initial and transition probabilities are maximum likelihood estimates. Coefficients have a normal prior, by default so weak that a few
    rows outweigh it: without one they are infinite in a state whose inputs separate its choices. For other priors, transitions
    driven by inputs, or a posterior distribution see `jaxlatent.models.hmm`. Computations have JAX's precision, 32 bits unless
    ``jax_enable_x64`` is set.

    Args:
        n_components: number of states ``K``.
        fit_intercept: whether regressions have intercepts.
        prior_scale: standard deviation of the normal prior of coefficients and intercepts. "auto" is 5 per standard deviation of an input;
            a number is a scale in units of the inputs, ``sqrt(C)`` of `sklearn.linear_model.LogisticRegression`; None, for two classes,
            is maximum likelihood.
        tol: EM stops when an iteration gains less, in nats per row.
        max_iter: maximum number of iterations.
        n_init: number of initialisations by regressions on random windows, all in one compiled program; the best is kept.
        random_state: None, an int or a ``RandomState``, for initialisations and `sample`.

    Attributes:
        classes_: the labels, sorted.
        coef_: of two classes ``(K, n_features)``, for the second of them; of ``C`` classes ``(K, C, n_features)``.
        intercept_: ``(K,)`` or ``(K, C)``; zeros without intercepts.
        startprob_: ``(K,)``.
        transmat_: ``(K, K)``, from row to column.
        converged_: whether the best initialisation converged.
        n_iter_: number of its iterations.
        lower_bound_: its log likelihood per row.
        n_features_in_, feature_names_in_: of the data of `fit`; names only of data frames.
        result_: the `jaxlatent.Result` of the fit, with a lane for each initialisation.
    """

    _degenerate = "inputs separate the classes in a state, or it has next to no rows: choose a smaller prior_scale or fewer components."

    def __init__(
        self,
        n_components: int = 1,
        *,
        fit_intercept: bool = True,
        prior_scale: float | Literal["auto"] | None = "auto",
        tol: float = 1e-5,
        max_iter: int = 500,
        n_init: int = 10,
        random_state: Any = None,
    ):
        self.n_components = n_components
        self.fit_intercept = fit_intercept
        self.prior_scale = prior_scale
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any, lengths: Any = None) -> Self:
        """Fit to inputs and choices.

        Args:
            X: inputs ``(n_samples, n_features)``.
            y: choices ``(n_samples,)``, of at least two classes; any labels.
            lengths: of the sequences; one of all rows by default.

        Raises:
            ValueError: for invalid data or settings, or if no initialisation has a finite log likelihood.
        """
        X, y = validate_data(self, X, y, dtype=FLOATS)
        check_classification_targets(y)
        self._check_settings(len(X))
        lengths = lengths_of(lengths, len(X))
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                "GLMHMM.fit(y)",
                got=f"one class, {self.classes_[0]}",
                expected="at least 2 classes",
                remedy="give choices that differ.",
            )
        sequences = {"y": in_sequences(codes, lengths), "x": in_sequences(X, lengths)}
        params = self._fit_model(self._model(), sequences, len(X))
        self._set_chain(params)
        self.coef_ = params["weights"]
        self.intercept_ = params.get("biases", np.zeros(self.coef_.shape[:-1]))
        return self

    def predict(self, X: Any, lengths: Any = None) -> np.ndarray:
        """The most probable class of every row given inputs alone, ``(n_samples,)``."""
        probs = self.predict_proba(X, lengths)
        labels: np.ndarray = self.classes_[probs.argmax(1)]
        return labels

    def predict_proba(self, X: Any, lengths: Any = None) -> np.ndarray:
        """The probability of every class for each row given inputs alone, ``(n_samples, n_classes)``, in the order of ``classes_``.

        It is the mean over states, whose probabilities are those of the chain at that step of the sequence. For probabilities of the
        states given choices see `state_proba`.
        """
        X = self._inputs(X)
        states = self._chain_probs(lengths_of(lengths, len(X)))
        probs: np.ndarray = np.einsum("nk,nkc->nc", states, self._class_probs(X))
        return probs

    def score(self, X: Any, y: Any, sample_weight: Any = None, lengths: Any = None) -> float:
        """The accuracy of `predict`, as of every classifier of scikit-learn."""
        return float(accuracy_score(y, self.predict(X, lengths), sample_weight=sample_weight))

    def log_likelihood(self, X: Any, y: Any, lengths: Any = None) -> float:
        """The log likelihood of the choices of all sequences together."""
        return self._log_likelihood(self._observed(X, y), lengths)

    def state_proba(self, X: Any, y: Any, lengths: Any = None) -> np.ndarray:
        """The posterior probability of every state for each row given inputs and choices of its whole sequence, ``(n_samples, K)``."""
        return self._state_probs(self._observed(X, y), lengths)

    def decode(self, X: Any, y: Any, lengths: Any = None, algorithm: str = "viterbi") -> tuple[float, np.ndarray]:
        """The most likely states given inputs and choices.

        Args:
            X: inputs.
            y: choices.
            lengths: of the sequences.
            algorithm: "viterbi" for the most likely path, "map" for the most likely state of each row.

        Returns:
            log_prob: with "viterbi" the log probability of choices and states together; with "map" the sum of the log posterior
                probabilities of the states.
            states: integers ``(n_samples,)``.
        """
        return self._decoded(self._observed(X, y), lengths, algorithm)

    def bic(self, X: Any, y: Any, lengths: Any = None) -> float:
        """The Bayesian information criterion on ``X`` and ``y``, smaller is better; coefficients count for all classes but one."""
        return float(-2 * self.log_likelihood(X, y, lengths) + self._num_parameters * np.log(len(X)))

    def aic(self, X: Any, y: Any, lengths: Any = None) -> float:
        """The Akaike information criterion on ``X`` and ``y``, smaller is better; coefficients count for all classes but one."""
        return float(-2 * self.log_likelihood(X, y, lengths) + 2 * self._num_parameters)

    def sample(self, X: Any, lengths: Any = None, random_state: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Draw states and choices for given inputs.

        Args:
            X: inputs ``(n_samples, n_features)``.
            lengths: of the sequences.
            random_state: None for that of the estimator.

        Returns:
            y: choices, of ``classes_``, ``(n_samples,)``.
            states: ``(n_samples,)``.
        """
        X = self._inputs(X)
        rng = check_random_state(self.random_state if random_state is None else random_state)
        steps = lengths_of(lengths, len(X)).tolist()
        states = np.concatenate([simulate(rng, self.startprob_, self.transmat_, length) for length in steps])
        below = np.cumsum(self._class_probs(X)[np.arange(len(X)), states], 1)[:, :-1]
        return self.classes_[(rng.random_sample((len(X), 1)) > below).sum(1)], states

    @property
    def _num_parameters(self) -> int:
        return self.result_.posterior.density.free_parameters

    def _model(self) -> Model:
        inputs, classes, bias = self.n_features_in_, len(self.classes_), bool(self.fit_intercept)
        emissions: Emission = (
            BernoulliRegression(inputs, self.prior_scale, bias)
            if classes == 2
            else CategoricalRegression(inputs, classes, self.prior_scale, bias)  # type: ignore[arg-type]
        )
        return hmm(int(self.n_components), emissions, Stationary(concentration=1.0), Initial(concentration=1.0))

    def _inputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        inputs: np.ndarray = validate_data(self, X, dtype=FLOATS, reset=False)
        return inputs

    def _observed(self, X: Any, y: Any) -> dict[str, np.ndarray]:
        """Inputs, and choices as codes."""
        X = self._inputs(X)
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise InputError(
                "y",
                got=f"classes {unknown[:8].tolist()}, which were not among those of the fit",
                expected=f"classes among {self.classes_.tolist()}",
                remedy="fit to data that have all classes, or leave these rows out.",
            )
        return {"y": np.searchsorted(self.classes_, y), "x": narrow("X", X)}

    def _emission_params(self) -> dict[str, np.ndarray]:
        return {"weights": self.coef_, **({"biases": self.intercept_} if self.fit_intercept else {})}

    def _class_probs(self, X: np.ndarray) -> np.ndarray:
        """The probability of every class in every state, ``(n_samples, K, n_classes)``."""
        logits = np.einsum("np,k...p->nk...", X, self.coef_) + self.intercept_
        if len(self.classes_) == 2:
            logits = np.stack([np.zeros_like(logits), logits], -1)
        probs: np.ndarray = softmax(logits, -1)
        return probs

    def _chain_probs(self, lengths: np.ndarray) -> np.ndarray:
        """The probability of every state at each step of the sequences before anything is observed, ``(n_samples, K)``."""
        steps = [self.startprob_]
        while len(steps) < lengths.max():
            steps.append(steps[-1] @ self.transmat_)
        chain = np.array(steps)
        return np.concatenate([chain[:length] for length in lengths])
