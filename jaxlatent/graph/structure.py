"""What a graph is made of."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple


class Axis(NamedTuple):
    """What nodes are replicated along; equal axes are one plate.

    Attributes:
        size: its length.
        name: of the dimension; empty if the model gives none.
        observed: whether an axis without a name is one of observations: those of parameters may have its length by chance.
    """

    size: int
    name: str = ""
    observed: bool = False

    @property
    def label(self) -> str:
        """Such as "education (7)", or "7"."""
        return f"{self.name} ({self.size})" if self.name else str(self.size)


@dataclass(frozen=True)
class Node:
    """A parameter, an observation or a derived quantity.

    Attributes:
        name: as declared.
        kind: what it is.
        distribution: as a reader would write it, such as "HalfCauchy"; empty for derived quantities.
        axes: along which it is replicated.
    """

    name: str
    kind: Literal["parameter", "derived", "observed"]
    distribution: str = ""
    axes: tuple[Axis, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """What is written in it."""
        return (self.name, self.distribution) if self.distribution else (self.name,)


@dataclass(frozen=True)
class Plate:
    """What is replicated together: a box around nodes and further plates.

    Attributes:
        label: of its axis, or of several where the box of one would hold nothing but that of the next.
        nodes: names of those that lie in this plate and none inside it.
        plates: inside it.
    """

    label: str
    nodes: tuple[str, ...]
    plates: tuple["Plate", ...]


@dataclass(frozen=True)
class Structure:
    """Nodes, edges and plates of a model.

    Attributes:
        name: of the model.
        nodes: parameters, derived quantities and observations, in the order of their declaration.
        edges: ``(parameter, reader)`` by name.
    """

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]

    @cached_property
    def root(self) -> Plate:
        """All nodes and plates, nested: the whole page."""
        # The dimension that more nodes have is the outer one: so most of them share a box, whatever order they name theirs in.
        count = Counter(axis for node in self.nodes for axis in node.axes if axis.name)
        return _nest("", [(sorted(node.axes, key=lambda axis: -count[axis]), node.name) for node in self.nodes])

    @property
    def plates(self) -> tuple[Plate, ...]:
        """The outermost plates."""
        return self.root.plates


def _nest(label: str, members: Sequence[tuple[Sequence[Axis], str]]) -> Plate:
    """A plate from the axes, outer to inner, and names of what lies in it."""
    inner: dict[Axis, list[tuple[Sequence[Axis], str]]] = {}
    for axes, name in members:
        if axes:
            inner.setdefault(axes[0], []).append((axes[1:], name))
    plates = tuple(_nest(axis.label, inside) for axis, inside in inner.items())
    own = tuple(name for axes, name in members if not axes)
    if label and not own and len(plates) == 1:
        return Plate(f"{label}, {plates[0].label}", plates[0].nodes, plates[0].plates)
    return Plate(label, own, plates)
