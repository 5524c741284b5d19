"""Benchmarks: what jaxlatent costs beside its peers. Nothing here is part of the installed package."""
