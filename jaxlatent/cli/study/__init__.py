"""Whole studies in a file: a table, the roles of its columns, a model, an engine and how to choose, read from TOML and run."""
