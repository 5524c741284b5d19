"""Inference algorithms, one file or folder each, written for one lane of one dataset; `hmc` is what NUTS and ChEES share."""

from jaxlatent.engines.chees import ChEES
from jaxlatent.engines.em import EM
from jaxlatent.engines.laplace import Laplace
from jaxlatent.engines.nuts.nuts import NUTS
from jaxlatent.engines.optimize.optimize import Optimize
from jaxlatent.engines.pathfinder import Pathfinder
from jaxlatent.engines.variational.advi import ADVI
from jaxlatent.engines.variational.dadvi import DADVI

__all__ = ["ADVI", "DADVI", "EM", "NUTS", "ChEES", "Laplace", "Optimize", "Pathfinder"]
