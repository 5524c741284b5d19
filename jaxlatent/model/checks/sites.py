"""Where a computed index enters an axis, or chooses a branch: JAX clips all of these, or drops what is out of range, in silence."""

from typing import Literal as Choice
from typing import NamedTuple

import numpy as np
from jax.extend.core import Literal
from jax.lax import GatherScatterMode

from jaxlatent.model.checks.program import INDICES, MOVES, Atom, Branches, Equation, Program, is_variable

#: What is done there: an axis is read; it is written to; a branch is taken.
Use = Choice["read", "write", "branch"]

_MOVES = MOVES | {"convert_element_type"}


class Site(NamedTuple):
    """A place where an index is used.

    Attributes:
        given: the variable that holds it, as the model computes it: negative where it counts from the end.
        used: the variable, of the same shape, that the use reads: JAX adds the length to a negative index.
        column: the entry along the last axis of ``given`` that belongs to this site; None if all do.
        length: of the axis, or the number of branches.
        size: entries of the axis that one index stands for, in a row.
        operand: what is indexed.
        result: the first variable that the use sets.
        use: what is done.
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
    """Every site of ``program``, those within loops and branches too, but where the caller said what to do out of range."""
    made = {output: equation for equation in program.equations for output in equation.outputs}
    found = []
    for equation in program.equations:
        if equation.primitive.name in INDICES:
            found += _indexing(equation, made)
        elif equation.primitive.name == "clamp":
            found += _choosing(equation, program)
        for inner in equation.inner.programs if equation.inner else ():
            found += sites_of(inner)
    return found


class _Axis(NamedTuple):
    """Which axis a column of an index array stands for."""

    input: int
    column: int
    axis: int
    size: int


def _indexing(equation: Equation, made: dict[int, Equation]) -> list[Site]:
    name, shape = equation.primitive.name, equation.avals[0].shape
    found = []
    for input_, column, axis, size in _axes(equation):
        atom = equation.inputs[input_]
        if not is_variable(atom):
            continue
        width = _width(equation, input_)
        wrapping = _wrapping_of(atom, column, width, made)
        result = equation.outputs[0]
        use: Use = "write" if "update" in name or "scatter" in name else "read"
        if wrapping and wrapping[2] == shape[axis]:
            found.append(Site(*wrapping[:2], None, shape[axis], size, equation.inputs[0], result, use))
        else:
            whole = None if width == 1 else column
            found.append(Site(made[atom].inputs[0], atom, whole, shape[axis], size, equation.inputs[0], result, use))
    return found


def _axes(equation: Equation) -> list[_Axis]:
    """The axes that an equation indexes, those left out where the caller said what to do out of range."""
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
        apart = {*single, *numbers.operand_batching_dims}
        sizes = [1 if axis in apart else next(windows) for axis in range(len(equation.avals[0].shape))]
    # Slices under `jax.vmap` clip too, but keep their axes.
    clipped = set(single) if params["mode"] == GatherScatterMode.CLIP else set()
    return [_Axis(1, i, int(axis), int(sizes[axis])) for i, axis in enumerate(axes) if axis not in clipped]


def _fills(equation: Equation) -> bool:
    """Whether a gather was told what to return out of range: JAX's own choice is NaN, or the extreme integer."""
    fill, dtype = equation.params["fill_value"], equation.avals[0].dtype
    if fill is None or equation.params["mode"] != GatherScatterMode.FILL_OR_DROP:
        return False
    if dtype.kind == "b":
        return False
    if np.issubdtype(dtype, np.integer):
        return bool(fill != (np.iinfo(dtype).min if np.issubdtype(dtype, np.signedinteger) else np.iinfo(dtype).max))
    return not np.isnan(fill)


def _width(equation: Equation, input_: int) -> int:
    """Columns of an index array; a slice has an input for each."""
    return equation.avals[input_].shape[-1] if equation.avals[input_].shape else 1


def _wrapping_of(atom: Atom, column: int, width: int, made: dict[int, Equation]) -> tuple[int, int, int] | None:
    """``(i, wrapped, length)`` if a column of ``atom`` is an index ``i`` to which JAX added the length where it is negative."""
    while is_variable(atom) and atom in made:
        equation = made[atom]
        if found := _wrapping(equation, made):
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


def _wrapping(equation: Equation, made: dict[int, Equation]) -> tuple[int, int, int] | None:
    """``(i, wrapped, length)`` if ``equation`` selects ``i + length`` where ``i < 0``, and ``i`` elsewhere."""
    if equation.primitive.name != "select_n" or len(equation.inputs) != 3:
        return None
    below, index, shifted = equation.inputs
    if not all(is_variable(atom) and atom in made for atom in (below, shifted)) or not is_variable(index):
        return None
    test, sum_ = made[below], made[shifted]
    if test.primitive.name != "lt" or sum_.primitive.name != "add":
        return None
    (tested, zero), (added, length) = test.inputs, sum_.inputs
    same = _unconverted(tested, made) == _unconverted(added, made) == _unconverted(index, made)
    if not same or not isinstance(zero, Literal) or not isinstance(length, Literal) or zero.val != 0:
        return None
    return index, equation.outputs[0], int(length.val)


def _unconverted(atom: Atom, made: dict[int, Equation]) -> Atom:
    while is_variable(atom) and atom in made and made[atom].primitive.name == "convert_element_type":
        atom = made[atom].inputs[0]
    return atom


def _choosing(equation: Equation, program: Program) -> list[Site]:
    """The site of `jax.lax.switch`, which clamps the index of the branch; under `jax.vmap` all run and one is selected."""
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
