"""The version of XLA."""

from jaxlib.version import __version__

#: Whether XLA's CPU backend is that of jaxlib 0.10, the last version for Python 3.11.
FORMER_XLA = __version__.startswith("0.10.")
