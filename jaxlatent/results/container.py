"""Containers of ArviZ 0.2x (`InferenceData`) and 1.x (`DataTree`) from named arrays."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jaxlatent._compat.arviz import is_former_arviz

if TYPE_CHECKING:
    import xarray as xr

Dims = Mapping[str, tuple[str, ...]]


def dataset(
    values: Mapping[str, np.ndarray], leading: tuple[str, ...], dims: Dims, coords: Mapping[str, Sequence[Any]]
) -> "xr.Dataset":
    """Named arrays as an xarray dataset.

    Args:
        values: each leads with the axes ``leading``.
        leading: names of these axes, "dataset" first if there is one; it comes after chain and draw in the returned dataset.
        dims: names of the other axes by variable, by default ``name_dim_0``, ``name_dim_1``, ...; a dimension with the name of a
            variable is renamed to ``name_dim``.
        coords: labels by dimension, by default 0, 1, ...
    """
    import xarray as xr

    variables: dict[str, Any] = {}
    used: dict[str, tuple[str, int]] = {}
    for name, value in values.items():
        value = np.asarray(value)
        own = value.shape[len(leading) :]
        names = dims.get(name) or tuple(f"{name}_dim_{i}" for i in range(len(own)))
        # In xarray a variable with the name of a dimension is its coordinate.
        axes = (*leading, *(f"{dim}_dim" if dim in values else dim for dim in names))
        variables[name] = xr.Variable(axes, value)
        used.update(zip(axes, zip((*leading, *names), value.shape, strict=True), strict=True))
    labels = {axis: list(coords.get(dim, range(length))) for axis, (dim, length) in used.items()}
    made = xr.Dataset(variables, coords=labels)
    if "dataset" in leading:
        order = [dim for dim in (*[d for d in leading if d != "dataset"], "dataset") if dim in made.dims]
        made = made.transpose(*order, ...)
    return made


def inference_data(groups: Mapping[str, "xr.Dataset"]) -> Any:
    """Groups as ArviZ's container: `arviz.InferenceData` with 0.2x, `xarray.DataTree` with 1.x."""
    # Lazy import: with Matplotlib and pandas these take as long as everything else together.
    import arviz as az
    import xarray as xr

    groups = {name: group for name, group in groups.items() if group.variables}
    if is_former_arviz():
        return az.InferenceData(**cast(Any, groups))
    return xr.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})
