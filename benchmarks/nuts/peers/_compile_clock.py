"""How long JAX compiled, told by JAX's own events, for libraries that compile inside their calls."""

from contextlib import contextmanager
from time import perf_counter

import jax

STAGES = ("jaxpr_trace_duration", "jaxpr_to_mlir_module_duration", "backend_compile_duration")


@contextmanager
def compile_clock():
    """Yield a list that holds, after the block, one number: seconds spent tracing, lowering or compiling in it.

    Events arrive when a stage ends, with its duration. Stages nest (a jitted function traces the jitted functions
    it calls), so the length of the union of their intervals is taken, not their sum. What the device computes while
    Python compiles the next small program counts as compilation: where a fit runs for less than a second, trust
    the total above its parts.
    """
    intervals, answer = [], []

    def listen(event, duration, **_):
        if event.rsplit("/", 1)[-1] in STAGES:
            now = perf_counter()
            intervals.append((now - duration, now))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield answer
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
        answer.append(_union(intervals))


def _union(intervals):
    covered, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered
