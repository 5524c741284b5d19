"""`Study`: a result with what several sections of its page show, computed once."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlatent.errors import InputError
from jaxlatent.posterior.absent import Absent
from jaxlatent.results.report import Report, Reports
from jaxlatent.results.result import Result

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Study:
    """A result, and how the code of its page calls it.

    Attributes:
        result: with all its lanes.
        name: an expression, such as ``"result"``.
        checked: whether the findings of ``check()``, which take a while, are wanted.
    """

    result: Result
    name: str
    checked: bool = True

    @property
    def has_model(self) -> bool:
        """Whether the log density is there; not for a store that was opened without its model."""
        return not isinstance(self.result.posterior.density, Absent)

    @property
    def is_chains(self) -> bool:
        """Whether lanes are Markov chains of one target."""
        return self.result.engine.kind == "chains"

    @property
    def lanes(self) -> str:
        """What a lane is called."""
        return "chain" if self.is_chains else "restart"

    @cached_property
    def best(self) -> Result | None:
        """What estimates come from: all chains, or the best restart of each dataset; None if all lanes of the only dataset failed."""
        if self.is_chains:
            return self.result
        try:
            # The page tells of the datasets whose lanes all failed.
            with warnings.catch_warnings(action="ignore"):
                return self.result.best()
        except InputError:
            return None

    @property
    def best_name(self) -> str:
        """The expression for `best`."""
        return self.name if self.is_chains or self.best is self.result else f"{self.name}.best()"

    @cached_property
    def summary(self) -> "pd.DataFrame | None":
        """Of `best`."""
        return None if self.best is None else self.best.summary()

    @cached_property
    def findings(self) -> Report | Reports | None:
        """The findings of ``check()``; None where they are not wanted, or need the model, and it is not there."""
        found: Report | Reports | None = self.result.check() if self.has_model and self.checked else None
        return found

    def by_lane(self, values: Any) -> np.ndarray:
        """Values that lead with ``(dataset?, lane?)``, as ``(dataset, lane, ...)``."""
        array = np.asarray(values)
        own = np.ndim(self.result.status)
        datasets = 1 if self.result.names is None else len(self.result.names)
        return array.reshape(datasets, -1, *array.shape[own:])
