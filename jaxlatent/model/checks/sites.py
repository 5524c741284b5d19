"""The places in a program where a computed index is used: JAX silently clips or drops indices out of range there."""

from typing import Literal as Choice
from typing import NamedTuple

import numpy as np
from jax.extend.core import Literal
from jax.lax import GatherScatterMode

from jaxlatent.model.checks.program import INDICES, MOVES, Atom, Branches, Equation, Program, is_variable

#: What the index does: read from an axis, write to it, or choose a branch.
Use = Choice["read", "write", "branch"]

_MOVES = MOVES | {"convert_element_type"}


class Site(NamedTuple):
    """A place where an index is used.

    Attributes:
        given: the variable of the index as the model computes it, negative if counted from the end.
        used: the variable, of the same shape, that is used: JAX adds the length to a negative index.
        column: the entry along the last axis of ``given`` that belongs to this site; None for all.
        length: of the axis, or the number of branches.
        size: consecutive entries of the axis per index, above 1 for slices.
        operand: the indexed array.
        result: the first output of the equation.
        use: read, write or branch.
    """

    given: int
    used: int
    column: int | None
    length: int
    size: int
    operand: Atom
    result: int
    use: Use


def sites_of(program: Program) -> list[Site]:
    """Every site of ``program``, also inside loops and branches, except those with an explicit mode for indices out of range."""
    producers = {output: equation for equation in program.equations for output in equation.outputs}
    found = []
    for equation in program.equations:
        if equation.primitive.name in INDICES:
            found += _index_sites(equation, producers)
        elif equation.primitive.name == "clamp":
            found += _branch_sites(equation, program)
        for inner in equation.inner.programs if equation.inner else ():
            found += sites_of(inner)
    return found


class _Axis(NamedTuple):
    """The axis that a column of an index array indexes."""

    input: int
    column: int
    axis: int
    size: int


def _index_sites(equation: Equation, producers: dict[int, Equation]) -> list[Site]:
    name, shape = equation.primitive.name, equation.avals[0].shape
    found = []
    for input_, column, axis, size in _axes(equation):
        atom = equation.inputs[input_]
        if not is_variable(atom):
            continue
        width = _width(equation, input_)
        wrapping = _wrapping_of(atom, column, width, producers)
        result = equation.outputs[0]
        use: Use = "write" if "update" in name or "scatter" in name else "read"
        if wrapping and wrapping[2] == shape[axis]:
            found.append(Site(*wrapping[:2], None, shape[axis], size, equation.inputs[0], result, use))
        else:
            whole = None if width == 1 else column
            found.append(
                Site(producers[atom].inputs[0], atom, whole, shape[axis], size, equation.inputs[0], result, use)
            )
    return found


def _axes(equation: Equation) -> list[_Axis]:
    """The axes that an equation indexes, except those with an explicit mode for indices out of range."""
    name, params = equation.primitive.name, equation.params
    if name in ("dynamic_slice", "dynamic_update_slice"):
        first = INDICES[name].start
        sizes = params["slice_sizes"] if name == "dynamic_slice" else equation.avals[1].shape
        return [_Axis(first + axis, 0, axis, size) for axis, size in enumerate(sizes)]
    numbers = params["dimension_numbers"]
    if name == "gather":
        axes, single, sizes = numbers.start_index_map, numbers.collapsed_slice_dims, params["slice_sizes"]
        if _fills(equation):
            return []
    else:
        axes, single = numbers.scatter_dims_to_operand_dims, numbers.inserted_window_dims
        windows = iter(equation.avals[2].shape[axis] for axis in numbers.update_window_dims)
        unit = {*single, *numbers.operand_batching_dims}
        sizes = [1 if axis in unit else next(windows) for axis in range(len(equation.avals[0].shape))]
    # Slices under `jax.vmap` have mode CLIP too, but their axes are not collapsed.
    clipped = set(single) if params["mode"] == GatherScatterMode.CLIP else set()
    return [_Axis(1, i, int(axis), int(sizes[axis])) for i, axis in enumerate(axes) if axis not in clipped]


