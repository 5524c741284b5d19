"""Where everything in a drawing of a graph stands, in inches: nodes in layers from top to bottom, plates as boxes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np
from matplotlib.textpath import TextPath
from scipy.optimize import nnls

from jaxlatent.graph.structure import Node, Plate, Structure

#: Between neighbours in a layer, between layers, and between a plate and what is in it.
_APART, _BETWEEN, _PAD = 0.25, 0.42, 0.12
_TRIES = 300


@dataclass(eq=False)
class Item:
    """A node, a plate with the items in it, or (no key) where an edge passes a layer; layers count from 0 at the top."""

    key: Node | Plate | None
    first: int
    last: int
    width: float = 0.0  # at least
    above: float = 0.0  # from the middle of the first layer to the top
    below: float = 0.0  # from the middle of the last layer to the bottom
    children: "list[Item]" = field(default_factory=list)
    corners: np.ndarray = field(default_factory=lambda: np.zeros((2, 2)))  # lower left and upper right, when laid out

    def walk(self) -> "list[Item]":
        """This one and all inside, outer ones first."""
        return [self, *(item for child in self.children for item in child.walk())]


def lay_out(graph: Structure) -> tuple[Item, list[list[Item]]]:
    """The page, its lower left corner at the origin, and what every edge passes, from parent to child."""
    layers: dict[str, int] = {}
    for node in graph.nodes:  # a parameter is declared before its readers
        layers[node.name] = max((layers[parent] + 1 for parent, child in graph.edges if child == node.name), default=0)
    for name in layers.keys() - {child for _, child in graph.edges}:  # what has no parents, just above its readers
        layers[name] = min((layers[child] - 1 for parent, child in graph.edges if parent == name), default=0)
    nodes = {node.name: Item(node, layers[node.name], layers[node.name], *_size(node)) for node in graph.nodes}
    page, chains = _box(graph.root, nodes), []
    for start, end in ((nodes[parent], nodes[child]) for parent, child in graph.edges):
        chains.append([start, *(Item(None, layer, layer) for layer in range(start.first + 1, end.first)), end])
        for item in chains[-1][1:-1]:  # in the innermost plate of either end that reaches this layer
            boxes = [box for box in page.walk() if box.children and box.first <= item.first <= box.last]
            [box for box in boxes if not {start, end}.isdisjoint(box.walk())][-1].children.append(item)
    x = _sides(page, [pair for chain in chains for pair in pairwise(chain)])
    above, below = np.zeros((2, page.last + 1))
    for item in page.walk():
        above[item.first], below[item.last] = max(above[item.first], item.above), max(below[item.last], item.below)
    y = [above[i + 1 :].sum() + below[i:].sum() + (page.last - i) * _BETWEEN for i in range(page.last + 1)]
    for item, (left, right) in x.items():
        item.corners[:] = (left, y[item.last] - item.below), (right, y[item.first] + item.above)
    return page, chains


def _size(key: Node | Plate) -> tuple[float, float, float]:
    """Width, and what is above and below the middle of a node, or above and below the items of a plate around its label."""
    lines, font = (key.lines, 9) if isinstance(key, Node) else ((key.label or "-",), 8)
    width = max(TextPath((0, 0), line, size=font).get_extents().width for line in lines) / 72
    if isinstance(key, Plate):
        return width + _PAD, _PAD, 0.2 if key.label else _PAD
    half = 0.072 * len(lines) + 0.11
    return max(1.18 * width + 0.14, 0.5), half, half


def _box(plate: Plate, nodes: dict[str, Item]) -> Item:
    children = [nodes[name] for name in plate.nodes] + [_box(inner, nodes) for inner in plate.plates]
    first, last = min(child.first for child in children), max(child.last for child in children)
    width, above, below = _size(plate)
    above += max(child.above for child in children if child.first == first)
    below += max(child.below for child in children if child.last == last)
    return Item(plate, first, last, width, above, below, children)


def _sides(page: Item, edges: Sequence[tuple[Item, Item]]) -> dict[Item, np.ndarray]:
    """Left and right of every item, for edges that go sideways and plates that are wide as little as may be, in the least-squares sense."""
    items = page.walk()
    left, right = (dict(zip(items, side, strict=True)) for side in np.eye(2 * len(items)).reshape(2, len(items), -1))
    pulls = [(left[a] + right[a] - left[b] - right[b]) / 2 for a, b in edges]
    pulls += [pull for item in items for pull in (0.3 * (right[item] - left[item]), 0.03 * (left[item] + right[item]))]
    inverse = np.linalg.inv(np.linalg.qr(np.array(pulls), mode="r"))
    within = [(left[item], right[item], item.width) for item in items]
    for box, child in [(item, child) for item in items for child in item.children]:
        within += [(left[box], left[child], _PAD), (right[child], right[box], _PAD if child.key else _APART)]

    def solve() -> tuple[float, np.ndarray]:
        """In the order that children have: least distance programming (Lawson and Hanson 1974, ch. 23)."""
        apart = list(within)
        for box, layer in [(item, layer) for item in items for layer in range(item.first, item.last + 1)]:
            row = [child for child in box.children if child.first <= layer <= child.last]
            apart += [(right[a], left[b], _APART) for a, b in pairwise(row)]
        low, high, least = (np.array(part) for part in zip(*apart, strict=True))
        bounds = np.vstack([((high - low) @ inverse).T, least])
        target = np.eye(len(bounds))[-1]
        residual = target - bounds @ nnls(bounds, target)[0]
        scaled = -residual[:-1] / residual[-1]
        return scaled @ scaled, (inverse @ scaled).reshape(2, -1).T

    cost, x = solve()
    swaps = [(box.children, *two) for box in items for two in combinations(range(len(box.children)), 2)]
    for row, i, j in (3 * swaps)[:_TRIES]:
        row[i], row[j] = row[j], row[i]
        if (tried := solve())[0] < 0.999 * cost:
            cost, x = tried
        else:
            row[i], row[j] = row[j], row[i]
    return dict(zip(items, x - x[0, 0], strict=True))
