"""Layout and drawing of a graph with matplotlib: nodes in layers, plates as boxes around them; lengths are in inches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.optimize import nnls

from jaxlatent.graph.structure import Node, Plate, Structure

#: Distance of neighbours in a layer, and of layers; padding of plates; number of swaps tried for a better order.
_APART, _BETWEEN, _PAD, _MAX_SWAPS = 0.25, 0.42, 0.12, 300
#: Height of the label of a plate.
_LABEL = 0.14


@dataclass(eq=False)
class Item:
    """A node, a plate with its items, or (without key) the point where an edge crosses a layer; layers count from 0 at the top."""

    key: Node | Plate | None
    first: int
    last: int
    width: float = 0.0  # minimum
    above: float = 0.0  # from the middle of the first layer to the top
    below: float = 0.0  # from the middle of the last layer to the bottom
    label_above: bool = False  # of a plate that arrows leave and none enters
    children: "list[Item]" = field(default_factory=list)
    corners: np.ndarray = field(
        default_factory=lambda: np.zeros((2, 2))
    )  # lower left and upper right, set by the layout

    def walk(self) -> "list[Item]":
        """This item and all inside, outer ones first."""
        return [self, *(item for child in self.children for item in child.walk())]


def draw(graph: Structure, ax: Axes | None, new_figure: Callable[..., Any]) -> Axes:
    """Draw nodes, plates and arrows, scaled to fit ``ax``; without one, in a figure by ``new_figure(figsize=...)``."""
    page, chains = make_grid(graph)
    width, height = page.corners[1]
    ax = ax or new_figure(figsize=(width, height)).add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set(xlim=(0.0, width), ylim=(0.0, height), aspect="equal")
    ax.set_axis_off()
    scale = min(*(ax.get_window_extent().size / page.corners[1])) / ax.figure.dpi
    shapes = {item: ax.add_patch(_shape(item, scale)) for item in page.walk()[1:] if item.key}
    style: dict[str, Any] = {"arrowstyle": f"-|>,head_length={4.5 * scale},head_width={1.9 * scale}"}
    style |= {"mutation_scale": 1.0, "shrinkA": 0, "shrinkB": 0, "linewidth": 0.8 * scale, "color": "black"}
    arrows = [curve(chain) for chain in chains]
    for chain, points in zip(chains, arrows, strict=True):
        for shape in (shapes[chain[0]], shapes[chain[-1]]):
            points = points[~shape.get_patch_transform().transform_path(shape.get_path()).contains_points(points)]
        ax.add_patch(FancyArrowPatch(path=Path(points), capstyle="butt", joinstyle="miter", **style))
    for item in shapes:
        if isinstance(item.key, Node):
            (x, y), lines = item.corners.mean(0), "\n".join(item.key.lines)
            ax.text(x, y, lines, ha="center", va="center", fontsize=9 * scale)
        elif item.key and item.key.label:
            low, high = label_corners(item, arrows)
            style = {"ha": "right", "va": "center", "fontsize": 8 * scale, "color": "#404040"}
            ax.text(high[0], (low[1] + high[1]) / 2, item.key.label, **style)
    return ax


def label_corners(plate: Item, arrows: Sequence[np.ndarray]) -> np.ndarray:
    """Lower left and upper right of the label of a plate: on the right, or on the left where arrows would cross it only there."""
    assert isinstance(plate.key, Plate)
    (left, bottom), (right, top) = plate.corners
    width = _label_width(plate.key)
    low = top - 0.04 - _LABEL if plate.label_above else bottom + 0.04
    sides = [np.array([(end - width, low), (end, low + _LABEL)]) for end in (right - 0.06, left + 0.06 + width)]
    crossing = lambda box: sum(np.all((box[0] <= points) & (points <= box[1]), 1).any() for points in arrows)
    return min(sides, key=crossing)


def _label_width(plate: Plate) -> float:
    width: float = TextPath((0, 0), plate.label or "-", size=8).get_extents().width / 72
    return width


def curve(chain: Sequence[Item]) -> np.ndarray:
    """Points of a smooth edge, steeper at its ends than a straight line to keep clear of neighbours."""
    x, y = np.array([item.corners.mean(0) for item in chain[::-1]]).T
    slopes = PchipInterpolator(y, x).derivative()(y)
    slopes[[0, -1]] = 0.55 * (np.diff(x) / np.diff(y))[[0, -1]]
    fine = np.linspace(y[-1], y[0], 60 * len(chain))
    return np.column_stack([CubicHermiteSpline(y, x, slopes)(fine), fine])


def _shape(item: Item, scale: float) -> Patch:
    kind = item.key.kind if isinstance(item.key, Node) else "plate"
    style: dict[str, Any] = {"linewidth": 0.8 * scale, "edgecolor": "#7f7f7f" if kind == "plate" else "black"}
    style |= {"facecolor": {"observed": "#d9d9d9", "plate": "none"}.get(kind, "white")}
    if kind in ("parameter", "observed"):
        return Ellipse(item.corners.mean(0), *(item.corners[1] - item.corners[0]), **style)
    style |= {"boxstyle": "round,pad=0,rounding_size=0.07", "linestyle": (0, (3, 2)) if kind == "derived" else "-"}
    return FancyBboxPatch(item.corners[0], *(item.corners[1] - item.corners[0]), **style)


def make_grid(graph: Structure) -> tuple[Item, list[list[Item]]]:
    """The page, with its lower left corner at the origin, and the items along every edge, from parent to child."""
    nodes: dict[str, Item] = {}
    for node in graph.nodes:  # a parameter is declared before its readers
        layer = max((nodes[parent].last + 1 for parent, child in graph.edges if child == node.name), default=0)
        width = max(TextPath((0, 0), line, size=9).get_extents().width for line in node.lines) / 72
        half = 0.077 * len(node.lines) + 0.1
        nodes[node.name] = Item(node, layer, layer, max(1.18 * width + 0.14, 0.5), half, half)
    for name in nodes.keys() - {child for _, child in graph.edges}:  # nodes without parents, just above their readers
        nodes[name].first = nodes[name].last = min((nodes[c].first - 1 for p, c in graph.edges if p == name), default=0)
    page, chains = _box(graph.root, nodes, graph.edges), []
    for start, end in ((nodes[parent], nodes[child]) for parent, child in graph.edges):
        chains.append([start, *(Item(None, layer, layer) for layer in range(start.first + 1, end.first)), end])
        for item in chains[-1][1:-1]:  # in the innermost plate of either end that reaches this layer
            boxes = [box for box in page.walk() if box.children and box.first <= item.first <= box.last]
            [box for box in boxes if not {start, end}.isdisjoint(box.walk())][-1].children.append(item)
    x, layers = _sides(page, [pair for chain in chains for pair in pairwise(chain)]), range(page.last + 1)
    above = [max(item.above for item in x if item.first == layer) for layer in layers]
    below = [max(item.below for item in x if item.last == layer) for layer in layers]
    y = [sum(above[layer + 1 :]) + sum(below[layer:]) + (page.last - layer) * _BETWEEN for layer in layers]
    for item, (left, right) in x.items():
        item.corners[:] = (left, y[item.last] - item.below), (right, y[item.first] + item.above)
    return page, chains


def _box(plate: Plate, nodes: dict[str, Item], edges: Sequence[tuple[str, str]]) -> Item:
    """A plate, with room for its label where no arrow goes: at the top, at the bottom, or at the bottom beside those that leave."""
    children = [nodes[name] for name in plate.nodes] + [_box(inner, nodes, edges) for inner in plate.plates]
    first, last = min(child.first for child in children), max(child.last for child in children)
    within = {item.key.name for child in children for item in child.walk() if isinstance(item.key, Node)}
    enters = any(parent not in within and child in within for parent, child in edges)
    leaves = any(parent in within and nodes[child].first > last for parent, child in edges)  # through the bottom
    at_top = bool(plate.label) and leaves and not enters
    above = max(child.above for child in children if child.first == first) + (_LABEL + 0.06 if at_top else _PAD)
    below = max(child.below for child in children if child.last == last)
    below += _LABEL + 0.06 if plate.label and not at_top else _PAD
    width = (2 if leaves and enters else 1) * (_label_width(plate) + _PAD)
    return Item(plate, first, last, width, above, below, at_top, children)


def _sides(page: Item, edges: Sequence[tuple[Item, Item]]) -> dict[Item, np.ndarray]:
    """Left and right of every item: least squares of sideways distances of edges and widths of plates, with a search over orders."""
    items = page.walk()
    left, right = (dict(zip(items, side, strict=True)) for side in np.eye(2 * len(items)).reshape(2, len(items), -1))
    pulls = [(left[a] + right[a] - left[b] - right[b]) / 2 for a, b in edges]
    pulls += [pull for item in items for pull in (0.3 * (right[item] - left[item]), 0.03 * (left[item] + right[item]))]
    inverse = np.linalg.inv(np.linalg.qr(np.array(pulls), mode="r"))
    within = [(left[item], right[item], item.width) for item in items]
    for box, child in [(item, child) for item in items for child in item.children]:
        within += [(left[box], left[child], _PAD), (right[child], right[box], _PAD if child.key else _APART)]

    def solve() -> tuple[float, np.ndarray]:
        """Solve for the current order of children by least distance programming (Lawson and Hanson 1974, ch. 23)."""
        rows = [[c for c in box.children if c.first <= i <= c.last] for box in items for i in range(page.last + 1)]
        apart = within + [(right[a], left[b], _APART) for row in rows for a, b in pairwise(row)]
        low, high, least = (np.array(part) for part in zip(*apart, strict=True))
        bounds = np.vstack([((high - low) @ inverse).T, least])
        target = np.eye(len(bounds))[-1]
        residual = target - bounds @ nnls(bounds, target)[0]
        scaled = -residual[:-1] / residual[-1]
        return scaled @ scaled, (inverse @ scaled).reshape(2, -1).T

    cost, x = solve()
    swaps = [(box.children, *two) for box in items for two in combinations(range(len(box.children)), 2)]
    for row, i, j in (3 * swaps)[:_MAX_SWAPS]:
        row[i], row[j] = row[j], row[i]
        if (tried := solve())[0] < 0.999 * cost:
            cost, x = tried
        else:
            row[i], row[j] = row[j], row[i]
    return dict(zip(items, x - x[0, 0], strict=True))
