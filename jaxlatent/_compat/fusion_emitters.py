"""Programs that run once are compiled by the quicker of XLA's two code generators for CPUs.

- Versions: jaxlib 0.10, where one may choose; to name the choice to that of 0.12 is an error.
- Upstream: openxla/xla#41173 tells of the same generator's compile times.
- Gain: a third of the compile time, for code of half the speed, or less where all is exponentials.
"""

from typing import Any

from jaxlatent._compat.versions import FORMER_XLA

QUICK: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False} if FORMER_XLA else {}
