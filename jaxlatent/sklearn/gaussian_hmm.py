"""`GaussianHMM`: a hidden Markov model with normal emissions, as in hmmlearn."""

from typing import Any, Self

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxlatent.data.reading import narrow
from jaxlatent.errors import InputError
from jaxlatent.model import Model
from jaxlatent.models import Initial, Stationary, hmm
from jaxlatent.sklearn.estimator import FLOATS
from jaxlatent.sklearn.hidden_markov import HiddenMarkovEstimator, simulate
from jaxlatent.sklearn.normals import as_matrices, draw, normals, num_parameters
from jaxlatent.sklearn.sequences import in_sequences, lengths_of
from jaxlatent.status import Status


class GaussianHMM(DensityMixin, HiddenMarkovEstimator):
    """A hidden Markov model with normal emissions by maximum likelihood, with the interface of `hmmlearn.hmm.GaussianHMM`.

    Rows of several sequences follow each other, and ``lengths`` tells how many each has, as in hmmlearn. One difference: `fit` and `score`
    take ``y`` in second place, which they ignore, as pipelines and searches of scikit-learn need it; name the argument, ``lengths=...``.

    Estimates are the maximum likelihood, with ``reg_covar`` added to the diagonal of covariances in every M-step, as in scikit-learn's
    mixtures; hmmlearn adds 0.01 (``covars_prior``) to the sums of squares of every state instead. For priors, other emissions or a
    posterior distribution see `jaxlatent.models.hmm`.

    Computations have JAX's precision, 32 bits unless ``jax_enable_x64`` is set. In 32 bits a variance gains at least 1.2e-6 of the variance
    of all rows, in place of a smaller ``reg_covar``.

    Args:
        n_components: number of states ``K``.
        covariance_type: "full", "tied", "diag" or "spherical".
        tol: EM stops when an iteration gains less, in nats per row (in hmmlearn: for all rows together).
        reg_covar: added to the diagonal of covariances.
        max_iter: maximum number of iterations, hmmlearn's ``n_iter``.
        n_init: number of initialisations by k-means, all in one compiled program; the best is kept.
        algorithm: of `predict` and `decode`: "viterbi" for the most likely path, "map" for the most likely state of each row.
        random_state: None, an int or a ``RandomState``, for initialisations and `sample`.

    Attributes:
        startprob_: ``(K,)``.
        transmat_: ``(K, K)``, from row to column.
        means_: ``(K, n_features)``.
        covariances_: "full" ``(K, n_features, n_features)``, "tied" ``(n_features, n_features)``, "diag" ``(K, n_features)``,
            "spherical" ``(K,)``.
        covars_: the same as matrices, ``(K, n_features, n_features)`` for every type, as in hmmlearn.
        converged_: whether the best initialisation gained less than ``tol`` in its last iteration.
        n_iter_: number of its iterations.
        lower_bound_: its log likelihood per row.
        n_features_in_, feature_names_in_: of the data of `fit`; names only of data frames.
        result_: the `jaxlatent.Result` of the fit, with a lane for each initialisation.
    """

    # A regularised M-step is no maximum of the likelihood, which EM calls stalled; scikit-learn's rule is the gain alone.
    _converged = frozenset({Status.CONVERGED, Status.STALLED})

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "diag",
        tol: float = 1e-5,
        reg_covar: float = 1e-6,
        max_iter: int = 500,
        n_init: int = 10,
        algorithm: str = "viterbi",
        random_state: Any = None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.algorithm = algorithm
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, lengths: Any = None) -> Self:
        """Fit to rows ``X`` ``(n_samples, n_features)`` of sequences of these ``lengths``; ``y`` is ignored.

        Raises:
            ValueError: for invalid data or settings, or if no initialisation has a finite log likelihood.
        """
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        self._check_settings(len(X))
        _check_ignored(y, len(X))
        sequences = in_sequences(X, lengths_of(lengths, len(X)))
        params = self._fit_model(self._model(), {"y": sequences}, len(X))
        self._set_chain(params)
        self.means_, self.covariances_ = params["means"], params["covs"]
        return self

    def predict(self, X: Any, lengths: Any = None) -> np.ndarray:
        """The state of every row by ``algorithm``, integers ``(n_samples,)``."""
        return self.decode(X, lengths)[1]

    def decode(self, X: Any, lengths: Any = None, algorithm: str | None = None) -> tuple[float, np.ndarray]:
        """The most likely states.

        Args:
            X: rows.
            lengths: of the sequences.
            algorithm: in place of that of the estimator.

        Returns:
            log_prob: with "viterbi" the log density of rows and states together; with "map" the sum of the log posterior probabilities of
                the states.
            states: integers ``(n_samples,)``.
        """
        return self._decoded(self._observed(X), lengths, self.algorithm if algorithm is None else algorithm)

    def predict_proba(self, X: Any, lengths: Any = None) -> np.ndarray:
        """The posterior probability of every state for each row given its whole sequence, ``(n_samples, K)``."""
        return self._state_probs(self._observed(X), lengths)

    def score_samples(self, X: Any, lengths: Any = None) -> tuple[float, np.ndarray]:
        """`score` and `predict_proba`, as in hmmlearn."""
        return self.score(X, lengths=lengths), self.predict_proba(X, lengths)

    def score(self, X: Any, y: Any = None, lengths: Any = None) -> float:
        """The log likelihood of all sequences together, as in hmmlearn; ``y`` is ignored."""
        observed = self._observed(X)
        _check_ignored(y, len(observed["y"]))
        return self._log_likelihood(observed, lengths)

    def bic(self, X: Any, lengths: Any = None) -> float:
        """The Bayesian information criterion on ``X``, smaller is better."""
        return float(-2 * self.score(X, lengths=lengths) + self._num_parameters * np.log(len(X)))

    def aic(self, X: Any, lengths: Any = None) -> float:
        """The Akaike information criterion on ``X``, smaller is better."""
        return float(-2 * self.score(X, lengths=lengths) + 2 * self._num_parameters)

    def sample(
        self, n_samples: int = 1, random_state: Any = None, currstate: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a sequence from the fitted model.

        Args:
            n_samples: its length.
            random_state: None for that of the estimator.
            currstate: its first state; drawn from ``startprob_`` by default.

        Returns:
            X: ``(n_samples, n_features)``.
            states: ``(n_samples,)``.
        """
        check_is_fitted(self)
        rng = check_random_state(self.random_state if random_state is None else random_state)
        states = simulate(rng, self.startprob_, self.transmat_, n_samples, currstate)
        return draw(rng, states, self.means_, self.covariances_, self.covariance_type), states

    @property
    def covars_(self) -> np.ndarray:
        """The covariance matrix of every state, ``(K, n_features, n_features)``."""
        return as_matrices(self.means_, self.covariances_, self.covariance_type)

    @property
    def _num_parameters(self) -> int:
        return self._num_chain + num_parameters(self.means_, self.covariances_, self.covariance_type)

    def _model(self) -> Model:
        emissions = normals(self.covariance_type, self.n_features_in_, self.reg_covar)
        return hmm(int(self.n_components), emissions, Stationary(concentration=1.0), Initial(concentration=1.0))

    def _observed(self, X: Any) -> dict[str, np.ndarray]:
        """Rows relative to the states, so that an origin far away costs no precision."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        return {"y": narrow("X", X - self.means_.mean(0))}

    def _emission_params(self) -> dict[str, np.ndarray]:
        return {"means": self.means_ - self.means_.mean(0), "covs": self.covariances_}


def _check_ignored(y: Any, rows: int) -> None:
    """Raise `InputError` for a ``y`` that cannot be one value per row: lengths in its place, as hmmlearn has them."""
    if y is not None and np.shape(y)[:1] != (rows,):
        raise InputError(
            "y, the second argument",
            got=f"shape {np.shape(y)} for {rows} rows",
            expected="None, or one value per row, which is ignored as everywhere in scikit-learn",
            remedy="name the lengths of sequences: lengths=...",
        )
