"""Hidden Markov models, jaxlatent beside its peers."""

from benchmarks import parts

PARTS = {
    "a": ("likelihood", "run", None),
    "b": ("gaussian", "run", None),
    "c": ("gaussian", "restarts", 2),
    "d": ("regression", "run", None),
}


parts.main("hidden_markov", __doc__, PARTS)
