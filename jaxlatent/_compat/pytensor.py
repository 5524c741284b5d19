"""PyTensor's JAX linker sets JAX's precision for the whole process when it is imported, and asks for 64 bits whatever that is.

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
