"""`Model`, its fixed and tied variants, and the checks of data against a model."""

from jaxlatent.model.fixing import fix, tie
from jaxlatent.model.model import Model

__all__ = ["Model", "fix", "tie"]
