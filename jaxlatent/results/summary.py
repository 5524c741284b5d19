"""`Result.summary`: a table with ArviZ's columns, computed on the host without compilation."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlatent.diagnostics import ess_bulk, ess_tail, mcse_mean, mcse_sd, rhat
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.results.fitted import Fitted
from jaxlatent.typing import AnyArray

if TYPE_CHECKING:
    import pandas as pd


def summarise(result: Fitted, names: Sequence[str] | None, prob: float) -> "pd.DataFrame":
    """See `jaxlatent.Result.summary`."""
    values = {**result.params, **result.derived}
    names = [names] if isinstance(names, str) else names
    for name in names or ():
        if name not in values:
            raise InputError(
                "result.summary(names=...)",
                got=repr(name),
                expected=f"names among {list(values)}",
                remedy=did_you_mean(name, values),
            )
    values = {name: values[name] for name in names or values}
    rows = [label for name in values for label in labels(result, name, values[name])]
    flat: Callable[[dict[str, np.ndarray]], np.ndarray] = lambda tree: joined(tree, len(result.leading))
    if not result.has_draws:
        table = {"value": flat(values)}
        if "covariance" in result.statistics:
            table["se"] = flat(result.standard_errors(tuple(values)))
        return frame(result, rows, table, lanes=True)
    draws = flat(values)
    draws = draws if result.names is not None else draws[None]
    tail = (1 - prob) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=(1, 2))
    table = {
        "mean": draws.mean((1, 2)),
        "sd": draws.std((1, 2), ddof=1),
        f"eti_{100 * tail:.3g}%": low,
        f"eti_{100 - 100 * tail:.3g}%": high,
        **diagnostics(draws),
    }
    if result.names is None:
        table = {name: value[0] for name, value in table.items()}
    return frame(result, rows, table, lanes=False)


#: In the order of the columns.
_DIAGNOSTICS = {"mcse_mean": mcse_mean, "mcse_sd": mcse_sd, "ess_bulk": ess_bulk, "ess_tail": ess_tail, "r_hat": rhat}


def diagnostics(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Diagnostics of draws ``(dataset, chain, draw, parameter)``, each ``(dataset, parameter)``."""
    columns = np.moveaxis(draws, 0, 2)
    return {name: np.asarray(statistic(columns)) for name, statistic in _DIAGNOSTICS.items()}


def stacked(tables: Mapping[Any, "pd.DataFrame"]) -> "pd.DataFrame":
    """Concatenate the tables of datasets."""
    import pandas as pd

    return pd.concat(tables, names=["dataset", "parameter"])


def joined(values: Mapping[str, AnyArray], leading: int) -> np.ndarray:
    """The entries of all values on one last axis, after ``leading`` axes."""
    arrays = [np.asarray(value, float) for value in values.values()]
    return np.concatenate([value.reshape(*value.shape[:leading], -1) for value in arrays], -1)


def labels(result: Fitted, name: str, value: np.ndarray) -> list[str]:
    """Labels of the entries of a parameter, such as ``alpha[HS Grad]``, from coordinates or else indices."""
    own = value.shape[len(result.leading) :]
    if not own:
        return [name]
    dims = result.posterior.density.dims.get(name) or [f"{name}_dim_{i}" for i in range(len(own))]
    axes: list[Sequence[Any]] = [result.coords.get(dim, range(length)) for dim, length in zip(dims, own, strict=True)]
    return [
        f"{name}[{', '.join(str(axis[i]) for axis, i in zip(axes, index, strict=True))}]" for index in np.ndindex(*own)
    ]


def frame(result: Fitted, rows: list[str], table: dict[str, np.ndarray], lanes: bool) -> "pd.DataFrame":
    """A table with rows by dataset and lane, if there are such axes, and label."""
    import pandas as pd

    first = next(iter(table.values()))
    axes: list[Sequence[Any]] = []
    if result.names is not None:
        axes.append(list(result.names))
    if lanes and first.ndim > len(axes) + 1:
        axes.append(list(range(first.shape[len(axes)])))
    names = [
        name
        for name, there in (("dataset", result.names is not None), ("lane", len(axes) > (result.names is not None)))
        if there
    ]
    index = pd.MultiIndex.from_product([*axes, rows], names=[*names, "parameter"]) if axes else pd.Index(rows)
    return pd.DataFrame({name: value.reshape(-1) for name, value in table.items()}, index=index)
