"""`Absent`: stands for the density of a stored run that was opened without its model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxlatent.errors import InputError
from jaxlatent.posterior.density import Density, Guides
from jaxlatent.typing import Array, Params, Position, PyTree


@dataclass(frozen=True)
class Absent(Density):
    """Names and dimensions, and an error for whatever evaluates the model.

    Args:
        names: of the parameters.
        length: of a position.
        axes: names of dimensions by variable.
    """

    names: tuple[str, ...]
    length: int
    axes: tuple[tuple[str, tuple[str, ...]], ...]
    remedy: ClassVar[str] = "open the store with its model: jl.open(path, model)."

    @property
    def dim(self) -> int:
        """The length of a position."""
        return self.length

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of dimensions by variable."""
        return dict(self.axes)

    def log_density(self, position: Position, data: PyTree, guides: Guides, jacobian: bool = True) -> Array:
        """Raise `InputError`."""
        raise self._error()

    def constrain(self, position: Position, data: PyTree, guides: Guides) -> Params:
        """Raise `InputError`."""
        raise self._error()

    def unconstrain(self, params: Mapping[str, Any], data: PyTree, guides: Guides) -> Position:
        """Raise `InputError`."""
        raise self._error()

    def _error(self) -> InputError:
        return InputError("a stored run", got="no model", expected="its model", remedy=self.remedy)
