"""`Network`: any Flax module as a part of a `jaxlatent.Model`, with its weights as named parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxlatent.models.coefficients import require_inputs
from jaxlatent.typing import AnyArray, Array, Key, Params


@dataclass(frozen=True)
class Network:
    """A module of inputs ``(..., num_inputs)`` whose weights are parameters named ``layer.kernel``, ``layer.bias``.

    Args:
        module: a Flax (linen) module; hashable, so with tuples instead of lists.
        num_inputs: length of the last axis of its argument.
        prior_scale: of the normal prior of every weight; None is flat.
    """

    module: nn.Module
    num_inputs: int
    prior_scale: float | None = None

    def prior(self) -> dict[str, dist.Distribution]:
        """The prior of every weight, by name."""
        return {name: self._prior_of(shape) for name, shape in _shapes(self.module, self.num_inputs).items()}

    def start(self, key: Key) -> Params:
        """Weights as Flax initialises them."""
        return _flat(self.module.init(key, jnp.zeros((1, self.num_inputs))))

    def apply(self, p: Mapping[str, AnyArray], x: Array) -> Any:
        """Apply the module to ``x`` with the weights in ``p``.

        Raises:
            InputError: if ``x`` does not end with ``num_inputs``.
        """
        require_inputs(x, self.num_inputs)
        weights = {name: p[name] for name in _shapes(self.module, self.num_inputs)}
        return self.module.apply({"params": unflatten_dict(weights, sep=".")}, x)

    def _prior_of(self, shape: tuple[int, ...]) -> dist.Distribution:
        if self.prior_scale is None:
            return dist.ImproperUniform(dist.constraints.real, (), shape)
        return dist.Normal(0.0, self.prior_scale).expand(shape).to_event(len(shape))


@cache
def _shapes(module: nn.Module, num_inputs: int) -> dict[str, tuple[int, ...]]:
    inputs = jax.ShapeDtypeStruct((1, num_inputs), jnp.result_type(float))
    weights = jax.eval_shape(module.init, jax.random.key(0), inputs)
    return {name: value.shape for name, value in _flat(weights).items()}


def _flat(variables: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = flatten_dict(variables["params"], sep=".")
    return flat
