"""`Result.to_arviz`: the groups of a result and their contents."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxlatent.data.arrays import split
from jaxlatent.errors import InputError
from jaxlatent.masks import widen
from jaxlatent.results import container
from jaxlatent.results.accuracy import seen
from jaxlatent.results.fitted import Fitted


def to_arviz(result: Fitted, predictions: int | None) -> Any:
    """See `jaxlatent.Result.to_arviz`."""
    if not result.has_draws:
        raise InputError(
            "result.to_arviz()",
            got=f"a point fit by {result.provenance.engine}",
            expected="draws",
            remedy="use result.params, or fit with an engine that draws, such as NUTS.",
        )
    dims, coords = result.posterior.density.dims, _coords(result)
    make: Callable[[Mapping[str, Any], tuple[str, ...]], Any] = lambda values, leading: container.dataset(
        values, leading, dims, coords
    )
    per_draw, per_lane = {}, {}
    for name, value in result.statistics.items():
        if value.shape[: len(result.leading)] == result.positions.shape[:-1]:
            per_draw[name] = value
        elif value.shape == result.status.shape:
            per_lane[name] = value
    groups = {
        "posterior": make({**result.params, **result.derived}, result.leading),
        "sample_stats": make(per_draw, result.leading).assign(make(per_lane, result.leading[:-1])),
    }
    groups["posterior"].attrs.update(_attributes(result))
    terms = result._terms()
    if terms:
        single = ("dataset",) if result.names is not None else ()
        data = data_groups(result)
        groups["log_likelihood"] = _log_likelihood(result, terms)
        groups["observed_data"] = make(data["observed_data"], single)
        # A covariate may have the name of a parameter, but not its dimensions.
        axes = result.posterior.density.covariate_dims
        groups["constant_data"] = container.dataset(data["constant_data"], single, axes, coords)
        if predictions is not None:
            groups["posterior_predictive"] = make(result.predict(predictions), result.leading)
    return container.inference_data(groups)


def _log_likelihood(result: Fitted, terms: Mapping[str, np.ndarray]) -> Any:
    """The group of terms that count.

    ArviZ counts every number that it finds, and NaN makes its criteria NaN. So of one dataset, an observation with masked values has those
    that were seen, on one axis; of a batch, whose datasets may have different ones, it has NaN.
    """
    dims, coords, kept = dict(result.posterior.density.dims), _coords(result), dict(terms)
    observations, many = result._observations(terms), result.names is not None
    for name, term in terms.items():
        there = seen(observations[name], (*term.shape[:many], *term.shape[len(result.leading) :]))
        if there.all():
            continue
        if many:
            kept[name] = np.where(
                there.reshape(len(there), *(1,) * (len(result.leading) - 1), *there.shape[1:]), term, np.nan
            )
            continue
        places, axis = np.flatnonzero(there), f"{name}_seen"
        own = coords.get(dims[name][0]) if there.ndim == 1 and name in dims else None
        kept[name] = term[..., there]
        dims[name], coords[axis] = (axis,), [own[i] for i in places] if own is not None else places.tolist()
    return container.dataset(kept, result.leading, dims, coords)


def data_groups(result: Fitted) -> dict[str, dict[str, np.ndarray]]:
    """The groups observed_data and constant_data, with NaN where masked; empty where the posterior does not know its observations."""
    names = result._observed()
    if not names:
        return {}
    groups = {
        "observed_data": _with_nan(result._observations(names)),
        "constant_data": _with_nan(result._unpadded(result.posterior.density.covariates(result.posterior.data, names))),
    }
    if result.names is not None and result.quarantined:
        # The data of a quarantined dataset are those of another one.
        bad = np.isin(np.arange(len(result.names)), [result.names.index(name) for name in result.quarantined])
        groups = {name: {k: _fill_nan(v, ~bad) for k, v in group.items()} for name, group in groups.items()}
    return groups


def _coords(result: Fitted) -> dict[str, Any]:
    return dict(result.coords) if result.names is None else {**result.coords, "dataset": list(result.names)}


def _attributes(result: Fitted) -> dict[str, Any]:
    p = result.provenance
    flat = {f"timing_{name}_s": round(value, 4) for name, value in p.timings.items()}
    return {
        "inference_library": "jaxlatent",
        "inference_library_version": p.versions["jaxlatent"],
        "created_at": p.created,
        "engine": p.engine,
        "settings": ", ".join(f"{name}={value!r}" for name, value in p.settings.items()),
        "seed": str(p.seed),
        "device": p.device,
        **{f"choice_of_{name}": text for name, text in p.choices.items()},
        **flat,
    }


def _with_nan(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Entries of the data with NaN where masked; None entries are left out."""
    return {name: _fill_nan(*split(value)) for name, value in values.items() if value is not None}


def _fill_nan(values: Any, mask: Any) -> np.ndarray:
    host = np.asarray(values)
    if mask is None:
        return host
    return np.where(widen(np.asarray(mask), host.ndim), host, np.nan)
