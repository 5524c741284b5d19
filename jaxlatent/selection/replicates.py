"""Replicates of datasets, of their shapes and masks: observations drawn from a fit, or units drawn with replacement."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import Batch, Masked, shape_of, split
from jaxlatent.distributions.factor import Factor
from jaxlatent.errors import InputError
from jaxlatent.model.checks.terms import some_params, terms
from jaxlatent.model.model import Model
from jaxlatent.results import predictive
from jaxlatent.selection.layout import counts_of, layout_of, masks_of
from jaxlatent.selection.points import Points
from jaxlatent.status import Status
from jaxlatent.typing import Array, Data, Key, Params

#: Relative and absolute difference, in nats, of the same term in data and in resampled data.
_ROUNDING = 1e-3


def replicate_names(names: tuple[Any, ...] | None, count: int) -> tuple[str, ...]:
    """Names of ``count`` replicates of every dataset: "replicate 0", ..., for a batch "name, replicate 0", ..."""
    own = [f"replicate {i}" for i in range(count)]
    return tuple(own if names is None else (f"{name}, {one}" for name in names for one in own))


def batch_of(study: str, points: Points, data: Data, count: int, quarantine: bool) -> Batch:
    """Replicates as a batch, in which those of datasets without a fit have a problem.

    Args:
        study: the caller, for messages.
        points: of the fit to the data.
        data: ``(dataset * count, ...)``.
        count: number of replicates of each dataset.
        quarantine: whether a dataset without a fit is set aside rather than raises.

    Raises:
        InputError: for datasets whose names agree as text, and unless ``quarantine`` for one without a fit.
    """
    names = replicate_names(points.names, count)
    if len(set(names)) < len(names):
        raise InputError(
            f"{study}(), the names of the datasets",
            got=repr(points.names),
            expected="names that differ as text",
            remedy="rename them.",
        )
    problems: dict[str, InputError] = {}
    for dataset in np.flatnonzero(points.failed).tolist():
        status = Status(int(points.status[dataset]))
        problem = InputError(
            f"{study}(), dataset {(points.names or ())[dataset]!r}",
            got=f"no fit to the data: all lanes failed, the best with {status.name}",
            expected="a fit to start from",
            remedy=f"{status.advice} Or leave it out, or set it aside by on_bad_data='quarantine'.",
        )
        if not quarantine:
            raise problem
        problems |= dict.fromkeys(names[dataset * count : (dataset + 1) * count], problem)
    return Batch(dict(data), names, problems)


def simulate(study: str, points: Points, count: int, key: Key) -> dict[str, Any]:
    """Copies of all datasets with other observations, drawn from the model at the best points: ``(dataset * count, ...)``.

    Covariates and masks are those of the data.

    Raises:
        InputError: for a model with a `jaxlatent.Factor`, which cannot be drawn, or whose observations depend on observed values.
    """
    data = points.posterior.data
    one = int(np.argmin(points.failed))
    first = jax.tree.map(lambda x: x[one], dict(data))
    _require_drawable(study, points.model, first)
    copies = {name: np.broadcast_to(x[:, None], (len(x), count, *x.shape[1:])) for name, x in points.params.items()}
    drawn = predictive.predict(points.posterior, copies, key, False)
    made = {name: jax.tree.map(lambda x: np.repeat(np.asarray(x), count, 0), value) for name, value in data.items()}
    for name, values in drawn.items():
        given, mask = split(made[name])
        # Counts in data of real numbers stay real; real draws for data that happen to be whole are not cut.
        dtype = given.dtype if given.dtype.kind == "f" else values.dtype
        flat = np.asarray(values, dtype).reshape(given.shape)
        made[name] = flat if mask is None else Masked(flat, mask)
    simulated = {name: jax.tree.map(lambda x: x[one * count], made[name]) for name in drawn}
    _require_exogenous(study, points.model, first, {**first, **simulated})
    return made


_INSTEAD = {
    "bootstrap": "use kind='units', which draws nothing.",
    "likelihood_ratio_test": "compare the models by jl.cross_validate.",
}


def _require_drawable(study: str, model: Model, data: Data) -> None:
    """Raise `InputError` for a model with a `Factor`."""
    factors: list[str] = []

    def walk(data: Data) -> None:
        params = {site.name: jnp.zeros(site.shape) for site in model.shapes(data).sites}
        factors.extend(name for name, d in model.observed(params, data).items() if isinstance(d, Factor))

    with tracing_for():
        jax.eval_shape(walk, data)
    if factors:
        raise InputError(
            f"{study}(), the likelihood of {factors[0]!r}",
            got="a jl.Factor",
            expected="distributions, from which observations can be drawn",
            remedy=f"write it as a distribution or as a prior; or {_INSTEAD[study]}",
        )


@compiled("model")
def _distributions(model: Model, params: Params, data: Data) -> dict[str, Any]:
    return terms(model, params, data, "predict")


def _require_exogenous(study: str, model: Model, data: Data, simulated: Data) -> None:
    """Raise `InputError` if the distribution of an observation depends on observed values, as in an autoregression."""
    params = some_params(model, data)
    before, after = (_distributions(model, params, one) for one in (data, simulated))
    for what in before:
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before[what], after[what], strict=True)):
            raise InputError(
                f"{study}(), {what}",
                got="a distribution that depends on observed values",
                expected="one that depends on parameters and covariates only: simulated values would not follow from each other",
                remedy=_INSTEAD[study],
            )


def resample(study: str, points: Points, count: int, key: Key) -> tuple[dict[str, Any], str]:
    """Copies of all datasets whose units (rows or sequences) are drawn with replacement: ``(dataset * count, ...)``; and what a unit is.

    Each unit with an observed value is replaced by one of these; the others stay in their place.

    Raises:
        InputError: for a single sequence, and for models whose rows or sequences are not exchangeable.
    """
    model = points.model
    data = jax.tree.map(np.asarray, dict(points.posterior.data))
    first = jax.tree.map(lambda x: x[0], data)
    remedy = "use kind='parametric'."
    try:
        layout = layout_of(model, first, f"{study}(kind='units')")
    except InputError as problem:
        raise InputError(problem.what, got=problem.got, expected=problem.expected, remedy=remedy) from problem
    if layout.kind == "step":
        raise InputError(
            f"{study}(kind='units')",
            got="one sequence",
            expected="several, independent given the parameters, to draw from",
            remedy=f"{remedy[:-1]}, or split it into a list of sequences.",
        )
    seen = counts_of(layout, masks_of(layout, data)) > 0
    index = _drawn_units(seen, count, key)
    datasets = np.arange(len(seen))[:, None, None]
    flat: Callable[[np.ndarray], np.ndarray] = lambda x: x.reshape(-1, *x.shape[2:])

    def drawn(value: Any) -> Any:
        if shape_of(value)[1:2] == (layout.size,):
            return jax.tree.map(lambda x: flat(x[datasets, index]), value)
        return jax.tree.map(lambda x: np.repeat(x, count, 0), value)

    made = {name: drawn(value) for name, value in data.items()}
    again = jax.tree.map(lambda x: x[0], made)
    _require_exchangeable(study, model, first, again, index[0, 0], remedy)
    return made, layout.kind


def _drawn_units(seen: np.ndarray, count: int, key: Key) -> np.ndarray:
    """Which element each element is replaced by, ``(dataset, count, element)``, drawn among those ``seen``, ``(dataset, element)``."""
    datasets, size = seen.shape
    numbers = seen.sum(1)
    drawn = jax.random.randint(key, (datasets, count, size), 0, np.maximum(numbers, 1)[:, None, None])
    # The elements that are seen, first.
    places = np.argsort(~seen, 1, kind="stable")
    chosen = np.take_along_axis(places[:, None], np.asarray(drawn), 2)
    return np.where(seen[:, None], chosen, np.arange(size))


@compiled("model")
def _log_likelihood(model: Model, params: Params, data: Data) -> dict[str, Array]:
    return model.log_likelihood(params, data)


def _require_exchangeable(study: str, model: Model, data: Data, drawn: Data, index: np.ndarray, remedy: str) -> None:
    """Raise `InputError` unless the likelihood of each drawn unit is that of the unit itself, at generic parameters."""
    params = some_params(model, data)
    before, after = (_log_likelihood(model, params, one) for one in (data, drawn))
    for name, term in before.items():
        own, other = np.asarray(term, float), np.asarray(after[name], float)
        if own.shape[:1] == index.shape and not np.allclose(own[index], other, _ROUNDING, _ROUNDING, equal_nan=True):
            raise InputError(
                f"{study}(kind='units'), the likelihood of {name!r}",
                got="values that depend on other rows or sequences, or on their place",
                expected="units that are independent given the parameters, with covariates of the same length",
                remedy=remedy,
            )
