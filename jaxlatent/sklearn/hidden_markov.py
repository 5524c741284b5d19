"""What the hidden Markov models share: initial and transition probabilities, and evaluations by sequence."""

from abc import abstractmethod
from typing import Any

import numpy as np

from jaxlatent.errors import require
from jaxlatent.model import Model
from jaxlatent.sklearn import evaluation
from jaxlatent.sklearn.estimator import Estimator, normalised
from jaxlatent.sklearn.sequences import lengths_of, padded, sequence_mask


class HiddenMarkovEstimator(Estimator):
    """Base of the hidden Markov models.

    Attributes:
        startprob_: ``(K,)``.
        transmat_: ``(K, K)``, from row to column.
    """

    @abstractmethod
    def _model(self) -> Model: ...

    @abstractmethod
    def _emission_params(self) -> dict[str, np.ndarray]:
        """The fitted parameters of the emissions, by the names of the model."""

    def _set_chain(self, params: dict[str, np.ndarray]) -> None:
        self.startprob_ = normalised(params["initial_probs"])
        self.transmat_ = normalised(params["transition_matrix"])

    @property
    def _num_chain(self) -> int:
        """The number of free initial and transition probabilities."""
        num_states = len(self.startprob_)
        return (num_states - 1) * (num_states + 1)

    def _evaluated(self, function: Any, rows: dict[str, np.ndarray], lengths: Any) -> tuple[Any, np.ndarray]:
        """An evaluation at the fitted attributes, and the mask that takes padded steps to rows."""
        mask = sequence_mask(lengths_of(lengths, len(rows["y"])))
        data: dict[str, Any] = {name: padded(values, mask) for name, values in rows.items()}
        # Only observations are masked: covariates are what they are.
        data = {name: value if name == "y" else value.values for name, value in data.items()}
        params = {"initial_probs": self.startprob_, "transition_matrix": self.transmat_, **self._emission_params()}
        return function(self._model(), params, data), mask

    def _log_likelihood(self, rows: dict[str, np.ndarray], lengths: Any) -> float:
        terms, _ = self._evaluated(evaluation.log_likelihood, rows, lengths)
        return float(np.sum(terms, dtype=float))

    def _state_probs(self, rows: dict[str, np.ndarray], lengths: Any) -> np.ndarray:
        probs, mask = self._evaluated(evaluation.state_probs, rows, lengths)
        rows_of_probs: np.ndarray = np.asarray(probs)[mask]
        return rows_of_probs

    def _decoded(self, rows: dict[str, np.ndarray], lengths: Any, algorithm: str) -> tuple[float, np.ndarray]:
        known = ("viterbi", "map")
        require(algorithm in known, "algorithm", got=algorithm, expected=f"one of {known}")
        if algorithm == "map":
            probs = self._state_probs(rows, lengths)
            return float(np.sum(np.log(probs.max(1)), dtype=float)), probs.argmax(1)
        (path, log_prob), mask = self._evaluated(evaluation.most_likely, rows, lengths)
        return float(log_prob), np.asarray(path)[mask].astype(int)


def simulate(
    rng: np.random.RandomState, startprob: np.ndarray, transmat: np.ndarray, steps: int, first: int | None = None
) -> np.ndarray:
    """Simulate a path of states, integers ``(steps,)``.

    Args:
        rng: source of uniform numbers.
        startprob: ``(K,)``.
        transmat: ``(K, K)``.
        steps: at least 1.
        first: the first state; drawn by default.
    """
    if steps < 1:
        raise ValueError(f"n_samples={steps}: at least one row can be drawn.")
    uniform, start, into = rng.random_sample(steps), np.cumsum(startprob)[:-1], np.cumsum(transmat, 1)[:, :-1]
    path = [int(np.searchsorted(start, uniform[0], side="right")) if first is None else int(first)]
    for u in uniform[1:]:
        path.append(int(np.searchsorted(into[path[-1]], u, side="right")))
    return np.array(path)
