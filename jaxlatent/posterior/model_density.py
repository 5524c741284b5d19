"""`ModelDensity`: the log density of a `jaxlatent.Model` over a flat unconstrained vector."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from jaxlatent.data.arrays import as_namespace
from jaxlatent.data.namespace import Namespace
from jaxlatent.latent import EStep, Expected, expect, expected_log_prob
from jaxlatent.model.coordinates import constrain, unconstrain
from jaxlatent.model.model import Model, apply_m_step
from jaxlatent.model.shapes import Site
from jaxlatent.posterior.density import Density, Guides
from jaxlatent.typing import AnyArray, Array, Data, Key, Params, Position


@dataclass(frozen=True)
class ModelDensity(Density):
    """The density of a `Model` for data of given shapes.

    Args:
        model: the declaration.
        sites: the slice of the position of each parameter, in the order of the declaration.
    """

    model: Model
    sites: tuple[Site, ...]

    @property
    def dim(self) -> int:
        """The length of a position."""
        return self.sites[-1].stop

    @property
    def free_parameters(self) -> int:
        """The length of a position, without one entry along the axis of each softmax."""
        softmax = self.model.softmax
        return self.dim - sum(math.prod(s.shape) // s.shape[softmax[s.name]] for s in self.sites if s.name in softmax)

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The parameters, in the order of the declaration."""
        return tuple(site.name for site in self.sites)

    def log_density(self, position: Position, data: Data, guides: Guides, jacobian: bool = True) -> Array:
        """Log prior plus log likelihood; with ``jacobian`` as a density of the position, else of the constrained values."""
        params, log_density = self._walk(position, data, guides, jacobian)
        for term in self.model.log_likelihood(params, data).values():
            log_density = log_density + jnp.sum(term)
        return log_density

    def constrain(self, position: Position, data: Data, guides: Guides) -> Params:
        """The named values at ``position``."""
        return self._walk(position, data, guides)[0]

    def unconstrain(self, params: Mapping[str, Any], data: Data, guides: Guides) -> Position:
        """The position of named values."""
        values: Params = {}
        pieces = []
        for site in self.sites:
            value = jnp.asarray(params[site.name])
            prior = self.model.prior_of(site.name, values, data)
            pieces.append(jnp.ravel(unconstrain(prior, value, guides.get(site.name))))
            values[site.name] = value
        return jnp.concatenate(pieces)

    @property
    def label(self) -> str:
        """The name of the model."""
        return self.model.name

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of dimensions, as the model declares them."""
        return self.model.dims

    @property
    def coords(self) -> Mapping[str, Collection[Any]]:
        """Labels of dimensions, as the model declares them."""
        return self.model.coords

    @property
    def integrates(self) -> bool:
        """Whether the model has an adjustment for parameters that EM integrates over."""
        return self.model.adjustment is not None

    def derived(self, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        """The model's derived quantities."""
        return self.model.deterministic(params, data)

    def observed(self, params: Mapping[str, AnyArray], data: Data) -> dict[str, Distribution]:
        """The distribution of every observation."""
        return self.model.observed(params, data)

    def observation(self, name: str, params: Mapping[str, AnyArray], data: Data) -> Any:
        """The entry of the data under that name."""
        return data.get(name)

    def covariates(self, data: Data, observed: Collection[str]) -> dict[str, Any]:
        """The other entries of the data."""
        return {name: value for name, value in data.items() if name not in observed}

    def log_likelihood(self, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        """Pointwise log likelihood by observation."""
        return self.model.log_likelihood(params, data)

    def sample_observed(self, key: Key, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        """One predictive draw by observation."""
        return self.model.sample_observed(key, params, data)

    def log_densities(self, position: Position, data: Data, guides: Guides) -> dict[str, Array]:
        """The terms of `log_density` by parameter or observation, for messages."""
        params: Params = {}
        terms: dict[str, Array] = {}
        for site, z in self._pieces(position):
            params[site.name], terms[f"prior of {site.name!r}"] = self._site(site, z, params, data, guides)
        for name, term in self.model.log_likelihood(params, data).items():
            terms[f"likelihood of {name!r}"] = jnp.sum(term)
        return terms

    def initial_position(self, key: Key, data: Data, guides: Guides) -> Position:
        """A start of the model's own, or uniform(-2, 2)."""
        params = self.model.starting_params(key, data)
        return super().initial_position(key, data, guides) if params is None else self.unconstrain(params, data, guides)

    def log_prior(self, params: Params, data: Data) -> Array:
        """The log prior density of named values."""
        return self.model.log_prior(params, data)

    def expect(self, params: Params, data: Data, how: EStep, key: Key, draws: int) -> dict[str, Expected]:
        """The E-step: expected counts of latent labels or paths, by observation."""
        observed = self.model.observed(params, data)
        return {
            name: expect(d, data.get(name), how, jax.random.fold_in(key, i), draws)
            for i, (name, d) in enumerate(observed.items())
        }

    def expected_log_joint(self, params: Params, data: Data, expected: Mapping[str, Expected]) -> Array:
        """The objective of the M-step: log prior plus expected complete log likelihood, a scalar."""
        observed = self.model.observed(params, data)
        terms = [expected_log_prob(d, data.get(name), expected[name]) for name, d in observed.items()]
        joint = self.log_prior(params, data) + sum(terms, start=jnp.zeros(()))
        adjustment = self.adjustment(params, data, expected)
        return joint if adjustment is None else joint + adjustment

    def adjustment(self, params: Params, data: Data, expected: Mapping[str, Expected]) -> Array | None:
        """What EM adds to the log joint, if the model integrates over some parameters."""
        adjust = self.model.adjustment
        return None if adjust is None else adjust(Namespace("parameter", params), as_namespace(data), expected)

    def m_step(self, params: Params, data: Data, expected: Mapping[str, Expected]) -> Params | None:
        """The M-step in closed form, if the model has one."""
        updates = self.model.m_step
        return None if updates is None else apply_m_step(updates, params, as_namespace(data), expected)

    def _walk(self, position: Position, data: Data, guides: Guides, jacobian: bool = True) -> tuple[Params, Array]:
        params: Params = {}
        log_density = jnp.zeros((), position.dtype)
        for site, z in self._pieces(position):
            params[site.name], term = self._site(site, z, params, data, guides, jacobian)
            log_density = log_density + term
        return params, log_density

    def _pieces(self, position: Position) -> list[tuple[Site, Array]]:
        # The gradient of a split is a concatenation. That of slices is a sum of padded arrays, into which XLA pulls the rest of the
        # gradient and then computes it element by element: up to three times the time.
        pieces = jax.lax.split(position, [site.stop - site.start for site in self.sites])
        return list(zip(self.sites, pieces, strict=True))

    def _site(
        self, site: Site, z: Array, params: Params, data: Data, guides: Guides, jacobian: bool = True
    ) -> tuple[Array, Array]:
        z = z.reshape(site.unconstrained)
        prior = self.model.prior_of(site.name, params, data)
        value, log_density = constrain(prior, z, guides.get(site.name))
        return value, log_density if jacobian else jnp.sum(prior.log_prob(value))
