"""Errors that say what was got, what was expected and what to do about it.

Trouble inside a lane is never an exception: it becomes a status code (`jaxlatent.status`). These errors are raised on the host
only, by the outermost call, before any long work.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class JaxlatentError(Exception):
    """Base class of every error that the package raises on purpose."""


class InputError(JaxlatentError, ValueError):
    """Something the caller handed over cannot be used.

    Args:
        what: the thing at fault, by its own name ("observation 'y'", "NUTS(chains=...)").
        got: what was found.
        expected: what would have been accepted.
        remedy: what to do now.
    """

    def __init__(self, what: str, *, got: str, expected: str, remedy: str):
        self.what, self.got, self.expected, self.remedy = what, got, expected, remedy
        super().__init__(f"{what}\n  got:      {got}\n  expected: {expected}\n  remedy:   {remedy}")

    def __reduce__(self) -> Any:
        # Worker processes send errors home.
        return _error, (type(self), self.what, self.got, self.expected, self.remedy)


def _error(cls: type[InputError], what: str, got: str, expected: str, remedy: str) -> InputError:
    return cls(what, got=got, expected=expected, remedy=remedy)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy that names the closest known spelling, or lists them all."""
    known = list(known)
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    return (
        f"did you mean {lower[close[0]]!r}?"
        if close
        else f"use one of {', '.join(map(repr, known)) or 'nothing (none exist)'}."
    )


def require(holds: bool, what: str, *, got: Any, expected: str, remedy: str = "change this setting.") -> None:
    """Raise `InputError` unless ``holds``; for settings."""
    if not holds:
        raise InputError(what, got=repr(got), expected=expected, remedy=remedy)


def listed(labels: Sequence[str], most: int = 4) -> str:
    """``a, b and 3 more``."""
    shown = [str(label) for label in labels[:most]]
    if len(labels) > most:
        return f"{', '.join(shown)} and {len(labels) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
