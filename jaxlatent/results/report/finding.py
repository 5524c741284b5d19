"""`Finding`: one problem of a fit."""

from textwrap import fill
from typing import NamedTuple

_WIDTH = 100


class Finding(NamedTuple):
    """A problem, its location, and the remedy.

    Attributes:
        illness: short name, such as ``"divergences"``.
        where: labels of the affected parameters or lanes.
        what: description, in a sentence or two.
        remedy: what to do.
        fatal: whether no further check makes sense.
    """

    illness: str
    where: tuple[str, ...]
    what: str
    remedy: str
    fatal: bool = False

    def __str__(self) -> str:
        return fill(f"{self.illness.upper()}: {self.what} {self.remedy}", _WIDTH, subsequent_indent="  ")
