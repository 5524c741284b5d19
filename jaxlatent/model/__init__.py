"""What a user declares: named priors and a likelihood; what is held fixed; how data must fit them."""

from jaxlatent.model.fixing import fix, tie
from jaxlatent.model.model import Model

__all__ = ["Model", "fix", "tie"]
