"""Diagnostics of draws: convergence, Monte Carlo error, predictive performance, relabelling.

Functions take arrays ``(chains, draws, ...)`` and treat all trailing parameters at once. R-hat, ESS and MCSE of NumPy arrays are computed
on the host in double precision, without compilation; those of JAX arrays on the device, also inside `jax.jit` and `jax.vmap`.
"""

from jaxlatent.diagnostics.comparison import Comparison, compare
from jaxlatent.diagnostics.ess import ess_bulk, ess_mean, ess_quantile, ess_tail
from jaxlatent.diagnostics.geweke import geweke
from jaxlatent.diagnostics.information import InformationCriterion
from jaxlatent.diagnostics.loo import loo
from jaxlatent.diagnostics.mcse import mcse_mean, mcse_quantile, mcse_sd
from jaxlatent.diagnostics.psis import psis
from jaxlatent.diagnostics.relabelling import (
    Relabelled,
    match_parameters,
    match_states,
    permute,
    permute_states,
    relabel,
)
from jaxlatent.diagnostics.rhat import nested_rhat, rhat
from jaxlatent.diagnostics.waic import waic

__all__ = [
    "Comparison",
    "InformationCriterion",
    "Relabelled",
    "compare",
    "ess_bulk",
    "ess_mean",
    "ess_quantile",
    "ess_tail",
    "geweke",
    "loo",
    "match_parameters",
    "match_states",
    "mcse_mean",
    "mcse_quantile",
    "mcse_sd",
    "nested_rhat",
    "permute",
    "permute_states",
    "psis",
    "relabel",
    "rhat",
    "waic",
]
