"""Guides for `jaxlatent.informed` priors: a Gaussian approximation of the likelihood of each varying effect.

It is built from the gradient and curvature in the effects alone near the posterior mode. A rough mode suffices, since a guide only
chooses the coordinates.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import optax

from jaxlatent._compat.compiled import compiled
from jaxlatent.distributions.centring import Informed, LikelihoodFactor, is_multivariate
from jaxlatent.posterior.curvature import slope_and_curve
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Data, Params, Position

_STEPS = 500


def find_guides(posterior: Posterior, batched: bool) -> dict[str, LikelihoodFactor]:
    """The guide of each `Informed` prior of a model, by name; leads with ``dataset`` if ``batched``."""
    density = posterior.density
    assert isinstance(density, ModelDensity)
    if not any(site.informed for site in density.sites):
        return {}
    find = partial(_find, density)
    guides: dict[str, LikelihoodFactor] = (jax.vmap(find) if batched else find)(posterior.data)
    return guides


def guided(posterior: Posterior) -> Posterior:
    """The posterior with its guides, found where it has none."""
    if not isinstance(posterior.density, ModelDensity) or posterior.guides:
        return posterior
    return replace(posterior, guides=find_guides(posterior, posterior.names is not None))


@compiled("density")
def _find(density: ModelDensity, data: Data) -> dict[str, LikelihoodFactor]:
    params = density.constrain(_rough_mode(density, data), data, {})
    return {site.name: _guide(density, site.name, params, data) for site in density.sites if site.informed}


def _rough_mode(density: ModelDensity, data: Data) -> Position:
    """Approximate the mode by Adam in non-centred coordinates, where the mode of a hierarchical model is not degenerate."""
    optimizer = optax.adam(optax.cosine_decay_schedule(0.1, _STEPS, alpha=0.01))
    gradient = jax.grad(lambda position: -density.log_density(position, data, {}))

    def step(_: Array, carry: tuple[Position, optax.OptState]) -> tuple[Position, optax.OptState]:
        position, state = carry
        slope = gradient(position)
        updates, state = optimizer.update(jnp.where(jnp.isfinite(slope), slope, 0.0), state)
        return position + updates, state

    start = jnp.zeros(density.dim)
    position: Position = jax.lax.fori_loop(0, _STEPS, step, (start, optimizer.init(start)))[0]
    return position


def _guide(density: ModelDensity, name: str, params: Params, data: Data) -> LikelihoodFactor:
    """The Gaussian factor of the effects ``name``, from gradient and curvature of everything but their own prior.

    Effects of different groups enter different rows of the data, so one Hessian-vector product per component of an effect gives all
    diagonal blocks.
    """
    model = density.model
    prior = model.prior_of(name, params, data)
    assert isinstance(prior, Informed)

    def evidence(x: Array) -> Array:
        values = {**params, name: x}
        own = jnp.sum(prior.base.log_prob(x))
        likelihood = sum(jnp.sum(term) for term in model.log_likelihood(values, data).values())
        return model.log_prior(values, data) - own + likelihood

    x = params[name]
    slope, curve = slope_and_curve(evidence, x)
    curvature: Callable[[Array], Array] = lambda direction: -curve(direction)

    if is_multivariate(prior.base):
        n = x.shape[-1]
        columns = jax.vmap(lambda unit: curvature(jnp.broadcast_to(unit, x.shape)), out_axes=-1)(
            jnp.eye(n, dtype=x.dtype)
        )
        values, vectors = jnp.linalg.eigh((columns + jnp.swapaxes(columns, -1, -2)) / 2)
        precision = (vectors * jnp.maximum(values, 0.0)[..., None, :]) @ jnp.swapaxes(vectors, -1, -2)
        pull = jnp.einsum("...ij,...j->...i", precision, x) + slope
        fine = jnp.isfinite(precision).all((-1, -2)) & jnp.isfinite(pull).all(-1)
        return LikelihoodFactor(jnp.where(fine[..., None, None], precision, 0.0), jnp.where(fine[..., None], pull, 0.0))
    precision = jnp.maximum(curvature(jnp.ones_like(x)), 0.0)
    pull = precision * x + slope
    fine = jnp.isfinite(precision) & jnp.isfinite(pull)
    return LikelihoodFactor(jnp.where(fine, precision, 0.0), jnp.where(fine, pull, 0.0))
