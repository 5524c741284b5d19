"""What can be wrong with a model and its data, said before any long work."""

from jaxlatent.checks.shapes import check_dims, check_shapes
from jaxlatent.checks.starts import explain_start, explain_support

__all__ = ["check_dims", "check_shapes", "explain_start", "explain_support"]
