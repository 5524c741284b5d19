"""Mixture density networks (Bishop 1994): a neural network whose outputs are the parameters of a mixture."""

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxlatent.distributions.mixture import Mixture
from jaxlatent.errors import require
from jaxlatent.model.model import Model
from jaxlatent.model.pickling import family
from jaxlatent.models.network import Network
from jaxlatent.models.one_output import with_columns
from jaxlatent.models.parts import floored_scale
from jaxlatent.models.settings import require_count
from jaxlatent.typing import Array


class MixtureDensityNetwork(nn.Module):
    """A network from inputs ``(..., num_inputs)`` to a mixture of normals, a `numpyro.distributions.MixtureSameFamily`.

    Attributes:
        num_components: of the mixture.
        num_outputs: ``Q``; 1 for scalar observations, of event shape ``()``, otherwise ``(Q,)``.
        hidden: widths of the hidden layers.
        activation: between layers.
        covariance: of each component: "diagonal" or "full".
        scale_floor: minimum standard deviation of each output; with full covariances, conditional on the outputs before it.
    """

    num_components: int
    num_outputs: int = 1
    hidden: tuple[int, ...] = (20,)
    activation: Callable[[Array], Array] = jnp.tanh
    covariance: Literal["diagonal", "full"] = "diagonal"
    scale_floor: float = 0.01

    @nn.compact
    def __call__(self, x: Array) -> dist.MixtureSameFamily:
        """The mixture, of batch shape ``(...)``."""
        leading, components, outputs = x.shape[:-1], self.num_components, self.num_outputs
        x = x.reshape(-1, x.shape[-1]).T
        for i, width in enumerate(self.hidden):
            x = self.activation(FeaturesFirst(width, name=f"hidden_{i}")(x))
        below = outputs * (outputs - 1) // 2 if self.covariance == "full" else 0
        heads = FeaturesFirst(components * (1 + 2 * outputs + below), name="heads")(x)
        logits, means, log_scales, rest = jnp.split(heads, components * np.array([1, 1 + outputs, 1 + 2 * outputs]))
        rows: Callable[[Array], Array] = lambda flat: jnp.moveaxis(
            flat.reshape(-1, components, *leading), (0, 1), (-1, -2)
        )
        means = rows(means)
        scales = rows(floored_scale(log_scales, self.scale_floor))
        if outputs == 1:
            normals: Any = dist.Normal(means[..., 0], scales[..., 0])
        elif self.covariance == "full":
            index = jnp.tril_indices(outputs, -1)
            factor = (scales[..., None] * jnp.eye(outputs)).at[..., *index].set(rows(rest))
            normals = dist.MultivariateNormal(means, scale_tril=factor)
        else:
            normals = dist.Normal(means, scales).to_event(1)
        return Mixture(dist.Categorical(logits=rows(logits)[..., 0]), normals)


class FeaturesFirst(nn.Module):
    """A dense layer from ``(inputs, N)`` to ``(width, N)``.

    With the rows last, memory access is contiguous, and sums over a few components are sums of long vectors: 5,000 epochs took 0.37 s, but
    0.96 s with `flax.linen.Dense` and one head per kind of parameter.

    Attributes:
        width: of the output.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """``kernel @ x + bias``."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(-1, -2), (self.width, x.shape[0]))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        return kernel @ x + bias[:, None]


@family
def mixture_density_network(
    num_components: int,
    num_inputs: int,
    num_outputs: int = 1,
    hidden: tuple[int, ...] = (20,),
    prior_scale: float | None = None,
    *,
    activation: Callable[[Array], Array] = jnp.tanh,
    covariance: Literal["diagonal", "full"] = "diagonal",
    scale_floor: float = 0.01,
) -> Model:
    """A `MixtureDensityNetwork` as a model of ``y`` given ``x``, with a flat or normal prior on the weights.

    Lanes start from Flax's initial weights. Standardise ``x`` and ``y`` to mean 0 and standard deviation 1, since the network does not
    (`jaxlatent.Result.check` reports data far from it).

    Args:
        num_components: of the mixture.
        num_inputs: data ``x`` ``(N, num_inputs)``.
        num_outputs: ``Q``: data ``y`` ``(N, Q)``, for 1 also ``(N,)``; predictions have the shape of ``y``.
        hidden: widths of the hidden layers.
        prior_scale: of the normal prior of all weights and biases; None is flat.
        activation: between layers.
        covariance: see `MixtureDensityNetwork`.
        scale_floor: see `MixtureDensityNetwork`.
    """
    for name, value in (("num_components", num_components), ("num_inputs", num_inputs), ("num_outputs", num_outputs)):
        require_count(f"mixture_density_network({name}=...)", value)
    known = ("diagonal", "full")
    require(covariance in known, "mixture_density_network(covariance=...)", got=covariance, expected=f"one of {known}")
    require(scale_floor > 0, "mixture_density_network(scale_floor=...)", got=scale_floor, expected="a positive number")
    module = MixtureDensityNetwork(num_components, num_outputs, tuple(hidden), activation, covariance, scale_floor)
    network = Network(module, num_inputs, prior_scale)
    model = Model(
        prior=network.prior(),
        likelihood=lambda p, d: {"y": network.apply(p, d.x)},
        start=lambda key, d: network.start(key),
        row_wise=True,
        name=f"mixture density network of {num_components}",
        key=("mixture_density_network", network),
    )
    return with_columns(model) if num_outputs == 1 else model
