"""Error classes whose messages say what was got, what was expected, and the remedy.

They are raised on the host, by the outermost call, before any long computation. A failure inside a lane becomes a status code
(`jaxlatent.status`) instead.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

#: The most letters of a value, and the most names, in a message.
_LONGEST, _MOST = 200, 30


class JaxlatentError(Exception):
    """Base class of the errors of the package."""


class _Explained(JaxlatentError):
    """An error that says what was got, what was expected, and the remedy.

    Args:
        what: what is wrong, by name ("observation 'y'", "NUTS(chains=...)").
        got: what was found.
        expected: what would have been accepted.
        remedy: what to do now.
    """

    def __init__(self, what: str, *, got: str, expected: str, remedy: str):
        self.what, self.got, self.expected, self.remedy = what, got, expected, remedy
        super().__init__(f"{what}\n  got:      {got}\n  expected: {expected}\n  remedy:   {remedy}")

    def __reduce__(self) -> Any:
        # Worker processes send errors back by pickle.
        return _error, (type(self), self.what, self.got, self.expected, self.remedy)


def _error(cls: type[_Explained], what: str, got: str, expected: str, remedy: str) -> _Explained:
    return cls(what, got=got, expected=expected, remedy=remedy)


class InputError(_Explained, ValueError):
    """An invalid argument, setting or dataset."""


class StoreError(_Explained):
    """A store that cannot be written or read; what was committed before is still there."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy that names the closest known spelling, or lists them; of many the first."""
    known = list(known)
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    return (
        f"did you mean {lower[close[0]]!r}?"
        if close
        else f"use one of {', '.join(map(repr, known[:_MOST])) or 'nothing (none exist)'}{', ...' if known[_MOST:] else ''}."
    )


def or_add(name: str, known: Iterable[str]) -> str:
    """A remedy for data without the entry ``name``: the closest known spelling, or how to add it."""
    close = difflib.get_close_matches(name.lower(), {other.lower() for other in known}, n=1)
    return did_you_mean(name, known) if close else f"add it, as in {{**data, {name!r}: {name}}}."


def brief(value: Any) -> str:
    """A value in a message: of arrays and tables the shape instead of their numbers."""
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {shape}"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def require(holds: bool, what: str, *, got: Any, expected: str, remedy: str | None = None) -> None:
    """Raise `InputError` unless ``holds``; for settings. The remedy is what was expected, unless there is more to say."""
    if not holds:
        raise InputError(what, got=brief(got), expected=expected, remedy=remedy or f"give {expected}.")


def listed(labels: Sequence[str], most: int = 4) -> str:
    """Join labels as in ``a, b and 3 more``."""
    shown = [str(label) for label in labels[:most]]
    if len(labels) > most:
        return f"{', '.join(shown)} and {len(labels) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
