"""Workarounds for PyTensor's JAX linker.

It sets JAX's precision for the whole process when it is imported, and asks for 64 bits whatever that is.

- Versions: PyTensor 3.3 and before (`pytensor/link/jax/dispatch/basic.py`).
- Upstream: no issue that we know of.
- Gain: a fit of a PyMC model leaves the precision of everything else in the process as it was, as all of jaxlatent does; in 32 bits no
  warning tells a user to do what was not wanted.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax


def jax_dispatch() -> Callable[..., Any]:
    """PyTensor's `jax_funcify`, imported without a change of JAX's precision."""
    found: list[Callable[..., Any]] = []

    def load() -> None:
        before = jax.config.jax_enable_x64  # type: ignore[attr-defined]
        try:
            from pytensor.link.jax.dispatch import jax_funcify
        finally:
            jax.config.update("jax_enable_x64", before)
        found.append(jax_funcify)

    # A new thread sees the setting of the process, not that of a context around this call.
    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    return found[0]


@contextmanager
def in_own_precision() -> Iterator[None]:
    """A context in which graphs of 64 bits are traced in the precision of the process, without a warning for each operation."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Explicitly requested dtype")
        yield


def without_scalar_increments(graph: Any) -> Any:
    """The graph with scalar constants that are put into arrays at indices replaced by vectors of one entry.

    - Versions: PyTensor 2.38, the last that PyMC 5 has; 3.0 has no such operation. Its JAX linker makes Python numbers of scalar
      constants, and then asks this one for its shape (`pytensor/link/jax/dispatch/subtensor.py`).
    - Gain: models with ``pm.LKJCholeskyCov`` run.

    Args:
        graph: a rewritten `pytensor.graph.fg.FunctionGraph`.
    """
    import pytensor.tensor as pt
    from pytensor.graph.fg import FunctionGraph
    from pytensor.tensor import TensorConstant, subtensor

    former = getattr(subtensor, "AdvancedIncSubtensor1", None)
    if former is None:
        return graph
    # The copy lacks the features of the rewrites, which would take the vector for an error.
    copy = FunctionGraph(graph.inputs, graph.outputs, clone=True)
    for node in copy.toposort():
        if isinstance(node.op, former) and isinstance(node.inputs[1], TensorConstant) and node.inputs[1].ndim == 0:
            copy.change_node_input(node, 1, pt.constant(node.inputs[1].data[None]), check=False)
    return copy
