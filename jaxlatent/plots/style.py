"""The look of all figures: colours, sizes, where legends stand, and how files are saved.

It holds inside the functions of the package and nowhere else: Matplotlib's settings are those of the user before and after.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

#: Okabe and Ito (2008): distinguishable with colour vision deficiencies and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY = "#7F7F7F"
FONT_SIZE = 9.0

_STYLE = {
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "savefig.dpi": 300,
    # Text stays text, and equal figures are equal files.
    "svg.fonttype": "none",
    "svg.hashsalt": "jaxlatent",
    "pdf.fonttype": 42,
}
#: Of vector files, neither dates nor versions.
_METADATA = {
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
#: Artists of more points are pixels inside a vector file: it would be large and slow to show.
_MOST_POINTS = 2000


@contextmanager
def style() -> Iterator[None]:
    """A context, or a decorator, with the style of the package for what is drawn and saved inside it.

    Colours are those of Okabe and Ito (2008), files have 300 dots an inch, and text of SVG and PDF stays text. Afterwards Matplotlib's
    settings are as they were.
    """
    with mpl.rc_context(_STYLE):
        yield


def save(figure: Figure, path: str | Path, dpi: float = 300) -> Path:
    """Save a figure, as vectors if the suffix is ``.svg`` or ``.pdf``: text can be searched and edited, and equal figures are equal files.

    Lines and scatters of more than 2,000 points become pixels inside a vector file.

    Args:
        figure: from any function of `jaxlatent.plots`, or one's own; of axes it is ``ax.figure``.
        path: with a suffix that Matplotlib knows; its folder is created if missing.
        dpi: dots an inch of pixels.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in _METADATA:
        for line in figure.findobj(Line2D):
            line.set_rasterized(line.get_rasterized() or np.size(line.get_xdata()) > _MOST_POINTS)
        for cloud in figure.findobj(PathCollection):
            cloud.set_rasterized(cloud.get_rasterized() or np.size(cloud.get_offsets()) // 2 > _MOST_POINTS)
    with style():
        figure.savefig(path, dpi=dpi, metadata=_METADATA.get(path.suffix))
    return path


def colours_of(number: int) -> list[Any]:
    """So many colours, for what goes together: the first of `COLOURS`, and of many an even part of a colour map, without its palest."""
    if number <= len(COLOURS):
        return list(COLOURS[:number])
    return [tuple(colour) for colour in mpl.colormaps["viridis"](np.linspace(0, 0.92, number))]


def legend(ax: Axes, title: str = "") -> Legend:
    """The legend of axes, to the right of them: it covers no data and no title; of many entries in several columns."""
    number = len(ax.get_legend_handles_labels()[1])
    return ax.legend(
        title=title or None, loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0, ncols=-(-number // 12)
    )
