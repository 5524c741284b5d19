"""Outcome codes of lanes, with advice: compiled programs cannot raise, so a failure becomes a code."""

from enum import IntEnum

import jax.numpy as jnp
import numpy as np

from jaxlatent.typing import Array


class Status(IntEnum):
    """How one lane ended."""

    OK = 0
    CONVERGED = 1
    MAX_ITERATIONS = 2
    NON_FINITE = 3
    DEGENERATE = 4
    STUCK = 5
    DECREASED = 6
    STALLED = 7
    TREE_DEPTH = 8
    UNMIXED = 9
    QUARANTINED = 10
    UNFINISHED = 11

    @property
    def advice(self) -> str:
        """What the outcome means and what to do."""
        return _ADVICE[self]

    @property
    def failed(self) -> bool:
        """Whether the result of the lane should not be used."""
        return self in (Status.NON_FINITE, Status.DEGENERATE, Status.STUCK, Status.QUARANTINED)


_ADVICE = {
    Status.OK: "the lane ran all its draws.",
    Status.CONVERGED: "the stopping rule was met.",
    Status.MAX_ITERATIONS: "the iteration limit came first: raise `max_iter` or loosen `tol`, and look at `result.trace`.",
    Status.NON_FINITE: "the log density or its gradient became NaN or infinite: check supports and scales, or start elsewhere (`init=`).",
    Status.DEGENERATE: "the curvature is not positive definite, a component is empty, or inputs separate the observations of one: "
    "something is not identified, or there is no maximum; a prior (`prior_scale=`) or fewer components help.",
    Status.DECREASED: "the objective decreased by more than rounding error: run in 64 bits, or raise `m_step_iter`.",
    Status.STALLED: "no step was accepted although the gradient is not small: this is not a maximum. Scale inputs and observations to "
    "unit scale, run in 64 bits, or raise `m_step_iter`.",
    Status.TREE_DEPTH: "most trajectories reached the maximum tree depth: scale parameters and data to unit scale, reparameterise, or "
    "raise `max_depth`.",
    Status.UNMIXED: "the chains of this dataset have not mixed, and their draws cannot be pooled: check its scale against the prior and "
    "the other datasets, start elsewhere (`init=`), reparameterise, or order the labels.",
    Status.QUARANTINED: "the dataset failed the checks and was not fitted: `result.quarantined` says why; correct it and fit it again.",
    Status.UNFINISHED: "the run has not ended: go on with `jl.resume(path, model)` if it is stored, or wait for whoever writes it.",
    Status.STUCK: "the lane hardly moved: start elsewhere (`init=`), reparameterise, or raise `target_accept`.",
}


def at_limit(status: Array) -> Array:
    """Traced codes at the iteration limit, where a lane that is still OK is out of iterations."""
    return jnp.where(status == Status.OK, Status.MAX_ITERATIONS, status)


def has_failed(status: np.ndarray) -> np.ndarray:
    """Whether each code is one whose result should not be used, on the host."""
    return np.isin(status, [code for code in Status if code.failed])


def in_words(status: np.ndarray) -> str:
    """How lanes ended, as in ``"3 OK, 1 STUCK"``."""
    codes, counts = np.unique(status, return_counts=True)
    return ", ".join(f"{count} {Status(code).name}" for code, count in zip(codes, counts, strict=True))
