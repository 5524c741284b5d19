"""`Graph`: a model as a directed graph, with its renderings."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxlatent.graph import text
from jaxlatent.graph.structure import Structure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Graph(Structure):
    """A model as a directed graph; see `jaxlatent.Model.graph`. Notebooks display it as SVG.

    Attributes:
        name: of the model.
        nodes: parameters, derived quantities and observations, in the order of their declaration.
        edges: ``(parameter, reader)`` by name.
    """

    def __str__(self) -> str:
        return text.plain(self)

    def mermaid(self) -> str:
        """A Mermaid flowchart, for Markdown."""
        return text.mermaid(self)

    def dot(self) -> str:
        """Graphviz source."""
        return text.dot(self)

    def draw(self, ax: "Axes | None" = None) -> "Axes":
        """Draw it with matplotlib, in layers from top to bottom; Graphviz is not needed.

        Args:
            ax: axes to draw in, with text scaled to fit; by default a new figure of the required size.
        """
        import matplotlib.pyplot as plt

        from jaxlatent.graph.drawing import draw

        return draw(self, ax, plt.figure)

    def svg(self) -> str:
        """An SVG image, by Graphviz if its Python package and program are installed, otherwise by `draw`."""
        try:
            import graphviz

            image: str = graphviz.Source(self.dot()).pipe(format="svg", encoding="utf-8")
            return image
        except (ImportError, FileNotFoundError):
            from matplotlib.figure import Figure

            from jaxlatent.graph.drawing import draw

            # Not with pyplot, which would show the figure a second time.
            buffer = io.StringIO()
            figure: Any = draw(self, None, Figure).figure
            figure.savefig(buffer, format="svg")
            return buffer.getvalue()

    def _repr_svg_(self) -> str:
        return self.svg()
