"""Which XLA this is."""

from jaxlib.version import __version__

#: Whether XLA's code for CPUs is that of jaxlib 0.10, the last for Python 3.11.
FORMER_XLA = __version__.startswith("0.10.")
