"""`from_log_density`: the posterior of a bare log density function."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import biject_to, constraints

from jaxlatent.data.batches import Batch
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.model.pickling import ByValue
from jaxlatent.posterior.density import Density, Guides
from jaxlatent.posterior.posterior import Posterior, batched
from jaxlatent.typing import Array, Params, Position, PyTree


@dataclass(frozen=True)
class FunctionDensity(ByValue, Density):
    """The density of a bare function of named, constrained values.

    Args:
        function: ``params, *args -> log density``.
        names: of the parameters, in the order of the position.
        shapes: constrained, by parameter.
        supports: constraints, by parameter.
        bare: whether ``function`` takes one array instead of a dict.
    """

    function: Callable[..., Array]
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    supports: tuple[Any, ...]
    bare: bool

    @property
    def dim(self) -> int:
        """The length of a position."""
        return sum(math.prod(shape) for shape in self._unconstrained_shapes)

    @property
    def _unconstrained_shapes(self) -> list[tuple[int, ...]]:
        return [
            biject_to(support).inverse_shape(shape) for support, shape in zip(self.supports, self.shapes, strict=True)
        ]

    def log_density(self, position: Position, data: PyTree, guides: Guides, jacobian: bool = True) -> Array:
        """The function at the constrained values, plus the Jacobian if asked for."""
        params, log_det = self._walk(position)
        value = self.function(params["position"] if self.bare else params, *data)
        return value + log_det if jacobian else value

    def constrain(self, position: Position, data: PyTree, guides: Guides) -> Params:
        """The named values at ``position``."""
        return self._walk(position)[0]

    def unconstrain(self, params: Mapping[str, Any], data: PyTree, guides: Guides) -> Position:
        """The position of named values."""
        pieces = [
            biject_to(support).inv(jnp.asarray(params[name]))
            for name, support in zip(self.names, self.supports, strict=True)
        ]
        return jnp.concatenate([jnp.ravel(piece) for piece in pieces])

    def _walk(self, position: Position) -> tuple[Params, Array]:
        params: Params = {}
        log_det = jnp.zeros((), position.dtype)
        start = 0
        for name, support, shape in zip(self.names, self.supports, self._unconstrained_shapes, strict=True):
            bijector = biject_to(support)
            z = position[start : start + math.prod(shape)].reshape(shape)
            params[name] = bijector(z)
            log_det = log_det + jnp.sum(bijector.log_abs_det_jacobian(z, params[name]))
            start += math.prod(shape)
        return params, log_det


def from_log_density(
    fn: Callable[..., Array],
    template: PyTree,
    support: Mapping[str, Any] | None = None,
    args: tuple[Any, ...] | Batch = (),
) -> Posterior:
    """A posterior from a bare log density, for every engine.

    Args:
        fn: ``params, *args -> log density`` (a scalar, up to a constant). ``params`` has the structure of ``template``.
        template: a dict of name to array (or of shapes as `jax.ShapeDtypeStruct`), or one array; only shapes are read.
        support: by name, the NumPyro constraint of a parameter that does not live on the real line.
        args: further arrays for ``fn``; they are traced, so other values of the same shapes compile nothing. Or a `Batch`, for a batched
            posterior of ``fn(params, data)`` where ``data`` is the dict of one dataset.

    Raises:
        InputError: if ``support`` names a parameter that ``template`` lacks, or the log density is not a scalar.
    """
    bare = not isinstance(template, Mapping)
    named = {"position": template} if bare else dict(template)
    support = dict(support or {})
    for name in support:
        if name not in named:
            raise InputError(
                "from_log_density(support=...)",
                got=f"a support for {name!r}",
                expected=f"only names of the template: {list(named)}",
                remedy=did_you_mean(name, named),
            )
    density = FunctionDensity(
        fn,
        tuple(named),
        tuple(tuple(jnp.shape(value)) for value in named.values()),
        tuple(support.get(name, constraints.real) for name in named),
        bare,
    )
    one = (args.checked()[0],) if isinstance(args, Batch) else tuple(jax.tree.map(jnp.asarray, arg) for arg in args)
    out = jax.eval_shape(density.log_density, jax.ShapeDtypeStruct((density.dim,), jnp.result_type(float)), one, {})
    if out.shape != ():
        raise InputError(
            "from_log_density(fn, ...)",
            got=f"an array of shape {out.shape}",
            expected="a scalar log density",
            remedy="sum over observations inside fn.",
        )
    return batched(density, (args.data,), args.names) if isinstance(args, Batch) else Posterior(density, one)
