"""A graph as Mermaid or Graphviz source."""

from collections.abc import Callable, Iterator

from jaxlatent.graph.structure import Node, Plate, Structure

#: Opening and closing brackets of Mermaid's shapes.
_MERMAID = {"parameter": ("([", "])"), "observed": ("([", "])"), "derived": ("(", ")")}
_MERMAID_STYLES = ("classDef observed fill:#d9d9d9,stroke:#000,color:#000", "classDef derived stroke-dasharray:4 3")
_DOT = {
    "parameter": "shape=ellipse",
    "observed": 'shape=ellipse, style=filled, fillcolor="#d9d9d9"',
    "derived": 'shape=box, style="rounded,dashed"',
}


def plain(graph: Structure) -> str:
    """A line for each node, with its distribution and what it depends on."""
    parents: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for parent, child in graph.edges:
        parents[child].append(parent)
    lines = []
    for node in graph.nodes:
        given = f", given {', '.join(parents[node.name])}" if parents[node.name] else ""
        lines.append(f"  {node.kind} {' '.join(node.lines)}{given}")
    return "\n".join([graph.name, *lines])


def mermaid(graph: Structure) -> str:
    """A flowchart; nodes are numbered, because names may be keywords of Mermaid."""
    ids = _ids(graph)

    def write(node: Node) -> str:
        opened, closed = _MERMAID[node.kind]
        label = "<br/>".join(line.replace('"', "#quot;").replace("<", "#lt;") for line in node.lines)
        return f'{ids[node.name]}{opened}"{label}"{closed}'

    begin = lambda number, plate: f'subgraph plate{number}["{plate.label}"]'
    lines = list(_nested(graph, write, begin, "end"))
    lines += [f"    {ids[parent]} --> {ids[child]}" for parent, child in graph.edges]
    for style in _MERMAID_STYLES:
        kind = style.split()[1]
        members = [ids[node.name] for node in graph.nodes if node.kind == kind]
        if members:
            lines += [f"    {style}", f"    class {','.join(members)} {kind}"]
    return "\n".join(["flowchart TD", *lines]) + "\n"


def dot(graph: Structure) -> str:
    """A digraph with a cluster for each plate."""
    ids = _ids(graph)

    def write(node: Node) -> str:
        label = "\\n".join(map(_quoted, node.lines))
        return f'{ids[node.name]} [label="{label}", {_DOT[node.kind]}];'

    begin = lambda number, plate: f'subgraph cluster{number} {{ label="{_quoted(plate.label)}"; style=rounded;'
    lines = [
        '    node [fontname="Helvetica", fontsize=11];',
        '    graph [fontname="Helvetica", fontsize=10, labeljust=r, labelloc=b];',
        *_nested(graph, write, begin, "}"),
        *(f"    {ids[parent]} -> {ids[child]};" for parent, child in graph.edges),
    ]
    return "\n".join([f'digraph "{_quoted(graph.name)}" {{', *lines, "}"]) + "\n"


def _nested(
    graph: Structure, write: Callable[[Node], str], begin: Callable[[int, Plate], str], end: str
) -> Iterator[str]:
    """The lines of all nodes, indented inside those that begin and end their plates."""
    nodes = {node.name: node for node in graph.nodes}
    number = 0

    def inside(plate: Plate, indent: str) -> Iterator[str]:
        nonlocal number
        for name in plate.nodes:
            yield indent + write(nodes[name])
        for inner in plate.plates:
            yield indent + begin(number, inner)
            number += 1
            yield from inside(inner, indent + "    ")
            yield indent + end

    yield from inside(graph.root, "    ")


def _ids(graph: Structure) -> dict[str, str]:
    return {node.name: f"n{i}" for i, node in enumerate(graph.nodes)}


def _quoted(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"')
