"""One module a competitor. To add one, add its file; the runner finds it by name.

Each module has
    run(case, chains, warmup, draws, seed) -> dict | None
which samples a `benchmarks.nuts.case.Case` with NUTS at `TARGET_ACCEPT` and returns `benchmarks.record.measurement(...)`, or None where
it has no form of the model. It is called once in a fresh process. Imports (of the module, so of its library) and the start of the backend
happen before the clock; from the model to named draws on the host, everything else is inside. Modules whose names begin with an
underscore are shared code.
"""

import pkgutil

TARGET_ACCEPT = 0.8


def available():
    """The names of the modules, jaxlatent first."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    return sorted(names, key=lambda name: (name != "jaxlatent", name))
