"""Checks, before any fit, that replicates of a dataset are what a model would have generated, or could as well have been observed.

Both are tries, of the functions of the model at generic parameters: they read other observations, and the same rows in another selection.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import Masked, as_data, split
from jaxlatent.data.batches import Batch
from jaxlatent.distributions.censoring import is_censored
from jaxlatent.distributions.factor import Factor
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError
from jaxlatent.model.checks import check_fit
from jaxlatent.model.checks.terms import some_params, terms
from jaxlatent.model.model import Model
from jaxlatent.selection.layout import Layout, counts_of, layout_of, masks_of, take_units
from jaxlatent.typing import Array, Data, Params

#: Relative and absolute difference, in nats, of the same term in data and in resampled data.
_ROUNDING = 1e-3
_INSTEAD = {
    "bootstrap": "use kind='units', which draws nothing.",
    "likelihood_ratio_test": "compare the models by jl.cross_validate.",
    "calibrate": "calibrate the model of the values themselves, without censoring: dist.Exponential(rate) for "
    "dist.RightCensoredDistribution(dist.Exponential(rate), censored).",
}


def first_of(data: Data | Batch) -> dict[str, Any]:
    """The first dataset without a problem, as arrays."""
    if not isinstance(data, Batch):
        return as_data(data)
    return data[next((i for i, name in enumerate(data.names) if name not in data.problems), 0)]


def check_simulation(study: str, model: Model, data: Data) -> None:
    """Check that observations can be drawn given parameters and covariates.

    Args:
        study: the caller, for messages.
        model: the declaration.
        data: of one dataset; what `jaxlatent.fit` refuses passes, since that says it better.

    Raises:
        InputError: for a `jaxlatent.Factor`, a censored distribution, and one that depends on observed values, as in an autoregression.
    """
    if not _can_be_fitted(model, data):
        return
    check_uncensored(study, model, data)
    observed = _which(model, data, lambda d: isinstance(d, Factor))
    for name, factor in observed.items():
        if factor:
            raise InputError(
                f"{study}(), the likelihood of {name!r}",
                got="a jl.Factor",
                expected="a distribution, from which observations can be drawn",
                remedy=f"write it as a distribution or as a prior; or {_INSTEAD[study]}",
            )
    params = some_params(model, data)
    before = _distributions(model, params, data)
    after = _distributions(model, params, {**data, **{name: _disturbed(data[name]) for name in observed}})
    for what in before:
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before[what], after[what], strict=True)):
            raise InputError(
                f"{study}(), {what}",
                got="a distribution that depends on observed values",
                expected="one that depends on parameters and covariates only: simulated values would not follow from each other",
                remedy=_INSTEAD[study],
            )


def check_uncensored(study: str, model: Model, data: Data) -> None:
    """Raise `InputError` for censored observations: NumPyro draws the values themselves, which may lie beyond where they are censored."""
    for name, censored in _which(model, data, is_censored).items():
        if censored:
            raise InputError(
                f"{study}(), the likelihood of {name!r}",
                got="a censored distribution, whose draws are uncensored, beside data that say which values are censored",
                expected="a distribution that draws what would have been observed",
                remedy=_INSTEAD[study],
            )


def check_informed(study: str, engine: Engine, model: Model, data: Data, training: Data) -> None:
    """Check that a point fit to each fold learns of the groups that it holds out, of a model whose EM integrates over groups.

    A group without training data is left at its population, whereas its score is a mean over the population. Draws have such groups from
    their population.

    Args:
        study: the caller, for messages.
        engine: of the fits.
        model: the declaration.
        data: of one dataset.
        training: what each fold is fitted to, leading with ``fold``.

    Raises:
        InputError: where parameters of held-out values inform no value that a fold is fitted to.
    """
    if engine.kind != "point" or model.adjustment is None or not _can_be_fitted(model, data):
        return
    params = some_params(model, data)
    every = _gradients(model, params, jax.tree.map(lambda x: np.asarray(x)[None], dict(data)))
    own = _gradients(model, params, training)
    for name, slope in every.items():
        lost = ((np.asarray(slope) != 0) & (np.asarray(own[name]) == 0)).reshape(len(own[name]), -1).any(1)
        if lost.any():
            raise InputError(
                f"{study}(engine={type(engine).__name__}), the parameter {name!r}",
                got=f"groups of which fold {int(lost.argmax())} is fitted to nothing: a point fit scores them at their population's mean",
                expected="an engine that draws, whose score is a mean over the population; or data of every group to fit to",
                remedy="use jl.NUTS(); or, for new data of the same groups, let `folds` share out the data of every group.",
            )


def check_units(study: str, model: Model, data: Data) -> Layout:
    """Check that the rows or sequences of a dataset are exchangeable, with their covariates, and return their layout.

    Args:
        study, model, data: see `check_simulation`.

    Raises:
        InputError: for a single sequence, and where the likelihood of a row or sequence depends on others or on its place.
    """
    remedy = "use kind='parametric'."
    model.shapes(data)  # raises what is wrong with the data themselves
    try:
        layout = layout_of(model, data, f"{study}(kind='units')")
    except InputError as problem:
        raise InputError(problem.what, got=problem.got, expected=problem.expected, remedy=remedy) from problem
    if layout.kind == "step":
        raise InputError(
            f"{study}(kind='units')",
            got="one sequence",
            expected="several, independent given the parameters, to draw from",
            remedy=f"{remedy[:-1]}, or split it into a list of sequences.",
        )
    if not _can_be_fitted(model, data):
        return layout
    host = jax.tree.map(np.asarray, dict(data))
    stacked = jax.tree.map(lambda x: x[None], host)
    seen = np.flatnonzero(counts_of(layout, masks_of(layout, stacked))[0])
    index = np.arange(layout.size)
    index[seen] = seen[_twice(len(seen))]
    params = some_params(model, data)
    before, after = (_log_likelihood(model, params, one) for one in (data, take_units(layout, host, index)))
    for name in layout.units:
        own, other = np.asarray(before[name], float)[index], np.asarray(after[name], float)
        if not np.allclose(own, other, _ROUNDING, _ROUNDING, equal_nan=True):
            raise InputError(
                f"{study}(kind='units'), the likelihood of {name!r}",
                got="values that depend on other rows or sequences, or on their place",
                expected="units that are independent given the parameters, with covariates of the same length",
                remedy=remedy,
            )
    return layout


def _which(model: Model, data: Data, holds: Callable[[Any], bool]) -> dict[str, bool]:
    """Whether ``holds(d)`` of the distribution of each observation, of which shapes alone are known."""
    found: dict[str, bool] = {}

    def walk(data: Data) -> None:
        params = {site.name: jnp.zeros(site.shape) for site in model.shapes(data).sites}
        found.update({name: holds(d) for name, d in model.observed(params, data).items()})

    with tracing_for():
        jax.eval_shape(walk, dict(data))
    return found


def _can_be_fitted(model: Model, data: Data) -> bool:
    try:
        check_fit(model, data)
    except InputError:
        return False
    return True


def _twice(count: int) -> np.ndarray:
    """The first half of so many indices, each twice."""
    return np.arange(count) // 2


def _disturbed(observation: Any) -> Any:
    """Other values, with other means and differences; they need not lie in the support, since nothing is scored."""
    values, mask = split(observation)
    flat = np.asarray(values).ravel()
    other = jnp.asarray((flat[_twice(flat.size)] + 1).astype(flat.dtype).reshape(np.shape(values)))
    return other if mask is None else Masked(other, mask)


@compiled("model")
def _distributions(model: Model, params: Params, data: Data) -> dict[str, Any]:
    return terms(model, params, data, "predict")


@compiled("model")
def _gradients(model: Model, params: Params, data: Data) -> Params:
    """The gradients of the log likelihood of each of stacked datasets."""

    def total(params: Params, data: Data) -> Array:
        return sum((jnp.sum(term) for term in model.log_likelihood(params, data).values()), start=jnp.zeros(()))

    gradients: Params = jax.vmap(jax.grad(total), (None, 0))(params, data)
    return gradients


@compiled("model")
def _log_likelihood(model: Model, params: Params, data: Data) -> dict[str, Array]:
    return model.log_likelihood(params, data)
