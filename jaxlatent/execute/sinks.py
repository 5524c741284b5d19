"""Sinks: what becomes of records once they have left the devices."""

from typing import Protocol, runtime_checkable

import jax
import numpy as np

from jaxlatent.execute.naming import Named
from jaxlatent.execute.session import Session


@runtime_checkable
class Sink(Protocol):
    """Where kept records go. They come in order, named, and never again; a session is what the run can go on from after them."""

    def append(self, records: Named) -> None:
        """Take the records of a stage, leading with ``(dataset, lane, draw)``."""
        ...

    def commit(self, session: Session) -> None:
        """What was appended is whole, and this is where the run stands."""
        ...

    def close(self) -> Named:
        """No more will come: all records, joined."""
        ...


class Memory:
    """Records in the memory of this process."""

    def __init__(self) -> None:
        self._parts: list[Named] = []

    def append(self, records: Named) -> None:
        """Keep them."""
        self._parts.append(records)

    def commit(self, session: Session) -> None:
        """A process that ends takes its memory along: there is nothing to go on from."""

    def close(self) -> Named:
        """All records, joined along their draws."""
        joined: Named = jax.tree.map(lambda *x: np.concatenate(x, 2), *self._parts)
        return joined
