"""The package is layered: a module imports only what stands above it, and importing it all starts nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import jaxlatent

ROOT = Path(jaxlatent.__file__).parent

#: From top to bottom, a room (a folder) or a file at the top: each imports from those above it and from itself.
LAYERS = [
    "typing",
    "errors",
    "status",
    "masks",
    "_compat",
    "keys",
    "data",
    "diagnostics",
    "distributions",
    "latent",
    "graph",
    "model",
    "posterior",
    "engines",
    "store",
    "results",
    "execute",
    "plots",
    "pages",
    "selection",
    "models",
    "sklearn",
    "datasets",
    "demos",
    "cli",
]

#: Imported only where used: ArviZ, Matplotlib and SciPy's statistics double the time of `import jaxlatent`; BlackJAX starts JAX.
LATE = (
    "arviz",
    "flax",
    "blackjax",
    "scipy.stats",
    "dynamax",
    "matplotlib",
    "typer",
    "pymc",
    "sklearn",
    "pytensor",
    "jaxlatent.cli",
    "jaxlatent.plots",
    "jaxlatent.pages",
    "jaxlatent.sklearn",
)

#: Methods that stand where users look for them and call a room below, which they import when they are called: by module, what it imports.
METHODS = {
    "results.result": {"pages.result", "pages.notebook"},
    "model.model": {"pages.notebook", "results.simulation"},
    "data.batches": {"pages.notebook"},
    "posterior.posterior": {"pages.notebook"},
}

LAYER_OF = {name: row for row, name in enumerate(LAYERS)}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name without ``jaxlatent.``; the package itself is left out."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts and parts != ("__main__",):
            found[".".join(parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the package that a file imports: at its top, in functions, or for type checkers."""
    return imports_in(ast.walk(ast.parse(path.read_text())), known)


def imports_in(nodes: Iterable[ast.AST], known: dict[str, Path]) -> set[str]:
    """The modules of the package that statements import."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno} imports relatively: write the full name"
            longer = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {long if long.removeprefix("jaxlatent.") in known else node.module for long in longer.values()}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.removeprefix("jaxlatent.") for name in names if name.split(".")[0] == "jaxlatent"}


MODULES = modules()
IMPORTS = {name: imports(path, MODULES) - METHODS.get(name, set()) for name, path in MODULES.items()}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_layers_above_it(module):
    unit = module.split(".")[0]
    assert unit in LAYER_OF, f"{unit} has no layer: give it a place in LAYERS"
    for imported in IMPORTS[module]:
        other = imported.split(".")[0]
        if other == "jaxlatent":
            assert LAYER_OF[unit] >= LAYER_OF["demos"], f"{module} imports the package itself: name the module"
        elif other != unit:
            assert LAYER_OF[other] < LAYER_OF[unit], f"{module} imports {imported}, which does not stand above it"


def test_there_are_no_cycles():
    remaining = {name: set(found) - {name, "jaxlatent"} for name, found in IMPORTS.items()}
    while free := [name for name, found in remaining.items() if not found & remaining.keys()]:
        for name in free:
            del remaining[name]
    assert not remaining, f"a cycle among {sorted(remaining)}"


@pytest.mark.parametrize("module", METHODS)
def test_a_method_imports_a_room_below_only_when_it_is_called(module):
    at_import = ast.parse(MODULES[module].read_text()).body
    assert METHODS[module] <= imports(MODULES[module], MODULES) and not METHODS[module] & imports_in(at_import, MODULES)


def test_every_layer_is_in_use():
    assert {name.split(".")[0] for name in MODULES} == set(LAYERS)


def run_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_starts_and_changes_nothing():
    program = f"""
import sys, jax
before = {{name: jax.config._read(name) for name in jax.config.values}}
import jaxlatent
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), "the backend is running"
after = {{name: jax.config._read(name) for name in jax.config.values}}
assert before == after, {{name: value for name, value in after.items() if before.get(name) != value}}
print([name for name in {LATE!r} if name in sys.modules])
"""
    assert run_python(program).strip() == "[]"
