"""The version of jaxlib."""

from jaxlib.version import __version__

#: Whether it is 0.10, the last for Python 3.11, whose XLA has an older CPU backend.
FORMER_XLA = __version__.startswith("0.10.")
