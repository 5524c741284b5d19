"""`Structure`: the nodes, edges and nested plates of a graph."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple


class Axis(NamedTuple):
    """An axis along which nodes are replicated; equal axes form one plate.

    Attributes:
        size: its length.
        name: of the dimension; empty if unnamed.
        observed: whether an unnamed axis belongs to observations, to distinguish it from axes of parameters of the same length.
    """

    size: int
    name: str = ""
    observed: bool = False

    @property
    def label(self) -> str:
        """The label of the plate, such as "education (7)", or "7"."""
        return f"{self.name} ({self.size})" if self.name else str(self.size)


@dataclass(frozen=True)
class Node:
    """A parameter, an observation or a derived quantity.

    Attributes:
        name: as declared.
        kind: of node.
        distribution: short name, such as "HalfCauchy"; empty for derived quantities.
        axes: along which it is replicated.
    """

    name: str
    kind: Literal["parameter", "derived", "observed"]
    distribution: str = ""
    axes: tuple[Axis, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of its text."""
        return (self.name, self.distribution) if self.distribution else (self.name,)


@dataclass(frozen=True)
class Plate:
    """A box around nodes and plates that are replicated together.

    Attributes:
        label: of its axis, or of several axes if one plate would contain nothing but the next.
        nodes: names of the nodes in this plate but in none of its inner plates.
        plates: inner plates.
    """

    label: str
    nodes: tuple[str, ...]
    plates: tuple["Plate", ...]


@dataclass(frozen=True)
class Structure:
    """Nodes, edges and plates of a model; see `jaxlatent.graph.Graph`, which adds renderings."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]

    @cached_property
    def root(self) -> Plate:
        """The outermost, unlabelled plate, with all nodes and plates."""
        # Dimensions of more nodes are outer ones, so that most nodes share a box, whatever the order of their dimensions.
        count = Counter(axis for node in self.nodes for axis in node.axes if axis.name)
        return _nest("", [(sorted(node.axes, key=lambda axis: -count[axis]), node.name) for node in self.nodes])

    @property
    def plates(self) -> tuple[Plate, ...]:
        """The outermost plates."""
        return self.root.plates


def _nest(label: str, members: Sequence[tuple[Sequence[Axis], str]]) -> Plate:
    """Build a plate from members, each with its remaining axes, outer to inner, and its name."""
    inner: dict[Axis, list[tuple[Sequence[Axis], str]]] = {}
    for axes, name in members:
        if axes:
            inner.setdefault(axes[0], []).append((axes[1:], name))
    plates = tuple(_nest(axis.label, inside) for axis, inside in inner.items())
    own = tuple(name for axes, name in members if not axes)
    if label and not own and len(plates) == 1:
        return Plate(f"{label}, {plates[0].label}", plates[0].nodes, plates[0].plates)
    return Plate(label, own, plates)
