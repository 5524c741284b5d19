"""Posteriors of posteriordb (Magnusson and others 2025): its data, and its models in this package's language."""
