"""Containers of ArviZ 0.2x (`InferenceData`) and 1.x (`DataTree`) from named arrays."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jaxlatent._compat.arviz import is_former_arviz
from jaxlatent.store.axes import Dims, axes_of

if TYPE_CHECKING:
    import xarray as xr


def dataset(
    values: Mapping[str, np.ndarray], leading: tuple[str, ...], dims: Dims, coords: Mapping[str, Sequence[Any]]
) -> "xr.Dataset":
    """Named arrays as an xarray dataset.

    Args:
        values: each leads with the axes ``leading``.
        leading: names of these axes, "dataset" first if there is one; it comes after chain and draw in the returned dataset.
        dims, coords: see `jaxlatent.store.axes.axes_of`.
    """
    import xarray as xr

    arrays = {name: np.asarray(value) for name, value in values.items()}
    axes, labels = axes_of({name: value.shape for name, value in arrays.items()}, leading, dims, coords)
    variables = {name: xr.Variable(axes[name], value) for name, value in arrays.items()}
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
