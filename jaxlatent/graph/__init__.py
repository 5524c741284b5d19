"""The graph of a model: its nodes, edges and plates, found by tracing, and rendered as text or drawing."""

from jaxlatent.graph.graph import Graph
from jaxlatent.graph.structure import Axis, Node, Plate
from jaxlatent.graph.tracing import graph_of

__all__ = ["Axis", "Graph", "Node", "Plate", "graph_of"]
