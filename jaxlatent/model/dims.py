"""Checks of named dimensions and coordinate labels, before a fit."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jaxlatent.data.tables import TableBatch, TableData
from jaxlatent.errors import InputError, did_you_mean

#: Axes that results lead with.
_TAKEN = ("dataset", "chain", "draw", "lane")

Shapes = Mapping[str, tuple[int, ...]]


def check_dims(dims: Mapping[str, Sequence[str]], shapes: Shapes, coords: Mapping[str, Sequence[Any]]) -> None:
    """Check that named dimensions agree with shapes and with each other, and coordinates with their lengths.

    Args:
        dims: by parameter, derived quantity or observation; the dimensions of others are called ``name_dim_0``, ...
        shapes: of parameters, derived quantities and observations.
        coords: labels by dimension.

    Raises:
        InputError: naming the dimension.
    """
    for name in dims:
        if name not in shapes:
            raise InputError(
                f"Model(dims=...) for {name!r}",
                got=f"a name that is not among {sorted(shapes)}",
                expected="a parameter, derived quantity or observation",
                remedy=did_you_mean(name, shapes),
            )
    lengths: dict[str, tuple[int, str]] = {}
    for name, shape in shapes.items():
        own = tuple(dims.get(name) or (f"{name}_dim_{i}" for i in range(len(shape))))
        _check_names(name, own, shape)
        for dim, length in zip(own, shape, strict=True):
            known, first = lengths.setdefault(dim, (length, name))
            if known != length:
                raise InputError(
                    f"Model(dims=...) for {name!r}",
                    got=f"{dim!r} of length {length}",
                    expected=f"{known}, its length in {first!r}",
                    remedy="give dimensions of unequal length different names.",
                )
    for dim, labels in coords.items():
        if dim not in lengths:
            raise InputError(
                f"coords[{dim!r}]",
                got="labels of an unknown dimension",
                expected=f"a dimension of the model: {sorted(lengths)}",
                remedy=did_you_mean(dim, lengths) + " Name dimensions in Model(dims=...), or by plates in NumPyro.",
            )
        length, name = lengths[dim]
        if len(labels) != length:
            raise InputError(
                f"coords[{dim!r}]",
                got=f"{len(labels)} labels",
                expected=f"{length}, the length of that axis of {name!r}",
                remedy="give one label for each position.",
            )


def coords_for(model: Any, data: Any, given: Mapping[str, Sequence[Any]] | None) -> dict[str, list[Any]]:
    """The coordinate labels of a fit: those given, then the model's, then those that the data carry for dimensions of the model."""
    named = {dim for dims in getattr(model, "dims", {}).values() for dim in dims}
    carried = {dim: values for dim, values in carried_coords(data).items() if dim in named}
    declared = getattr(model, "coords", {})
    return {**carried, **{name: list(values) for name, values in {**declared, **(given or {})}.items()}}


def carried_coords(data: Any) -> dict[str, list[Any]]:
    """The labels that data from a table carry, also of what no parameter has a dimension for, such as sequences."""
    carried = data.coords if isinstance(data, TableData | TableBatch) else {}
    return {dim: list(values) for dim, values in carried.items()}


def _check_names(name: str, dims: Collection[str], shape: tuple[int, ...]) -> None:
    problem = None
    if len(dims) != len(shape):
        problem = (f"{len(dims)} dimensions {tuple(dims)}", f"one name for each axis of shape {shape}")
    elif len(set(dims)) < len(dims):
        problem = (f"{tuple(dims)}", "another name for each axis")
    elif taken := [dim for dim in dims if dim in _TAKEN]:
        problem = (f"{taken[0]!r}", f"names that no axis of a result has: {', '.join(_TAKEN)} are taken")
    if problem:
        raise InputError(
            f"Model(dims=...) for {name!r}",
            got=problem[0],
            expected=problem[1],
            remedy="give every axis after chain and draw a different name.",
        )
