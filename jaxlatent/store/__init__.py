"""Runs on disk: Zarr hierarchies that xarray and ArviZ read, with what it takes to resume a run."""
