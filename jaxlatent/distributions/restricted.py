"""`Restricted`: a prior with some entries held at values or tied to each other."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import biject_to, constraints
from numpyro.distributions.transforms import Transform

from jaxlatent.distributions.supports import entry_support
from jaxlatent.errors import InputError
from jaxlatent.typing import Array, ArrayLike, Key

#: The group of held entries.
HELD = -1


class Restricted(dist.Distribution):
    """``base`` restricted to held and tied entries: its density, not normalised, with coordinates for free values only.

    Args:
        base: a prior with an elementwise support.
        groups: group number of each entry in order: entries of a group share one value, those of group -1 are held.
        held: values of the held entries, of the shape of ``base``.

    Raises:
        InputError: if the support is not elementwise, such as a simplex.
    """

    pytree_data_fields = ("base", "held")
    pytree_aux_fields = ("groups",)

    def __init__(self, base: dist.Distribution, groups: tuple[int, ...], held: Array):
        if _entrywise(base.support) is None:
            raise InputError(
                f"a prior with held or tied entries, {type(base).__name__}",
                got=f"values in {base.support}",
                expected="an elementwise support",
                remedy="hold the whole parameter, or declare the entries as separate parameters.",
            )
        self.base, self.groups, self.held = base, groups, held
        super().__init__((), base.shape())

    @property
    def support(self) -> constraints.Constraint:
        """The support of ``base`` under the restriction."""
        return _Restriction(_entrywise(self.base.support), self.groups, self.held)

    def log_prob(self, value: ArrayLike) -> Array:
        """The log density of ``base``, a scalar."""
        return jnp.sum(self.base.log_prob(value))

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws of ``base`` with tied and held entries."""
        return _restrict(self.base.sample(key, sample_shape), self.groups, self.held)


class _Restriction(constraints.Constraint):
    """Values whose entries satisfy ``entry``, tied by ``groups`` or ``held``."""

    event_dim = property(lambda self: self.held.ndim)

    def __init__(self, entry: constraints.Constraint, groups: tuple[int, ...], held: Array):
        self.entry, self.groups, self.held = entry, groups, held

    def __call__(self, value: Array) -> Array:
        return jnp.all(self.entry(value), tuple(range(-self.event_dim, 0)))

    def feasible_like(self, prototype: Array) -> Array:
        return _restrict(self.entry.feasible_like(prototype), self.groups, self.held)


@biject_to.register(_Restriction)
class _Expand(Transform):
    """The bijector from unconstrained free values ``(G,)`` to all entries."""

    domain = constraints.real_vector
    codomain = property(lambda self: self.restriction)

    def __init__(self, restriction: _Restriction):
        self.restriction, self.entry = restriction, biject_to(restriction.entry)
        self.first, self.index = _group_indices(restriction.groups)

    def __call__(self, x: Array) -> Array:
        return _hold(self.entry(self._expand(x)), self.restriction.groups, self.restriction.held)

    def _inverse(self, y: Array) -> Array:
        return self._pick(self.entry.inv(y))

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        spread = self._expand(x)
        return jnp.sum(self._pick(self.entry.log_abs_det_jacobian(spread, self.entry(spread))), -1)

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-1], *self.restriction.held.shape)

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[: len(shape) - self.restriction.event_dim], len(self.first))

    def _expand(self, x: Array) -> Array:
        padded = jnp.concatenate([x, jnp.zeros_like(x, shape=(*x.shape[:-1], 1))], -1)
        return padded[..., self.index].reshape(*x.shape[:-1], *self.restriction.held.shape)

    def _pick(self, y: Array) -> Array:
        return y.reshape(*y.shape[: y.ndim - self.restriction.event_dim], -1)[..., self.first]


def _entrywise(support: constraints.Constraint | None) -> constraints.Constraint | None:
    """The elementwise constraint of a support; None if it is not elementwise."""
    support = entry_support(support)
    return support if support is not None and support.event_dim == 0 else None


def _group_indices(groups: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The first entry of each free group, and the group index of each entry; held entries get the index after the last."""
    names, first, index = np.unique(groups, return_index=True, return_inverse=True)
    free = names != HELD
    return first[free], np.where(free[index], np.cumsum(free)[index] - 1, free.sum())


def _hold(value: Array, groups: tuple[int, ...], held: Array) -> Array:
    return jnp.where(np.reshape(groups, held.shape) == HELD, held, value)


def _restrict(value: Array, groups: tuple[int, ...], held: Array) -> Array:
    """Set every entry to the value of the first of its group, or to its held value."""
    first, index = _group_indices(groups)
    flat = value.reshape(*value.shape[: value.ndim - held.ndim], -1)
    tied = flat[..., np.append(first, 0)[index]].reshape(value.shape)
    return _hold(tied, groups, held)
