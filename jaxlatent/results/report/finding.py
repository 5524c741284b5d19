"""One thing that is wrong."""

from textwrap import fill
from typing import NamedTuple

_WIDTH = 100


class Finding(NamedTuple):
    """What is wrong, where, and what to do.

    Attributes:
        illness: its short name, such as ``"divergences"``.
        where: labels of the parameters or lanes it was found in.
        what: what was seen, in a sentence or two.
        remedy: what to do.
        fatal: whether nothing else can be said of the result.
    """

    illness: str
    where: tuple[str, ...]
    what: str
    remedy: str
    fatal: bool = False

    def __str__(self) -> str:
        return fill(f"{self.illness.upper()}: {self.what} {self.remedy}", _WIDTH, subsequent_indent="  ")
