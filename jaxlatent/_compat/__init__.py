"""Workarounds for versions of jaxlib, XLA, NumPyro and ArviZ, one per file; and how programs are compiled with them.

Each file of a workaround states the affected versions, the upstream issues and the gain; a test in `tests/test_compat.py` fails once the
installed version no longer has the fault. Nothing outside this folder asks for a version, a backend or a compiler option.

Workarounds of tracing are active only inside `tracing.tracing_for`, which `compiled` and `run` enter: the rest of the process, and other
threads, are not affected.
"""

# These install their hooks once, when the package is imported.
from jaxlatent._compat import decompositions, small_products, transposed_products, validation

__all__ = ["decompositions", "small_products", "transposed_products", "validation"]
