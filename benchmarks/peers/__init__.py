"""One module a competitor. To add one, add its file; the runner finds it by name.

Each module has
    run(model_name, chains, warmup, draws, seed) -> dict
which samples a census model with NUTS at `TARGET_ACCEPT` and returns `benchmarks.record.measurement(...)`. It is
called once in a fresh process. Imports (of the module, so of its library) and the start of the backend happen
before the clock; from the model to named draws on the host, everything else is inside. Modules whose names begin
with an underscore are shared code.
"""

TARGET_ACCEPT = 0.8
