"""`Namespace`: the argument of a model's functions, with values by attribute, ``p.alpha``, or by item, ``p["alpha"]``."""

from collections.abc import Iterator, Mapping
from typing import Any

from jaxlatent.errors import did_you_mean


class Namespace(Mapping[str, Any]):
    """A read-only mapping with attribute access, whose errors list the known names.

    Args:
        kind: "parameter" or "data", for messages.
        values: by name.
        masks: by name, of masked data; read by `mask_of`.
    """

    __slots__ = ("_kind", "_masks", "_values")

    def __init__(self, kind: str, values: Mapping[str, Any], masks: Mapping[str, Any] | None = None):
        object.__setattr__(self, "_kind", kind)
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_masks", masks or {})

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise KeyError(self._miss(name)) from None

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(self._miss(name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self._kind} {name!r} cannot be assigned: a model is a pure function of its arguments.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _miss(self, name: str) -> str:
        return f"no {self._kind} {name!r} here (there are: {', '.join(self._values) or 'none'}); {did_you_mean(name, self._values)}"


def mask_of(data: Any, name: str) -> Any:
    """The mask of one entry of the data passed to a model's functions; None if it has none."""
    return getattr(data, "_masks", {}).get(name)
