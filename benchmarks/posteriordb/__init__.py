"""Posteriors of posteriordb (Magnusson and others 2025): its data, and its models in this package's language.

    POSTERIORDB=PATH python -m benchmarks.posteriordb [--posteriors NAME ...]

fits each in 64 bits and compares it with the reference draws: means agree where they differ by less than four combined Monte Carlo
standard errors, standard deviations where they differ by less than a tenth. One JSON line a posterior goes to --out.
"""
