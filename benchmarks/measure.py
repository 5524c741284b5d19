"""Clocks: contenders that take turns, and the lines that they leave."""

import datetime
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from time import perf_counter
from typing import Any

import jax

from benchmarks import record

PEERS = ("dynamax", "hmmlearn", "optax", "pymc", "tfp-nightly", "scipy")


@dataclass
class Contender:
    """One way of doing a case's work.

    Attributes:
        name: "jaxlatent" is what the others are compared with.
        call: does the work, results ready when it returns.
        compile_s: seconds before the first result that later calls do not spend; None where later calls tell it.
        first_s: seconds of the first call, where `compile_s` is None.
        per: what a call's time is divided by, such as iterations.
        target: how many times slower than jaxlatent it should be at least.
        result: of a call before the clock starts.
        facts: more fields of its line; `None` values are left out.
    """

    name: str
    call: Callable[[], Any]
    compile_s: float | None = None
    first_s: float | None = None
    per: int = 1
    target: float | None = None
    result: Any = None
    facts: dict[str, Any] = field(default_factory=dict)


def clock(call):
    """Seconds of a call, and its result."""
    start = perf_counter()
    result = jax.block_until_ready(call())
    return perf_counter() - start, result


def compiled(name, function, *args, **settings):
    """A contender that is one JAX program: traced and compiled on a clock of its own, then run once untimed."""
    start = perf_counter()
    program = jax.jit(function).lower(*args).compile()
    compile_s = perf_counter() - start
    result = jax.block_until_ready(program(*args))
    return Contender(name, lambda: program(*args), compile_s=compile_s, result=result, **settings)


def called(name, call, **settings):
    """A contender that compiles, if at all, in its first call."""
    first_s, result = clock(call)
    return Contender(name, call, first_s=first_s, result=result, **settings)


def alternate(contenders, rounds, calls=1):
    """Seconds of every call, by name: each round lets every contender make ``calls`` in a row."""
    seconds = {one.name: [] for one in contenders}
    for _ in range(rounds):
        for one in contenders:
            seconds[one.name] += [clock(one.call)[0] for _ in range(calls)]
    return seconds


def entries(part, case, sizes, contenders, seconds, unit="ms"):
    """Lines of one case.

    ``median_ms`` and ``min_ms`` are of one ``unit``. ``ratio`` is the median over jaxlatent's (above 1: jaxlatent is
    faster), ``target`` what it should be at least. ``compile_by`` is "measured" where compilation is a step apart,
    "difference" where it is the first call less the median of the later ones.
    """
    own = next(one for one in contenders if one.name == "jaxlatent")
    base = statistics.median(seconds["jaxlatent"]) / own.per
    lines = []
    for one in contenders:
        times = [1000 * s / one.per for s in seconds[one.name]]
        measured = one.compile_s is not None
        typical = statistics.median(seconds[one.name])
        lines.append(
            line(
                part,
                case,
                one.name,
                sizes,
                compile_s=round(one.compile_s if measured else max(one.first_s - typical, 0.0), 3),
                compile_by="measured" if measured else "difference",
                unit=unit,
                median_ms=round(statistics.median(times), 4),
                min_ms=round(min(times), 4),
                repetitions=len(times),
                ratio=round(typical / one.per / base, 3),
                target=one.target,
                **{name: value for name, value in one.facts.items() if value is not None},
            )
        )
    return lines


def line(part, case, contender, sizes, **measured):
    """A complete line: the setting, what was measured, and where and when."""
    found = record.versions()
    for name in PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "part": part,
        "case": case,
        "contender": contender,
        "sizes": sizes,
        **measured,
        "versions": found,
        "hardware": record.hardware(),
        "devices": jax.local_device_count(),
        "load": round(os.getloadavg()[0], 2),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
