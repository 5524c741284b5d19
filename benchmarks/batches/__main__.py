"""Batches of fits: what storing them costs, and ten thousand of them in one call."""

from benchmarks import parts

PARTS = {
    "a": ("storing", "run", 5),
    "b": ("storing", "session", 5),
    "c": ("many", "run", 3),
    "d": ("switching", "run", 5),
    "e": ("hierarchies", "run", 3),
}

parts.main("batches", __doc__, PARTS)
