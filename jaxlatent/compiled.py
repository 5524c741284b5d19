"""`compiled`: `jax.jit` for whatever calls a model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import jax
import numpy as np
from numpyro.distributions import Distribution
from numpyro.distributions.constraints import is_dependent

from jaxlatent.former_xla import FORMER_XLA, few_at_a_time

_QUICK = {"xla_cpu_use_fusion_emitters": False} if FORMER_XLA else None
_CHECK = Distribution.validate_args


def compiled(*static: str, quick: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """`jax.jit` whose tracing is `sparing`, and whose decompositions do not hang.

    Args:
        static: names of static arguments.
        quick: compile, on a CPU and where XLA has the choice, in two thirds of the time to code of half the speed, or less where all
            is exponentials. Right for what runs once; not tried beside a GPU. JAX takes no such choice where it is already tracing.
    """

    def decorate(fn: Callable[..., Any]) -> Any:
        @wraps(fn)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with sparing(), few_at_a_time():
                return fn(*args, **kwargs)

        return jax.jit(traced, static_argnames=static, compiler_options=_QUICK if quick else None)

    return decorate


@contextmanager
def sparing() -> Iterator[None]:
    """Inside, NumPyro checks the arguments of distributions where it can see them, and not where they are traced.

    Traced values tell it nothing, yet for matrices it compiles some thirty small programs to find that out: a sixth of the first fit
    of a model with correlated effects.
    """
    # NumPyro's own switch would also take the support out of log densities.
    Distribution.validate_args = _check_concrete
    try:
        yield
    finally:
        # Never what was found above: another thread may be tracing.
        Distribution.validate_args = _CHECK


def _check_concrete(self: Distribution, strict: bool = True) -> None:
    with jax.ensure_compile_time_eval():
        for name, value in self.get_args().items():
            constraint = self.arg_constraints[name]
            if isinstance(value, jax.core.Tracer) or is_dependent(constraint):
                continue
            if not np.all(constraint(value)):
                raise ValueError(f"{type(self).__name__} distribution got invalid {name} parameter.")
