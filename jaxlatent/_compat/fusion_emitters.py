"""Faster compilation on a CPU, by the older of XLA's two code generators.

- Versions: jaxlib 0.10, which has the option; that of 0.12 raises an error for it.
- Upstream: openxla/xla#41173 reports the compile times of the newer generator.
- Gain: a third of the compile time, for code of half the speed (or less, for exponentials), for programs that run once.
"""

from typing import Any

from jaxlatent._compat.versions import FORMER_XLA

QUICK: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False} if FORMER_XLA else {}
