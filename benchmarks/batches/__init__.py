"""Batches of fits: what storing them costs, and ten thousand of them in one call."""
