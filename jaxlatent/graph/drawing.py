"""A graph drawn with matplotlib."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from jaxlatent.graph.layout import Item, lay_out
from jaxlatent.graph.structure import Node, Plate, Structure


def draw(graph: Structure, ax: Axes | None, new_figure: Callable[..., Figure]) -> Axes:
    """Draw nodes, plates and arrows from border to border, scaled to fit ``ax`` or, without one, a figure of this ``figsize``."""
    page, chains = lay_out(graph)
    width, height = page.corners[1]
    if ax is None:
        ax = new_figure(figsize=(width, height)).add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set(xlim=(0.0, width), ylim=(0.0, height), aspect="equal")
    ax.set_axis_off()
    room = ax.get_window_extent()
    scale = min(room.width / width, room.height / height) / ax.figure.dpi
    shapes = {item: ax.add_patch(_shape(item, scale)) for item in page.walk()[1:] if item.key}
    for item in shapes:
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9 * scale, "linespacing": 1.1}
        (x, y), text = item.corners.mean(0), "\n".join(item.key.lines) if isinstance(item.key, Node) else ""
        if isinstance(item.key, Plate):
            style = {"ha": "right", "va": "bottom", "fontsize": 8 * scale, "color": "#404040"}
            x, y, text = item.corners[1, 0] - 0.06, item.corners[0, 1] + 0.04, item.key.label
        ax.text(x, y, text, **style)
    head = f"-|>,head_length={4.5 * scale},head_width={1.9 * scale}"
    style = {"arrowstyle": head, "mutation_scale": 1.0, "shrinkA": 0, "shrinkB": 0, "linewidth": 0.8 * scale}
    for chain in chains:
        points = curve(chain)
        for shape in (shapes[chain[0]], shapes[chain[-1]]):
            border = shape.get_patch_transform().transform_path(shape.get_path())
            points = points[~border.contains_points(points)]
        ax.add_patch(FancyArrowPatch(path=Path(points), color="black", capstyle="butt", joinstyle="miter", **style))
    return ax


def curve(chain: Sequence[Item]) -> np.ndarray:
    """Points of an edge: smooth, and steeper at its ends than a straight line, so that it clears their neighbours."""
    x, y = np.array([item.corners.mean(0) for item in chain[::-1]]).T
    slopes = PchipInterpolator(y, x).derivative()(y)
    slopes[[0, -1]] = 0.55 * (np.diff(x) / np.diff(y))[[0, -1]]
    fine = np.linspace(y[-1], y[0], 60 * len(chain))
    return np.column_stack([CubicHermiteSpline(y, x, slopes)(fine), fine])


def _shape(item: Item, scale: float) -> Patch:
    kind = item.key.kind if isinstance(item.key, Node) else "plate"
    style: dict[str, Any] = {"linewidth": 0.8 * scale, "edgecolor": "#7f7f7f" if kind == "plate" else "black"}
    style |= {"facecolor": {"observed": "#d9d9d9", "plate": "none"}.get(kind, "white")}
    width, height = item.corners[1] - item.corners[0]
    if kind in ("parameter", "observed"):
        return Ellipse(item.corners.mean(0), width, height, **style)
    style |= {"linestyle": (0, (3, 2)) if kind == "derived" else "-"}
    return FancyBboxPatch(item.corners[0], width, height, boxstyle="round,pad=0,rounding_size=0.07", **style)
