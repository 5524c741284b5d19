"""Quarantine of the datasets of a batch that cannot be fitted, so that the others still are.

A valid dataset replaces each quarantined one, so that programs, indices and keys of the others do not change; its lanes take no step, and
their results are set to NaN.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxlatent.data.arrays import take_rows
from jaxlatent.errors import InputError
from jaxlatent.masks import blank
from jaxlatent.status import Status
from jaxlatent.typing import PyTree


class Quarantine:
    """Which datasets are quarantined, and why.

    Args:
        names: of the datasets; None for one dataset, whose problems raise.
        wanted: whether datasets that fail the checks are quarantined rather than raise.
        problems: already known, by name.
        whole: whether these are all datasets, so that a problem raises where none is left without.
    """

    def __init__(
        self, names: tuple[Any, ...] | None, wanted: bool, problems: Mapping[Any, InputError], whole: bool = True
    ) -> None:
        self.names, self.wanted, self.whole = names, wanted and names is not None, whole
        self.problems: dict[Any, str] = {}
        self.status = np.full(1 if names is None else len(names), Status.OK)
        for name, problem in problems.items():
            self.add((names or ()).index(name), problem)

    @property
    def bad(self) -> np.ndarray:
        """Which datasets are quarantined, ``(dataset,)``."""
        bad: np.ndarray = self.status != Status.OK
        return bad

    def add(self, dataset: int, problem: InputError, status: Status = Status.QUARANTINED) -> None:
        """Quarantine a dataset.

        Raises:
            InputError: ``problem``, if there is only one dataset, if none is left, or if failed checks are to raise.
        """
        if self.names is None or (status is Status.QUARANTINED and not self.wanted):
            raise problem
        self.status[dataset] = status
        self.problems[self.names[dataset]] = str(problem)
        if self.whole and self.bad.all():
            raise problem

    def part(self, datasets: np.ndarray) -> "Quarantine":
        """Some of the datasets, to be fitted apart from the others."""
        names = tuple((self.names or ())[i] for i in datasets)
        part = Quarantine(names, self.wanted, {}, whole=False)
        part.status = self.status[datasets]
        part.problems = {name: self.problems[name] for name in names if name in self.problems}
        return part

    def replace_bad(self, tree: PyTree) -> PyTree:
        """Replace quarantined datasets by a valid one in arrays that lead with ``dataset``, fillers included."""
        filled = jax.tree.leaves(tree)[0].shape[0]
        source = np.arange(filled)
        source[: len(self.bad)][self.bad] = np.argmin(self.bad)
        return take_rows(tree, source)

    def blank(self, result: dict[str, Any]) -> dict[str, Any]:
        """In the fields of a `Result`, ``(dataset, lane, ...)``, set the status of quarantined datasets and replace their values by NaN."""
        if not self.bad.any():
            return result
        status = np.where(self.bad[:, None], self.status[:, None], result["status"])
        return {**blank(result, ~self.bad), "status": status.astype(result["status"].dtype)}

    def __str__(self) -> str:
        listed = ", ".join(repr(name) for name in list(self.problems)[:8])
        verb = "was" if len(self.problems) == 1 else "were"
        return f"{len(self.problems)} of {len(self.status)} datasets {verb} quarantined ({listed}): see result.quarantined."
