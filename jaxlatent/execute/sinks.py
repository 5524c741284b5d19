"""Sinks: where named records go once they have left the devices."""

from typing import Protocol, runtime_checkable

import jax
import numpy as np

from jaxlatent.execute.outputs import Named
from jaxlatent.execute.session import Session


@runtime_checkable
class Sink(Protocol):
    """The destination of kept records, which arrive once and in order."""

    def append(self, records: Named) -> None:
        """Add the records of a stage, leading with ``(dataset, lane, draw)``."""
        ...

    def commit(self, session: Session) -> None:
        """Mark the records so far as complete; the run can be resumed from ``session``."""
        ...

    def close(self) -> Named:
        """Finish, and return all records, concatenated."""
        ...


class Memory:
    """Records in the memory of this process."""

    def __init__(self) -> None:
        self._parts: list[Named] = []

    def append(self, records: Named) -> None:
        """Store them."""
        self._parts.append(records)

    def commit(self, session: Session) -> None:
        """Do nothing: a run in memory cannot be resumed."""

    def close(self) -> Named:
        """All records, concatenated along draws."""
        joined: Named = jax.tree.map(lambda *x: np.concatenate(x, 2), *self._parts)
        return joined
