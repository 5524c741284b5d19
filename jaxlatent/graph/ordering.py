"""Layers of a graph, and the order in each that crosses few edges and keeps plates together (Sugiyama, Tagawa and Toda 1981).

One order of everything that lies side by side in a plate, nodes and inner plates alike, holds for all layers: so a plate is an interval
of each of them, whatever is moved.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from jaxlatent.graph.structure import Plate, Structure

_SWEEPS = 12


class Leaf(NamedTuple):
    """What stands in a layer: a node, or where an edge passes by.

    Attributes:
        name: of the node, or of the edge ``"parent child"``, which no node is called in its layer.
        layer: from 0 at the top.
    """

    name: str
    layer: int


class Box(NamedTuple):
    """A plate and what lies in it, in order.

    Attributes:
        plate: whose box it is.
        first: the layer of its highest node.
        last: that of its lowest.
        children: leaves and boxes.
    """

    plate: Plate
    first: int
    last: int
    children: "list[Leaf | Box]"

    def leaves(self) -> Iterator[Leaf]:
        """All inside, in order."""
        for child in self.children:
            if isinstance(child, Box):
                yield from child.leaves()
            else:
                yield child

    def boxes(self) -> "Iterator[Box]":
        """This one and all inside."""
        yield self
        for child in self.children:
            if isinstance(child, Box):
                yield from child.boxes()


def arrange(graph: Structure) -> tuple[Box, dict[tuple[str, str], list[Leaf]]]:
    """The page, ordered, and the leaves that each edge passes, from parent to child."""
    layers = _layers(graph)
    page = _box(graph.root, layers)
    routes = {}
    for parent, child in graph.edges:
        passed = [Leaf(f"{parent} {child}", layer) for layer in range(layers[parent] + 1, layers[child])]
        routes[parent, child] = [Leaf(parent, layers[parent]), *passed, Leaf(child, layers[child])]
        for leaf in passed:
            _innermost(page, routes[parent, child][-1], leaf.layer).children.append(leaf)
    _reorder(page, [pair for route in routes.values() for pair in pairwise(route)])
    return page, routes


def _layers(graph: Structure) -> dict[str, int]:
    """Of every node: below its parents, and those without parents just above their first reader."""
    layers: dict[str, int] = {}
    # A parameter is declared before its readers.
    for node in graph.nodes:
        layers[node.name] = 1 + max((layers[parent] for parent, child in graph.edges if child == node.name), default=-1)
    read = {child for _, child in graph.edges}
    for node in graph.nodes:
        readers = [layers[child] for parent, child in graph.edges if parent == node.name]
        if readers and node.name not in read:
            layers[node.name] = min(readers) - 1
    return layers


def _box(plate: Plate, layers: dict[str, int]) -> Box:
    boxes = [_box(inner, layers) for inner in plate.plates]
    own = [Leaf(name, layers[name]) for name in plate.nodes]
    first = min([leaf.layer for leaf in own] + [box.first for box in boxes])
    last = max([leaf.layer for leaf in own] + [box.last for box in boxes])
    return Box(plate, first, last, [*own, *boxes])


def _innermost(box: Box, child: Leaf, layer: int) -> Box:
    """Where an edge to ``child`` passes a layer: as deep in the plates of the child as they reach there."""
    for inner in box.children:
        if isinstance(inner, Box) and inner.first <= layer <= inner.last and child in inner.leaves():
            return _innermost(inner, child, layer)
    return box


def _reorder(page: Box, segments: Sequence[tuple[Leaf, Leaf]]) -> None:
    """Order the children of every box: by barycentres, then by single moves while they help."""
    neighbours: dict[Leaf, list[Leaf]] = {leaf: [] for leaf in page.leaves()}
    for upper, lower in segments:
        neighbours[upper].append(lower)
        neighbours[lower].append(upper)
    boxes = list(page.boxes())
    best, order = _cost(page, segments), [list(box.children) for box in boxes]
    for _ in range(_SWEEPS):
        places = _places(page)

        def barycentre(child: "Leaf | Box", places: dict[Leaf, float] = places) -> float:
            leaves = list(child.leaves()) if isinstance(child, Box) else [child]
            near = [places[other] for leaf in leaves for other in neighbours[leaf] if other not in leaves]
            near = near or [places[leaf] for leaf in leaves]
            return sum(near) / len(near)

        for box in boxes:
            box.children.sort(key=barycentre)
        if (cost := _cost(page, segments)) < best:
            best, order = cost, [list(box.children) for box in boxes]
    for box, children in zip(boxes, order, strict=True):
        box.children[:] = children
    while (better := _move(page, boxes, segments, best)) < best:
        best = better


def _move(
    page: Box, boxes: Sequence[Box], segments: Sequence[tuple[Leaf, Leaf]], best: tuple[int, float]
) -> tuple[int, float]:
    """Take each child to where among its siblings the cost is least; the cost after that."""
    for box in boxes:
        for child in list(box.children):
            others = [other for other in box.children if other is not child]
            kept = list(box.children)
            for place in range(len(kept)):
                box.children[:] = [*others[:place], child, *others[place:]]
                if (cost := _cost(page, segments)) < best:
                    best, kept = cost, list(box.children)
            box.children[:] = kept
    return best


def _places(page: Box) -> dict[Leaf, float]:
    """Of every leaf in its layer, counted from the middle."""
    layers: dict[int, list[Leaf]] = {}
    for leaf in page.leaves():
        layers.setdefault(leaf.layer, []).append(leaf)
    return {leaf: i - (len(row) - 1) / 2 for row in layers.values() for i, leaf in enumerate(row)}


def _cost(page: Box, segments: Sequence[tuple[Leaf, Leaf]]) -> tuple[int, float]:
    """Edges that cross each other or pass over a plate that neither end lies in, then how far edges go sideways."""
    places = _places(page)
    layers: dict[int, list[tuple[float, float]]] = {}
    for upper, lower in segments:
        layers.setdefault(upper.layer, []).append((places[upper], places[lower]))
    crossings = sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0 for row in layers.values() for i, a in enumerate(row) for b in row[:i]
    )
    rank = {leaf: i for i, leaf in enumerate(page.leaves())}
    for box in page.boxes():
        inside = [rank[leaf] for leaf in box.leaves()]
        for upper, lower in segments:
            beside = box.first <= upper.layer and lower.layer <= box.last
            low, high = sorted((rank[upper], rank[lower]))
            crossings += beside and low < inside[0] and inside[-1] < high
    return crossings, sum(abs(upper - lower) for row in layers.values() for upper, lower in row)
