"""`Namespace`: the argument of a model's functions, with values by attribute, ``p.alpha``, or by item, ``p["alpha"]``."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from jaxlatent.errors import did_you_mean


class Namespace(Mapping[str, Any]):
    """A read-only mapping with attribute access, whose errors list the known names.

    Args:
        kind: "parameter" or "data", for messages.
        values: by name.
        masks: by name, of masked data; read by `mask_of`.
        read: gathers the names that are read, if given.
        further: computes further values by name, once, if a name that is not among ``values`` is read. They are not iterated over.
        held: names of values that are fixed; read by `is_held`.
    """

    __slots__ = ("_further", "_held", "_kind", "_masks", "_read", "_values")

    def __init__(
        self,
        kind: str,
        values: Mapping[str, Any],
        masks: Mapping[str, Any] | None = None,
        read: set[str] | None = None,
        further: Callable[[], Mapping[str, Any]] | None = None,
        held: frozenset[str] = frozenset(),
    ):
        object.__setattr__(self, "_kind", kind)
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_masks", masks or {})
        object.__setattr__(self, "_read", set() if read is None else read)
        object.__setattr__(self, "_further", None if further is None else cache(further))
        object.__setattr__(self, "_held", held)

    def __getitem__(self, name: str) -> Any:
        return self._value(name, KeyError)

    def __getattr__(self, name: str) -> Any:
        return self._value(name, AttributeError)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self._kind} {name!r} cannot be assigned: a model is a pure function of its arguments.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _value(self, name: str, error: type[Exception]) -> Any:
        self._read.add(name)
        if name in self._values:
            return self._values[name]
        further = {} if self._further is None or name.startswith("__") else self._further()
        if name in further:
            return further[name]
        known = [*self._values, *further]
        problem = error(
            f"no {self._kind} {name!r} here (there are: {', '.join(known) or 'none'}); {did_you_mean(name, known)}"
        )
        problem.lacking = (self._kind, name)  # type: ignore[attr-defined]
        raise problem


def missing_data(error: Exception) -> str | None:
    """The name of the entry of the data for want of which ``error`` was raised; None for other errors."""
    kind, name = getattr(error, "lacking", ("", ""))
    return name if kind == "data" else None


def with_values(held: Mapping[str, Any], others: Namespace) -> Namespace:
    """``others`` and the values that are ``held`` as one namespace."""
    return Namespace(others._kind, {**held, **others}, further=others._further, held=others._held.union(held))


def replaced(d: Namespace, **values: Any) -> Namespace:
    """``d`` with other ``values`` in the place of those of the same names, which keep their masks."""
    return Namespace(d._kind, {**d._values, **values}, d._masks, d._read, d._further)


def is_held(params: Any, name: str) -> bool:
    """Whether a parameter is held at a value as a whole, so that its prior is no part of the model."""
    return name in getattr(params, "_held", ())


def mask_of(data: Any, name: str) -> Any:
    """The mask of one entry of the data passed to a model's functions; None if it has none."""
    return getattr(data, "_masks", {}).get(name)
