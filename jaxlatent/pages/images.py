"""Matplotlib figures as SVG images inside the page."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jaxlatent.pages.html import Html, element, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Pixels an inch of what is rasterised inside an SVG, such as traces of thousands of draws.
_DPI = 160


@contextmanager
def drawing() -> Iterator[None]:
    """A context for the figures of a page: the style of all figures; names that hold dollars are text, not mathematics."""
    import matplotlib as mpl

    from jaxlatent.plots.style import style

    with style(), mpl.rc_context({"text.parse_math": False}):
        yield


def image(figure: "Figure", alternative: str, caption: str) -> Html:
    """A figure as an SVG image in a data address; to be drawn in the context `drawing`.

    As an image its names do not meet those of other figures, and nothing in it can run.

    Args:
        figure: from Matplotlib.
        alternative: what it shows, for those who do not see it.
        caption: below it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=_DPI, transparent=True, metadata={"Date": None, "Creator": None})
    encoded = base64.b64encode(buffer.getvalue().encode()).decode()
    width = round(figure.get_size_inches()[0] * 96)
    picture = element("img", src=f"data:image/svg+xml;base64,{encoded}", alt=alternative, width=width)
    return element("figure", picture, element("figcaption", text(caption)))
