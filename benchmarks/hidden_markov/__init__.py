"""Hidden Markov models, jaxlatent beside dynamax and hmmlearn in one run.

    python -m benchmarks.hidden_markov [--part a b c d] [--rounds 5]

Contenders do the same work from the same start and take turns, so drift of the machine falls on all alike. Compilation
is timed apart. Each part appends one JSON line a contender, see `benchmarks.measure.entries`.

| part | what | targets |
|---|---|---|
| a | value and gradient of the log likelihood | 3x, 3x, 1.4x dynamax |
| b | EM with Gaussian emissions: an iteration; a repeated small fit | 4x dynamax, 9x hmmlearn; 20x, 1x |
| c | EM from 20 starts | 4x dynamax |
| d | GLM-HMMs: Bernoulli to equal fit, linear an iteration | 10x, 3x dynamax |

NUTS on the marginal likelihood is a model of `benchmarks.nuts`.
"""
