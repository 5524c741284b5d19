"""Inference algorithms, one file each, written for one lane of one dataset."""

from jaxlatent.engines.advi import ADVI
from jaxlatent.engines.dadvi import DADVI
from jaxlatent.engines.em import EM
from jaxlatent.engines.laplace import Laplace
from jaxlatent.engines.nuts import NUTS
from jaxlatent.engines.optimize import Optimize
from jaxlatent.engines.pathfinder import Pathfinder

__all__ = ["ADVI", "DADVI", "EM", "NUTS", "Laplace", "Optimize", "Pathfinder"]
