"""`GaussianMixture`: a mixture of normals, as in scikit-learn."""

from typing import Any, Self

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxlatent.data import Masked
from jaxlatent.data.reading import narrow
from jaxlatent.model import Model
from jaxlatent.models import Constant, mixture
from jaxlatent.sklearn import evaluation
from jaxlatent.sklearn.estimator import FLOATS, Estimator, normalised
from jaxlatent.sklearn.normals import draw, normals, num_parameters
from jaxlatent.sklearn.sequences import padded, row_mask
from jaxlatent.status import Status


class GaussianMixture(DensityMixin, Estimator):
    """A mixture of normals by maximum likelihood, with the interface of `sklearn.mixture.GaussianMixture`.

    Estimates are scikit-learn's: weights and means under flat priors, and covariances of which every M-step adds ``reg_covar`` to the
    diagonal. For priors, other emissions or a posterior distribution see `jaxlatent.models.mixture`.

    Computations have JAX's precision, 32 bits unless ``jax_enable_x64`` is set. In 32 bits a variance gains at least 1.2e-6 of the variance
    of all rows, in place of a smaller ``reg_covar``.

    Args:
        n_components: number of components ``K``.
        covariance_type: "full", "tied", "diag" or "spherical".
        tol: EM stops when an iteration gains less, in nats per row.
        reg_covar: added to the diagonal of covariances.
        max_iter: maximum number of iterations.
        n_init: number of initialisations by k-means, all in one compiled program; the best is kept.
        random_state: None, an int or a ``RandomState``, for initialisations and `sample`.

    Attributes:
        weights_: ``(K,)``.
        means_: ``(K, n_features)``.
        covariances_: "full" ``(K, n_features, n_features)``, "tied" ``(n_features, n_features)``, "diag" ``(K, n_features)``,
            "spherical" ``(K,)``.
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
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        random_state: Any = None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to rows ``X`` ``(n_samples, n_features)``; ``y`` is ignored.

        Raises:
            ValueError: for invalid data or settings, or if no initialisation has a finite log likelihood.
        """
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        self._check_settings(len(X))
        params = self._fit_model(self._model(), {"y": X}, len(X))
        self.weights_, self.means_, self.covariances_ = (
            normalised(params["mixture_weights"]),
            params["means"],
            params["covs"],
        )
        return self

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """`fit` to ``X``, and `predict` its labels."""
        self.fit(X)
        return self.predict(X)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable component of every row, integers ``(n_samples,)``."""
        labels: np.ndarray = self.predict_proba(X).argmax(1)
        return labels

    def predict_proba(self, X: Any) -> np.ndarray:
        """The posterior probability of every component for each row, ``(n_samples, K)``."""
        return self._evaluated(evaluation.state_probs, X)

    def score_samples(self, X: Any) -> np.ndarray:
        """The log likelihood of every row, ``(n_samples,)``."""
        return self._evaluated(evaluation.log_likelihood, X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log likelihood of the rows; ``y`` is ignored."""
        return float(np.mean(self.score_samples(X), dtype=float))

    def bic(self, X: Any) -> float:
        """The Bayesian information criterion on ``X``, smaller is better."""
        scores = self.score_samples(X)
        return float(-2 * scores.sum(dtype=float) + self._num_parameters * np.log(len(scores)))

    def aic(self, X: Any) -> float:
        """The Akaike information criterion on ``X``, smaller is better."""
        return float(-2 * self.score_samples(X).sum(dtype=float) + 2 * self._num_parameters)

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows from the fitted mixture, sorted by component as in scikit-learn.

        Returns:
            X: ``(n_samples, n_features)``.
            labels: of their components, ``(n_samples,)``.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples={n_samples}: at least one row can be drawn.")
        rng = check_random_state(self.random_state)
        labels = np.repeat(np.arange(self.n_components), rng.multinomial(n_samples, self.weights_))
        return draw(rng, labels, self.means_, self.covariances_, self.covariance_type), labels

    @property
    def _num_parameters(self) -> int:
        return len(self.weights_) - 1 + num_parameters(self.means_, self.covariances_, self.covariance_type)

    def _model(self) -> Model:
        emissions = normals(self.covariance_type, self.n_features_in_, self.reg_covar)
        return mixture(int(self.n_components), emissions, Constant(concentration=1.0))

    def _evaluated(self, function: Any, X: Any) -> np.ndarray:
        """An evaluation of every row at the fitted attributes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        # Relative to the components, so that an origin far away costs no precision.
        origin, mask = self.means_.mean(0), row_mask(len(X))
        params = {
            "mixture_weights": self.weights_,
            "means": self.means_ - origin,
            "covs": self.covariances_,
        }
        rows: Masked = padded(narrow("X", X - origin), mask)
        values: np.ndarray = np.asarray(function(self._model(), params, {"y": rows}))[mask]
        return values
