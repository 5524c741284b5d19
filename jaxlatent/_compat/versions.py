"""The version of XLA."""

import jaxlib

#: Whether XLA's CPU backend is that of jaxlib 0.10, the last version for Python 3.11.
FORMER_XLA = jaxlib.__version__.startswith("0.10.")
