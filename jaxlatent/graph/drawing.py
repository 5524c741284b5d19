"""A graph drawn with matplotlib."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from jaxlatent.graph.layout import Point, lay_out
from jaxlatent.graph.structure import Node, Plate, Structure

_NODE_FONT, _LABEL_FONT = 9.0, 8.0
_OBSERVED, _LINE, _PLATE, _PLATE_LABEL = "#d9d9d9", "#000000", "#7f7f7f", "#404040"
#: From a plate's corner to its label.
_INSET = 0.06
#: How steeply edges leave and arrive: 1 is straight, 0 is vertical.
_SLANT = 0.55


def draw(graph: Structure, ax: Axes | None, new_figure: Callable[..., Figure]) -> Axes:
    """Nodes, arrows from border to border, and plates.

    Args:
        graph: what to draw.
        ax: where; text is scaled with everything else.
        new_figure: called with ``figsize`` where there is no ``ax``.
    """
    sizes = {node.name: _size(node) for node in graph.nodes}
    labels = {plate.label: _text_size(plate.label, _LABEL_FONT) for plate in _plates(graph.plates)}
    layout = lay_out(graph, sizes, {label: width for label, (width, _) in labels.items()})
    width, height = layout.size
    if ax is None:
        ax = new_figure(figsize=layout.size).add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set(xlim=(0.0, width), ylim=(0.0, height), aspect="equal")
    ax.set_axis_off()
    room = ax.get_window_extent()
    scale = min(room.width / width, room.height / height) / ax.figure.dpi

    shapes = {node.name: _shape(node, layout.centres[node.name], sizes[node.name], scale) for node in graph.nodes}
    curves = [
        _outside(_curve(route), shapes[parent], shapes[child]) for (parent, child), route in layout.routes.items()
    ]
    drawn = np.concatenate([*curves, np.empty((0, 2))])
    for plate, box in layout.boxes:
        _draw_plate(ax, plate.label, box, labels[plate.label], drawn, scale)
    for points in curves:
        arrow = f"-|>,head_length={4.5 * scale},head_width={1.9 * scale}"
        style: dict[str, Any] = {"arrowstyle": arrow, "mutation_scale": 1.0, "shrinkA": 0, "shrinkB": 0}
        style |= {"linewidth": 0.8 * scale, "color": _LINE, "capstyle": "butt", "joinstyle": "miter"}
        ax.add_patch(FancyArrowPatch(path=Path(points), **style))
    for node in graph.nodes:
        ax.add_patch(shapes[node.name])
        x, y = layout.centres[node.name]
        ax.text(x, y, "\n".join(node.lines), ha="center", va="center", fontsize=_NODE_FONT * scale, linespacing=1.1)
    return ax


def _draw_plate(
    ax: Axes, label: str, box: tuple[float, float, float, float], size: Point, edges: np.ndarray, scale: float
) -> None:
    """A frame, and its label in the lower corner that fewer edges pass: the right one where it makes no difference."""
    left, bottom, right, top = box
    frame = "round,pad=0,rounding_size=0.06"
    style: dict[str, Any] = {"facecolor": "none", "edgecolor": _PLATE, "linewidth": 0.8 * scale}
    ax.add_patch(FancyBboxPatch((left, bottom), right - left, top - bottom, boxstyle=frame, **style))
    x, y = edges[edges[:, 1] < bottom + _INSET + size[1]].T
    reach = size[0] + 2 * _INSET
    passing = [np.sum((x > start) & (x < start + reach) & (y > bottom)) for start in (right - reach, left)]
    text: dict[str, Any] = {"va": "bottom", "fontsize": _LABEL_FONT * scale, "color": _PLATE_LABEL}
    text |= {"zorder": 1.5, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.5 * scale}}
    if passing[0] <= passing[1]:
        ax.text(right - _INSET, bottom + 0.6 * _INSET, label, ha="right", **text)
    else:
        ax.text(left + _INSET, bottom + 0.6 * _INSET, label, ha="left", **text)


def _plates(plates: "Sequence[Plate]") -> "list[Plate]":
    return [one for plate in plates for one in (plate, *_plates(plate.plates))]


def _text_size(text: str, font: float) -> Point:
    """Of one line, in inches."""
    extent = TextPath((0, 0), text, size=font, prop=FontProperties()).get_extents()
    return extent.width / 72, font * 1.15 / 72


def _size(node: Node) -> Point:
    """Of the shape around a node's text."""
    measured = [_text_size(line, _NODE_FONT) for line in node.lines]
    width, height = max(width for width, _ in measured), sum(height for _, height in measured)
    if node.kind == "derived":
        return max(width + 0.2, 0.45), height + 0.16
    return max(1.18 * width + 0.14, 0.7), height + 0.22


def _shape(node: Node, centre: Point, size: Point, scale: float) -> Patch:
    (x, y), (width, height) = centre, size
    style: dict[str, Any] = {"edgecolor": _LINE, "linewidth": 0.9 * scale, "facecolor": "white"}
    if node.kind == "derived":
        corner = (x - width / 2, y - height / 2)
        box = "round,pad=0,rounding_size=0.08"
        return FancyBboxPatch(corner, width, height, boxstyle=box, linestyle=(0, (3, 2)), **style)
    return Ellipse(centre, width, height, **{**style, "facecolor": _OBSERVED if node.kind == "observed" else "white"})


def _curve(route: Sequence[Point]) -> np.ndarray:
    """Points of an edge: smooth, and steeper at its ends than a straight line, so that it clears their neighbours."""
    x, y = np.array(route[::-1]).T
    fine = np.linspace(y[-1], y[0], 60 * len(route))
    slopes = PchipInterpolator(y, x).derivative()(y)
    slopes[[0, -1]] = _SLANT * np.array([(x[1] - x[0]) / (y[1] - y[0]), (x[-1] - x[-2]) / (y[-1] - y[-2])])
    return np.column_stack([CubicHermiteSpline(y, x, slopes)(fine), fine])


def _outside(points: np.ndarray, *shapes: Patch) -> np.ndarray:
    """What of a curve lies outside the shapes at its ends."""
    hidden = [shape.get_patch_transform().transform_path(shape.get_path()).contains_points(points) for shape in shapes]
    return points[~np.any(hidden, 0)]
