"""Where everything in a drawing of a graph stands, in inches."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import nnls

from jaxlatent.graph.ordering import Box, Leaf, arrange
from jaxlatent.graph.structure import Plate, Structure

#: Between neighbours in a layer, between layers, and between a plate and what is in it; the height of a plate's label.
_APART, _BETWEEN, _PAD, _LABEL = 0.25, 0.42, 0.12, 0.14
#: An edge that passes by wants to be straight more than it wants to be short.
_STRAIGHT = 4.0

Point = tuple[float, float]


class Layout(NamedTuple):
    """A drawing, its lower left corner at the origin.

    Attributes:
        centres: of the nodes.
        boxes: left, bottom, right and top of every plate, outer ones first.
        routes: of the edges, from the centre of the parent to that of the child.
        size: width and height.
    """

    centres: dict[str, Point]
    boxes: "list[tuple[Plate, tuple[float, float, float, float]]]"
    routes: dict[tuple[str, str], list[Point]]
    size: Point


class Row(NamedTuple):
    """A layer: the middle of its nodes, and how far it reaches with the ends of plates.

    Attributes:
        middle: of the nodes.
        bottom: below the plates that end here.
        top: above those that begin here.
    """

    middle: float
    bottom: float
    top: float


class End(NamedTuple):
    """What has a place in a layer: a leaf, or a side of a box.

    Attributes:
        key: the leaf, or identity of the box and name of the side.
        kind: which of them.
        half: of its width.
    """

    key: Hashable
    kind: Literal["leaf", "left", "right"]
    half: float


def lay_out(graph: Structure, sizes: Mapping[str, Point], labels: Mapping[str, float]) -> Layout:
    """Layers from top to bottom, the children of every plate side by side.

    Args:
        graph: what to draw.
        sizes: width and height of every node.
        labels: widths of the labels of plates.
    """
    page, routes = arrange(graph)
    boxes = [box for box in page.boxes() if box is not page]
    x = _horizontal(page, boxes, list(routes.values()), sizes, labels)
    rows, level = _vertical(page, boxes, sizes)
    nodes = [leaf for leaf in page.leaves() if leaf.name in sizes]
    rectangles = [(x[id(box), "left"], level[id(box)][0], x[id(box), "right"], level[id(box)][1]) for box in boxes]
    for leaf in nodes:
        (width, height), y = sizes[leaf.name], rows[leaf.layer].middle
        rectangles.append((x[leaf] - width / 2, y - height / 2, x[leaf] + width / 2, y + height / 2))
    left, bottom = np.min(rectangles, 0)[:2] - _PAD
    right, top = np.max(rectangles, 0)[2:] + _PAD
    at = lambda leaf, y: (float(x[leaf] - left), float(y - bottom))

    def passes(leaf: Leaf) -> list[Point]:
        """The centre of a node; what passes by it is straight as far as the plates of its layer reach."""
        row = rows[leaf.layer]
        return [at(leaf, y) for y in ([row.middle] if leaf.name in sizes else [row.top, row.bottom])]

    placed = np.array(rectangles[: len(boxes)]).reshape(-1, 4) - [left, bottom, left, bottom]
    return Layout(
        {leaf.name: at(leaf, rows[leaf.layer].middle) for leaf in nodes},
        [(box.plate, tuple(rectangle)) for box, rectangle in zip(boxes, placed.tolist(), strict=True)],
        {edge: [point for leaf in route for point in passes(leaf)] for edge, route in routes.items()},
        (float(right - left), float(top - bottom)),
    )


def _horizontal(
    page: Box,
    boxes: Sequence[Box],
    routes: Sequence[Sequence[Leaf]],
    sizes: Mapping[str, Point],
    labels: Mapping[str, float],
) -> dict[Hashable, float]:
    """Of every leaf and both sides of every box: short edges and narrow boxes, in the least-squares sense, given the order."""
    least: dict[tuple[Hashable, Hashable], float] = {}

    def keep(left: Hashable, right: Hashable, distance: float) -> None:
        least[left, right] = max(least.get((left, right), 0.0), distance)

    for layer in range(page.last + 1):
        row = list(_row(page, layer, sizes))
        for left, right in pairwise(row):
            inside = left.kind == "left" or right.kind == "right"
            keep(left.key, right.key, left.half + right.half + (_PAD if inside else _APART))
    for box in boxes:
        keep((id(box), "left"), (id(box), "right"), labels[box.plate.label] + _PAD)

    springs: list[tuple[Hashable, Hashable, float]] = [((id(box), "left"), (id(box), "right"), 0.1) for box in boxes]
    for route in routes:
        for pair in pairwise(route):
            springs.append((*pair, _STRAIGHT ** sum(leaf.name not in sizes for leaf in pair)))
    keys: list[Hashable] = [*page.leaves(), *((id(box), side) for box in boxes for side in ("left", "right"))]
    column = {key: i for i, key in enumerate(keys)}
    difference = lambda a, b: np.eye(len(keys))[column[b]] - np.eye(len(keys))[column[a]]
    pulled = np.array([np.sqrt(weight) * difference(a, b) for a, b, weight in springs]).reshape(-1, len(keys))
    # What nothing else holds stays near the middle.
    objective = np.vstack([pulled, np.sqrt(1e-3) * np.eye(len(keys))])
    bounds = np.array([difference(a, b) for a, b in least]).reshape(-1, len(keys))
    places = _least_squares(objective, bounds, np.array(list(least.values())))
    return dict(zip(keys, places.tolist(), strict=True))


def _row(box: Box, layer: int, sizes: Mapping[str, Point]) -> Iterator[End]:
    """What stands in a layer, from left to right."""
    for child in box.children:
        if isinstance(child, Box):
            if child.first <= layer <= child.last:
                yield End((id(child), "left"), "left", 0.0)
                yield from _row(child, layer, sizes)
                yield End((id(child), "right"), "right", 0.0)
        elif child.layer == layer:
            yield End(child, "leaf", sizes[child.name][0] / 2 if child.name in sizes else 0.0)


def _least_squares(objective: np.ndarray, bounds: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The ``x`` of least ``|objective x|`` with ``bounds x >= least`` (least distance programming: Lawson and Hanson 1974, ch. 23)."""
    inverse = np.linalg.inv(np.linalg.qr(objective, mode="r"))
    stacked = np.vstack([(bounds @ inverse).T, least])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    residual = stacked @ nnls(stacked, target)[0] - target if len(least) else -target
    return inverse @ (-residual[:-1] / residual[-1])


