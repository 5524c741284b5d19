"""The graph of a model: parameters, derived quantities and observations, who reads whom, and what is replicated."""

from jaxlatent.graph.graph import Graph
from jaxlatent.graph.structure import Axis, Node, Plate
from jaxlatent.graph.tracing import graph_of

__all__ = ["Axis", "Graph", "Node", "Plate", "graph_of"]
