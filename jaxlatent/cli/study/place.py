"""Where a value stands in a study file, as errors name it."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from jaxlatent.errors import InputError

#: The argument that an error of a call is about, as in ``EM(restarts=...)``, or by its name.
_ARGUMENT = re.compile(r"(?:\(|^)(\w+)(?:=|$)")


class Place(NamedTuple):
    """A key of a study file; prints as ``study.toml, data.x[2]``.

    Attributes:
        file: as the user named it.
        key: dotted; empty for the whole file.
    """

    file: str
    key: str = ""

    def at(self, name: str | int) -> "Place":
        """The place of a key of the table here, or of an item of the list."""
        if isinstance(name, int):
            return Place(self.file, f"{self.key}[{name}]")
        return Place(self.file, f"{self.key}.{name}" if self.key else name)

    def error(self, got: str, expected: str, remedy: str) -> InputError:
        """An error about the value here."""
        return InputError(str(self), got=got, expected=expected, remedy=remedy)

    def is_named_in(self, error: InputError) -> bool:
        """Whether an error names a place of this file."""
        return error.what == self.file or error.what.startswith((f"{self.file}, ", f"{self.file}: "))

    @contextmanager
    def explained(self, keys: Iterable[str] = ()) -> Iterator[None]:
        """Add the place to errors that are raised inside the block and name none.

        Args:
            keys: of the table here, dotted if they are deeper; where the error is about an argument of the same name, its place is added.
        """
        try:
            yield
        except InputError as error:
            if self.is_named_in(error):
                raise
            argument = _ARGUMENT.search(error.what)
            about = [self.at(key) for key in keys if argument is not None and key.split(".")[-1] == argument[1]]
            what = f"{about[0] if about else self}: {error.what}"
            raise InputError(what, got=error.got, expected=error.expected, remedy=error.remedy) from error

    def __str__(self) -> str:
        return f"{self.file}, {self.key}" if self.key else self.file
