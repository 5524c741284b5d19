"""Expansion of a distribution to the shape of its observation, as in NumPyro and PyMC."""

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent.distributions.factor import Factor
from jaxlatent.latent.hidden_markov import HiddenMarkov


def expand_to(d: dist.Distribution, shape: tuple[int, ...]) -> dist.Distribution:
    """Expand ``d`` to independent values of ``shape``; returns ``d`` itself if it does not broadcast to them.

    Mixtures and hidden Markov models keep their type, so that their latent labels and paths can be inferred. A `Factor` has no values,
    and is added once.

    Args:
        d: the distribution of an observation.
        shape: of the observation, including event dimensions.
    """
    if isinstance(d, Factor):
        return d
    base = d.base_dist if isinstance(d, dist.ExpandedDistribution) else d
    if isinstance(base, HiddenMarkov):
        return base.of_shape(shape) if _broadcasts(base.sequences or (), shape, base.emissions.event_shape) else d
    mixture = isinstance(base, dist.MixtureSameFamily | dist.MixtureGeneral)
    if not _broadcasts(d.batch_shape, shape, d.event_shape):
        return d
    batch = shape[: len(shape) - d.event_dim]
    if batch == (base if mixture else d).batch_shape:
        return base if mixture else d
    if isinstance(base, dist.MixtureSameFamily):
        return type(base)(base.mixing_distribution, base.component_distribution.expand((*batch, base.mixture_size)))
    if isinstance(base, dist.MixtureGeneral):
        parts = [part.expand(batch) for part in base.component_distributions]
        return dist.MixtureGeneral(base.mixing_distribution, parts, support=base._support)
    return d.expand(batch)


def _broadcasts(batch: tuple[int, ...], shape: tuple[int, ...], event: tuple[int, ...]) -> bool:
    """Whether values of ``shape`` are events of shape ``event``, and ``batch`` broadcasts to what is left."""
    leading = shape[: len(shape) - len(event)]
    if shape != (*leading, *event) or len(batch) > len(leading):
        return False
    try:
        return jnp.broadcast_shapes(batch, leading) == leading
    except ValueError:
        return False