def _fills(equation: Equation) -> bool:
    """Whether a gather has an explicit fill value; JAX's default is NaN, or the extreme integer."""
    fill, dtype = equation.params["fill_value"], equation.avals[0].dtype
    if fill is None or equation.params["mode"] != GatherScatterMode.FILL_OR_DROP:
        return False
    if dtype.kind == "b":
        return False
    if np.issubdtype(dtype, np.integer):
        return bool(fill != (np.iinfo(dtype).min if np.issubdtype(dtype, np.signedinteger) else np.iinfo(dtype).max))
    return not np.isnan(fill)


def _width(equation: Equation, input_: int) -> int:
    """The number of columns of an index array."""
    return equation.avals[input_].shape[-1] if equation.avals[input_].shape else 1


def _wrapping_of(atom: Atom, column: int, width: int, producers: dict[int, Equation]) -> tuple[int, int, int] | None:
    """``(i, wrapped, length)`` if a column of ``atom`` is an index ``i`` that JAX wrapped by adding the length if negative."""
    while is_variable(atom) and atom in producers:
        equation = producers[atom]
        if found := _wrapping(equation, producers):
            return found
        name = equation.primitive.name
        if name == "concatenate" and width > 1 and equation.params["dimension"] == len(equation.avals[0].shape) - 1:
            for atom, aval in zip(equation.inputs, equation.avals, strict=True):  # noqa: B007
                width = aval.shape[-1]
                if column < width:
                    break
                column -= width
        elif name in _MOVES and (width == 1 or equation.avals[0].shape[-1:] == (width,)):
            atom = equation.inputs[0]
        else:
            return None
    return None


def _wrapping(equation: Equation, producers: dict[int, Equation]) -> tuple[int, int, int] | None:
    """``(i, wrapped, length)`` if ``equation`` selects ``i + length`` where ``i < 0``, and ``i`` elsewhere."""
    if equation.primitive.name != "select_n" or len(equation.inputs) != 3:
        return None
    below, index, shifted = equation.inputs
    if not all(is_variable(atom) and atom in producers for atom in (below, shifted)) or not is_variable(index):
        return None
    test, sum_ = producers[below], producers[shifted]
    if test.primitive.name != "lt" or sum_.primitive.name != "add":
        return None
    (tested, zero), (added, length) = test.inputs, sum_.inputs
    same = _unconverted(tested, producers) == _unconverted(added, producers) == _unconverted(index, producers)
    if not same or not isinstance(zero, Literal) or not isinstance(length, Literal) or zero.val != 0:
        return None
    return index, equation.outputs[0], int(length.val)


def _unconverted(atom: Atom, producers: dict[int, Equation]) -> Atom:
    while is_variable(atom) and atom in producers and producers[atom].primitive.name == "convert_element_type":
        atom = producers[atom].inputs[0]
    return atom


def _branch_sites(equation: Equation, program: Program) -> list[Site]:
    """The site of a `jax.lax.switch`, which clamps the branch index; under `jax.vmap` all branches run and one is selected."""
    low, index, high = equation.inputs
    if not is_variable(index) or not isinstance(low, Literal) or not isinstance(high, Literal) or np.any(low.val != 0):
        return []
    moved = {equation.outputs[0]}
    for other in program.equations:
        if not other.inputs or not is_variable(other.inputs[0]) or other.inputs[0] not in moved:
            continue
        if other.primitive.name in _MOVES:
            moved.update(other.outputs)
        else:
            selects = other.primitive.name == "select_n" and len(other.inputs) - 1
            count = len(other.inner.programs) if isinstance(other.inner, Branches) else selects
            if count and count == int(high.val) + 1:
                return [Site(index, equation.outputs[0], None, count, 1, None, other.outputs[0], "branch")]
    return []
