"""Datasets of a batch that cannot be fitted: set aside, so that one of them never costs the others.

Another dataset stands in for one that is set aside, so that programs, and the numbers and keys of the others, are as if it were sound;
its lanes take no step, and what they hold is blanked.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxlatent.errors import InputError
from jaxlatent.masks import blank
from jaxlatent.status import Status
from jaxlatent.typing import PyTree


class Quarantine:
    """Which datasets are set aside, and why.

    Args:
        names: of the datasets; None for one dataset, whose problems raise.
        wanted: whether datasets that fail checks are set aside, or raise.
        problems: known so far, by name.
    """

    def __init__(self, names: tuple[Any, ...] | None, wanted: bool, problems: Mapping[Any, InputError]) -> None:
        self.names, self.wanted = names, wanted and names is not None
        self.problems: dict[Any, str] = {}
        self.status = np.full(1 if names is None else len(names), Status.OK)
        for name, problem in problems.items():
            self.add((names or ()).index(name), problem)

    @property
    def bad(self) -> np.ndarray:
        """Which datasets are set aside, ``(dataset,)``."""
        return self.status != Status.OK

    def add(self, dataset: int, problem: InputError, status: Status = Status.QUARANTINED) -> None:
        """Set a dataset aside.

        Raises:
            InputError: ``problem``, if there is only one dataset, if none is left, or if its checks are to raise.
        """
        if self.names is None or (status is Status.QUARANTINED and not self.wanted):
            raise problem
        self.status[dataset] = status
        self.problems[self.names[dataset]] = str(problem)
        if self.bad.all():
            raise problem

    def stand_in(self, tree: PyTree) -> PyTree:
        """Arrays that lead with ``dataset``, fillers included, with a sound one in place of each that is set aside."""
        filled = jax.tree.leaves(tree)[0].shape[0]
        sound = np.arange(filled)
        sound[: len(self.bad)][self.bad] = np.argmin(self.bad)
        return jax.tree.map(lambda x: x[sound], tree)

    def blank(self, result: dict[str, Any]) -> dict[str, Any]:
        """What a `Result` holds, leading with ``(dataset, lane)``: the status of what is set aside, and NaN for its values."""
        if not self.bad.any():
            return result
        status = np.where(self.bad[:, None], self.status[:, None], result["status"])
        return {**blank(result, ~self.bad), "status": status.astype(result["status"].dtype)}

    def __str__(self) -> str:
        listed = ", ".join(repr(name) for name in list(self.problems)[:8])
        return (
            f"{len(self.problems)} of {len(self.status)} datasets were set aside ({listed}): result.problems says why."
        )
