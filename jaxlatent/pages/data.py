"""The data of a fit: entries, shapes, and how much of them was observed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxlatent.data.arrays import split
from jaxlatent.latent import unit_shape
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.masks import widen
from jaxlatent.pages.html import Html, paragraph
from jaxlatent.pages.study import Study
from jaxlatent.pages.tables import table
from jaxlatent.results.result import Result


class Counts(NamedTuple):
    """How much of an observation was observed, each ``(dataset,)``.

    Attributes:
        sequences: with an observed step; None for independent rows.
        observed: values.
        masked: values that are missing, or that pad a shorter dataset or sequence.
    """

    sequences: np.ndarray | None
    observed: np.ndarray
    masked: np.ndarray


def data_parts(study: Study) -> list[Html]:
    """The data: a table of entries, and one of datasets."""
    result = study.result
    data = result.posterior.data
    if not isinstance(data, Mapping) or not data:
        return [paragraph("The data are not known by name: they are in the store or inside the log density.")]
    counts = counts_of(result)
    rows, batch = [], result.names is not None
    for name, entry in data.items():
        values, mask = split(entry)
        shape = tuple(np.shape(values))
        hidden = 0 if mask is None else int(np.sum(~np.asarray(mask)))
        rows.append(("observation" if name in counts else "covariate", str(shape), str(values.dtype), hidden))
    frame = pd.DataFrame(rows, pd.Index(list(data), name="entry"), ["role", "shape", "type", "masked"])
    led = "; shapes lead with the datasets, padded to the longest" if batch else ""
    parts = [table(frame, f"Entries of the data{led}. Masked are entries that are missing or padding")]
    if counts:
        title = "What was observed" + (", by dataset" if batch else "")
        parts.append(table(_counted(result, counts), title))
    return parts


def counts_of(result: Result) -> dict[str, Counts]:
    """By observation that is in the data how much of it was observed; empty for a density that does not know its observations."""
    data, datasets = result.posterior.data, 1 if result.names is None else len(result.names)
    found = {}
    for name, d in observed_by(result).items():
        if name in data:
            _, mask = split(data[name])
            shape = (datasets, *unit_shape(d))
            seen = np.ones(shape, bool)
            if mask is not None:
                own = np.asarray(mask).reshape(datasets, *np.shape(mask)[result.names is not None :])
                seen = np.broadcast_to(widen(own, len(shape)), shape) if own.ndim < len(shape) else own
            flat = seen.reshape(datasets, -1)
            steps = seen.any(-1).reshape(datasets, -1).sum(-1) if isinstance(d, HiddenMarkov) else None
            found[name] = Counts(steps, flat.sum(-1), (~flat).sum(-1))
    return found


def observed_by(result: Result) -> dict[str, Any]:
    """The abstract distribution of each observation of one dataset; empty for a density that does not know them."""
    one = result.posterior if result.names is None else result.posterior.one(0)
    first = {
        name: jax.ShapeDtypeStruct(np.shape(value)[len(result.leading) :], jnp.result_type(float))
        for name, value in result.params.items()
    }
    # Abstract evaluation, which computes and compiles nothing.
    found: dict[str, Any] = jax.eval_shape(one.density.observed, first, one.data)
    return found


def total_observed(result: Result) -> int:
    """The number of observed values of all datasets that were fitted."""
    fitted = np.array([name not in result.quarantined for name in result.names or (None,)])
    return int(sum(one.observed[fitted].sum() for one in counts_of(result).values()))


def _counted(result: Result, counts: Mapping[str, Counts]) -> pd.DataFrame:
    """A row a dataset; a quarantined one, whose data are not here, has none."""
    columns: dict[str, Any] = {}
    several = len(counts) > 1
    for name, one in counts.items():
        of = f" of {name}" if several else ""
        if one.sequences is not None:
            columns[f"sequences{of}"] = one.sequences
        columns |= {f"observed values{of}": one.observed, f"masked values{of}": one.masked}
    index = pd.Index(["all data"] if result.names is None else list(result.names), name="dataset", tupleize_cols=False)
    frame = pd.DataFrame(columns, index)
    bad = [name in result.quarantined for name in index]
    if any(bad):
        frame = frame.astype(object)
        frame.loc[bad, :] = "not fitted"
    return frame
