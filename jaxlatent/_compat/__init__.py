"""Every workaround for a version of jaxlib, XLA or NumPyro, one a file; and which ArviZ there is.

Each file says for which versions it is, what is known upstream, what it gains, and how one sees that it can go: a test in
`tests/test_compat.py` fails when the version in use no longer shows the fault. Nothing outside this folder names a version, a backend
or a compiler option.

A workaround that concerns tracing holds only inside `tracing.tracing_for`, which `compiled` and `run` enter: nothing is replaced for
the rest of the process, and threads do not meet.
"""

# What these set is set once, when the package is imported.
from jaxlatent._compat import decompositions, small_products, validation

__all__ = ["decompositions", "small_products", "validation"]
