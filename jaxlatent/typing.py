"""Aliases for arrays and keys, used in every signature of the package.

``Float[Array, "T K B"]`` names the kind of number and the shape (jaxtyping).
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

Array: TypeAlias = jax.Array
#: An array of JAX or of NumPy: what works on the host and in compiled programs alike.
AnyArray: TypeAlias = jax.Array | np.ndarray
#: A typed JAX key (`jax.random.key`).
Key: TypeAlias = jax.Array
#: Named, constrained values: ``{"alpha": (7,), "sigma": ()}``.
Params: TypeAlias = dict[str, Array]
#: Observed values and covariates of one dataset.
Data: TypeAlias = Mapping[str, Any]
#: A flat vector in unconstrained space, shape ``(dim,)``.
Position: TypeAlias = jax.Array
PyTree: TypeAlias = Any
#: A leaf of a pytree: an array of JAX or NumPy, a shape in its place, or a tracer.
Leaf: TypeAlias = Any
#: A pytree returned with unchanged structure.
SamePyTree = TypeVar("SamePyTree")
LogDensity: TypeAlias = Callable[[Position], Array]

__all__ = [
    "AnyArray",
    "Array",
    "ArrayLike",
    "Bool",
    "Data",
    "Float",
    "Int",
    "Key",
    "Leaf",
    "LogDensity",
    "Params",
    "Position",
    "PyTree",
    "SamePyTree",
]
