"""The parts of a fit, one after the other, as one result."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxlatent.results.joining import joined
from jaxlatent.results.result import Result


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