def _vertical(
    page: Box, boxes: Sequence[Box], sizes: Mapping[str, Point]
) -> tuple[list[Row], dict[int, tuple[float, float]]]:
    """The layers, and bottom and top of every box by its identity."""

    def above(box: Box) -> float:
        """From the nodes of its first layer to the top of a box: room for the boxes inside that start there too."""
        return _PAD + max([above(b) for b in box.children if isinstance(b, Box) and b.first == box.first], default=0.0)

    def below(box: Box) -> float:
        inner = [below(b) for b in box.children if isinstance(b, Box) and b.last == box.last]
        return _PAD / 2 + _LABEL + max(inner, default=0.0)

    rows: list[Row] = []
    ends: list[Point] = []
    top = 0.0
    for layer in range(page.last + 1):
        height = max(sizes[leaf.name][1] for leaf in page.leaves() if leaf.layer == layer and leaf.name in sizes)
        high = top - max([above(box) for box in boxes if box.first == layer], default=0.0)
        low = high - height
        bottom = low - max([below(box) for box in boxes if box.last == layer], default=0.0)
        rows.append(Row((low + high) / 2, bottom, top))
        ends.append((low, high))
        top = bottom - _BETWEEN
    return rows, {id(box): (ends[box.last][0] - below(box), ends[box.first][1] + above(box)) for box in boxes}
