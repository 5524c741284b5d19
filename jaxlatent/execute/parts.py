"""The parts of a run: the store that they share, and the fit of one after the other."""

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxlatent.data.batches import Batch
from jaxlatent.execute.job import Job
from jaxlatent.posterior.guides import guided
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.joining import joined
from jaxlatent.results.result import Result
from jaxlatent.store.files import prepare
from jaxlatent.store.manifest import identity, require_same, whole_identity


def share(
    store: str | os.PathLike[str],
    count: int,
    job: Job,
    whole: Posterior | Batch,
    parts: Sequence[np.ndarray] | None = None,
) -> None:
    """Make the store that the parts of a run share, whichever comes first; later ones are compared with the first.

    Args:
        store: its path.
        count: number of parts.
        job: of any datasets of the run.
        whole: all datasets of the run.
        parts: positions of the datasets of each, if one fit writes them one after the other.

    Raises:
        InputError: if the parts that are there are of another run, naming what differs.
        StoreError: where something else is already there, or where nothing can be written.
    """
    one = job.given if job.given.names is None else job.given.some([0])
    run: dict[str, Any] = {"identity": whole_identity(identity(guided(one), job.engine, job.key), whole)}
    if parts is not None:
        run["parts"] = [part.tolist() for part in parts]
    there = prepare(store, count, run)
    if "identity" in there:  # else a former version wrote it
        require_same(os.fspath(store), there["identity"], run["identity"])


def one_by_one(
    path: str, parts: Sequence[np.ndarray], names: Sequence[Any], fit: Callable[[int], tuple[Result, bool]]
) -> Result:
    """Fit the parts and join their results; after Ctrl-C those that there are.

    Args:
        path: of the store, for messages.
        parts: positions of the datasets of each.
        names: of all datasets.
        fit: takes the index of a part; its result, and whether Ctrl-C ended it.

    Raises:
        KeyboardInterrupt: if it ends the first part without a result.
    """
    results: list[Result] = []
    for i in range(len(parts)):
        try:
            result, interrupted = fit(i)
        except KeyboardInterrupt:
            if not results:
                raise
            interrupted = True
        else:
            results.append(result)
        if interrupted and len(results) < len(parts):
            missing = np.sort(np.concatenate(parts[len(results) :]))
            listed = ", ".join(repr(names[i]) for i in missing[:8]) + (", ..." if len(missing) > 8 else "")
            warnings.warn(f"interrupted: the result is without {len(missing)} datasets ({listed}).", stacklevel=4)
            break
    return joined(path, results, np.concatenate(parts[: len(results)]).tolist())
