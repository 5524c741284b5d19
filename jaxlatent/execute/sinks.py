"""Sinks: where named records go once they have left the devices."""

import time
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from jaxlatent.execute.grid import Grid
from jaxlatent.execute.session import Session, to_host
from jaxlatent.results.stored import append_draws
from jaxlatent.store.bits import pack
from jaxlatent.store.files import Files, explained
from jaxlatent.store.records import Named

#: Time between two commits, as a multiple of what the last one took: writing costs at most a thirtieth.
_SPACING = 30.0
#: Draws from which one sees whether chains agree.
_ENOUGH = 1000


@runtime_checkable
class Sink(Protocol):
    """The destination of kept records, which arrive once and in order."""

    def append(self, records: Named) -> None:
        """Add the records of a stage, leading with ``(dataset, lane, draw)``."""
        ...

    def commit(self, session: Session, early: bool) -> None:
        """Mark the records so far as complete: the run can go on from ``session``. A sink may leave it for the next time.

        Args:
            session: after the last of these records.
            early: whether every dataset is done before the end of the schedule.
        """
        ...

    def close(self, session: Session, early: bool) -> None:
        """Commit what has not been."""
        ...

    def records(self) -> Named:
        """After `close`, what the end of a run looks at: all records, or where they are elsewhere, some of the positions."""
        ...


class Memory:
    """Records in the memory of this process."""

    def __init__(self) -> None:
        self._parts: list[Named] = []

    def append(self, records: Named) -> None:
        """Keep them."""
        self._parts.append(records)

    def commit(self, session: Session, early: bool) -> None:
        """Do nothing: a run in memory cannot be resumed."""

    def close(self, session: Session, early: bool) -> None:
        """Do nothing."""

    def records(self) -> Named:
        """All records, concatenated along draws; the parts are given up one by one, so that not everything is there twice."""
        if len(self._parts) > 1:
            leaves, structures = zip(*map(jax.tree.flatten, self._parts), strict=True)
            self._parts.clear()
            waiting = [list(column) for column in zip(*leaves, strict=True)]
            del leaves
            whole = [np.concatenate(waiting.pop(0), 2) for _ in range(len(waiting))]
            self._parts.append(jax.tree.unflatten(structures[0], whole))
        return self._parts[0]


class Disk:
    """Records in a store, committed with the session every now and then.

    Args:
        grid: of the run.
        files: the store.
        run: its description, see `jaxlatent.results.stored.about`.
        room: number of records of the whole run.
    """

    def __init__(self, grid: Grid, files: Files, run: Mapping[str, Any], room: int) -> None:
        self.files, self.run = files, dict(run)
        self._grid, self._room = grid, room
        self._waiting: list[Named] = []
        self._due = 0.0
        self._written = int(run.get("records", 0))
        self._slot = int(run.get("slot", 1))

    def append(self, records: Named) -> None:
        """Keep them until the next commit."""
        self._waiting.append(records)

    def commit(self, session: Session, early: bool) -> None:
        """Write records and session, unless that was done a moment ago."""
        if time.monotonic() >= self._due:
            self.close(session, early)

    def close(self, session: Session, early: bool) -> None:
        """Write records and session."""
        began = time.monotonic()
        self.files.claim()
        if self._waiting:
            records: Named = jax.tree.map(lambda *x: np.concatenate(x, 2), *self._waiting)
            append_draws(self.files, self.run, records, self._written, self._room)
            self._written += next(iter(records.statistics.values())).shape[2]
            self._waiting.clear()
        host = to_host(self._grid, session)
        # The slot of the last commit stays as it is until the next one counts.
        self._slot = 1 - self._slot
        packed = pack(host)
        self.files.add(f"session/{self._slot}", packed.shape, packed.dtype, None, packed.shape)[:] = packed
        self.describe(records=self._written, slot=self._slot, steps=int(host.done), early=early)
        ended = time.monotonic()
        self._due = ended + _SPACING * (ended - began)

    def describe(self, **more: Any) -> None:
        """Commit what has been written, with more in the description of the run."""
        self.run |= more
        growing = "draw" if self.run["kind"] == "chains" else "iteration"
        self.files.commit(self.run, {growing: self._written})

    def records(self) -> Named:
        """Positions alone, `thinned`; everything else stays on the disk."""
        if "unconstrained_posterior/position" not in self.files:
            return Named({}, None, {}, {})
        array = self.files["unconstrained_posterior/position"]
        draws = slice(0, self._written, _thinning(self._written))
        with explained(self.files.path):
            single = array.ndim == 3
            positions = np.asarray(array[:, draws] if single else array[:, :, draws])
        return Named({}, positions[None] if single else positions, {}, {})


def thinned(positions: np.ndarray) -> np.ndarray:
    """At most `_ENOUGH` of the draws ``(dataset, lane, draw, dim)``, evenly spaced; points as they are."""
    return positions[:, :, :: _thinning(positions.shape[2])] if positions.ndim == 4 else positions


def _thinning(draws: int) -> int:
    return max(1, -(-draws // _ENOUGH))
