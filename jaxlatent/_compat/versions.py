"""Whether jaxlib is 0.10, the last for Python 3.11."""

from jaxlib.version import __version__

#: Its XLA has another CPU backend.
FORMER_XLA = __version__.startswith("0.10.")
