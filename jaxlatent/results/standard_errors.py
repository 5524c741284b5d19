"""Standard errors of point fits, from the inverse Hessian at each point."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.engines.em import EM
from jaxlatent.engines.gaussian import inverse_root
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.posterior.curvature import hessian, jacobian
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.outcome import Outcome
from jaxlatent.typing import Array


def standard_errors(result: Outcome, posterior: Posterior, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    """See `jaxlatent.Result.standard_errors`; the data of ``posterior`` lead with ``dataset``."""
    known = {**result.params, **result.derived}
    names = tuple(known) if names is None else tuple(names)
    for name in names:
        if name not in known:
            raise InputError(
                "result.standard_errors(...)",
                got=repr(name),
                expected=f"names among {list(known)}",
                remedy=did_you_mean(name, known),
            )
    own = result.statistics.get("covariance")
    if own is None and (not isinstance(result.engine, EM) or posterior.density.integrates):
        raise InputError(
            "result.standard_errors(...)",
            got=f"a fit by {result.provenance.engine}, which computes no covariance",
            expected="a point fit with the covariance at its points",
            remedy="use jl.Optimize(objective='mle'), or for draws result.summary().",
        )
    lead, dim = result.positions.shape[:-1], result.positions.shape[-1]
    datasets = 1 if result.names is None else len(result.names)
    positions = result.positions.reshape(datasets, -1, dim)
    covariance = _covariances(posterior, positions) if own is None else own.reshape(datasets, -1, dim, dim)
    flat = np.asarray(_by_delta_method(posterior, positions, covariance, names))
    shapes = [np.shape(known[name])[len(lead) :] for name in names]
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    parts = zip(names, shapes, np.split(flat, ends, -1), strict=True)
    return {name: part.reshape((*lead, *shape)) for name, shape, part in parts}


@compiled()
def _covariances(posterior: Posterior, positions: Array) -> Array:
    """The inverse of minus the Hessian of the log density of the values, by position: ``(dataset, lane, dim, dim)``.

    Args:
        posterior: data lead with ``dataset``.
        positions: ``(dataset, lane, dim)``.
    """

    def one(posterior: Posterior, position: Array) -> Array:
        factor, _ = inverse_root(hessian(lambda x: -posterior.log_density(x, jacobian=False), position))
        return factor @ factor.T

    return over_lanes(one, (1, 0))(posterior, positions)


@compiled("names")
def _by_delta_method(posterior: Posterior, positions: Array, covariance: Array, names: tuple[str, ...]) -> Array:
    """Standard errors of named values by the delta method, ``(dataset, lane, entries of all names)``.

    Args:
        posterior: data lead with ``dataset``.
        positions: ``(dataset, lane, dim)``.
        covariance: of the positions, ``(dataset, lane, dim, dim)``.
        names: parameters and derived quantities, in the order wanted.
    """

    def one(posterior: Posterior, position: Array, covariance: Array) -> Array:
        def values(position: Array) -> Array:
            params = posterior.constrain(position)
            named = {**params, **posterior.density.derived(params, posterior.data)}
            return jnp.concatenate([jnp.ravel(named[name]).astype(position.dtype) for name in names])

        slope = jacobian(values, position)
        return jnp.sqrt(jnp.sum(slope @ covariance * slope, -1))

    return over_lanes(one, (1, 0, 0))(posterior, positions, covariance)
