"""Latent-variable and hierarchical Bayesian models in JAX."""
