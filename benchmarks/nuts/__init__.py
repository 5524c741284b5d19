"""Cold fits by NUTS, every sampler in a fresh process of its own, in turn: what a user waits for, compilation included.

    python -m benchmarks.nuts --models C5 schools --peers jaxlatent numpyro_parallel --rounds 3

All samplers have the same density, data, chains, iterations, target of acceptance and, within a round, seed; imports are not timed and no
compilation cache is used. A sampler that is not installed, has no form of a model, or fails is reported, and the others go on. One JSON
line a run goes to --out (fields: `benchmarks.record`); at the end a table of medians is printed.
"""
