"""NumPyro's validation of distribution arguments, skipped for traced values.

- Versions: NumPyro 0.22 and before.
- Upstream: pyro-ppl/numpyro#2206 makes all validation eager.
- Gain: a sixth of the first fit of a model with correlated effects. NumPyro cannot validate traced values, but for matrices it compiles
  some thirty small programs to find out. Its switch, `numpyro.validation_enabled`, applies to all threads and would also disable the
  support checks in log densities.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpyro.distributions import Distribution
from numpyro.distributions.constraints import is_dependent

from jaxlatent._compat.tracing import tracing_platform

_usual: Callable[..., None] = Distribution.validate_args


def _validate_args(self: Any, strict: bool = True) -> None:
    if tracing_platform() is None:
        return _usual(self, strict)
    with jax.ensure_compile_time_eval():
        for name, value in self.get_args().items():
            constraint = self.arg_constraints[name]
            if isinstance(value, jax.core.Tracer) or is_dependent(constraint):
                continue
            if not np.all(constraint(value)):
                raise ValueError(f"{type(self).__name__} distribution got invalid {name} parameter.")


# Installed once, at import; only the tracing context differs between threads.
Distribution.validate_args = _validate_args
