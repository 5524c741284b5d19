"""`compiled`: `jax.jit` for whatever calls a model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any

import jax
import numpy as np
from numpyro.distributions import Distribution
from numpyro.distributions.constraints import is_dependent

from jaxlatent.former_xla import FORMER_XLA, few_at_a_time

#: YNNPACK, to which XLA gives products and sums alike, multiplies matrices well and is slow at sums whose terms are computed on the way:
#: the gradient of a mixture of three normals at 60,000 points took it 8 ms, and takes 0.5 ms without (jaxlib 0.12: 3.4 and 0.4).
_PRODUCTS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
_QUICK = {"xla_cpu_use_fusion_emitters": False} if FORMER_XLA else {}
_CHECK = Distribution.validate_args


def compiled(*static: str, quick: bool | None = None) -> Callable[[Callable[..., Any]], Any]:
    """`jax.jit` whose tracing is `sparing`, and whose decompositions do not hang.

    Args:
        static: names of static arguments.
        quick: on a CPU, and where XLA has the choice, whether to compile in two thirds of the time to code of half the speed, or less
            where all is exponentials: right for what runs once. None: no choice is made, as JAX takes none where it is already tracing.
    """

    def decorate(fn: Callable[..., Any]) -> Any:
        @wraps(fn)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with sparing(), few_at_a_time():
                return fn(*args, **kwargs)

        if quick is None:
            return jax.jit(traced, static_argnames=static)

        # Which backend there is, is known at the first call.
        @cache
        def program() -> Any:
            return jax.jit(traced, static_argnames=static, compiler_options=_options(quick))

        return wraps(fn)(lambda *args, **kwargs: program()(*args, **kwargs))

    return decorate


@cache
def _options(quick: bool) -> dict[str, Any] | None:
    """Of the compiler, none but on a CPU."""
    if jax.default_backend() != "cpu":
        return None
    return (_QUICK if quick else {}) | (_PRODUCTS if _accepted() else {})


@cache
def _accepted() -> bool:
    """Whether this XLA still knows the experimental choice."""
    try:
        jax.jit(lambda: 0, compiler_options=_PRODUCTS).lower().compile()
    except RuntimeError:
        return False
    return True


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
