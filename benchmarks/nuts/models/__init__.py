"""The models, one module each: its constant `CASE`; those of the census are five, `C1` to `C5`."""

import importlib

#: In the order of the tables. C1, C2 and C4 run where they are asked for.
NAMES = (
    "C3",
    "C5",
    "schools",
    "logistic",
    "mixture",
    "hmm",
    "item_response",
    "volatility",
    "ordered_probit",
    "horseshoe",
)
FURTHER = ("C1", "C2", "C4")


def load(name):
    """The case of that name. Imported late: some samplers set up JAX before."""
    if name in ("C1", "C2", "C3", "C4", "C5"):
        return importlib.import_module("benchmarks.nuts.models.census").case(name)
    return importlib.import_module(f"benchmarks.nuts.models.{name}").CASE
