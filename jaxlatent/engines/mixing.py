"""What only all chains of a dataset together can tell of how they ended."""

import numpy as np

from jaxlatent.status import Status

#: Fewer draws may be apart because they have only begun to move.
_TELLING = 100
#: The variance of the means of chains, as a multiple of that of their draws, from which they have nothing in common: R-hat is above 3.
_APART = 8.0


def judged(status: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The status of chains, UNMIXED where those that did not fail have nothing in common.

    Args:
        status: ``(dataset, chain)``.
        positions: draws ``(dataset, chain, draw, dim)``, NaN where there are none.
    """
    failed = np.isin(status, [code for code in Status if code.failed])
    status = status.copy()
    for dataset, (ended, draws) in enumerate(zip(~failed, positions, strict=True)):
        made = ~np.isnan(draws[ended]).any((0, 2))
        if ended.sum() > 1 and made.sum() >= _TELLING:
            chains = draws[ended][:, made].astype(float)
            between, within = chains.mean(1).var(0, ddof=1), chains.var(1).mean(0)
            if np.any(between > _APART * within):
                status[dataset, ended] = Status.UNMIXED
    return status
