"""The functions of a model as flat programs: what each value depends on, and where data index an axis."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from jaxlatent.graph.tracing import CALLS

#: A value of a program: the number of a variable, or a literal.
Atom: TypeAlias = Any

#: Equations that move indices around and leave them what they are.
_MOVES = frozenset(
    [
        "broadcast_in_dim",
        "reshape",
        "convert_element_type",
        "concatenate",
        "squeeze",
        "expand_dims",
        "transpose",
        "copy",
        "stop_gradient",
    ]
)


class Equation(NamedTuple):
    """One operation.

    Attributes:
        primitive: JAX's.
        params: its static parameters.
        inputs, outputs: what it reads and the numbers of the variables it sets.
    """

    primitive: Any
    params: dict[str, Any]
    inputs: tuple[Atom, ...]
    outputs: tuple[int, ...]


class Site(NamedTuple):
    """A place where an index enters an axis, as JAX writes ``x[i]``: ``i + length`` where ``i`` is negative, then a gather that clips.

    Attributes:
        index: the variable ``i``.
        wrapped: the variable that the gather reads.
        length: of the axis.
        operand: what is indexed.
    """

    index: Atom
    wrapped: int
    length: int
    operand: Atom


@dataclass(frozen=True, eq=False)
class Program:
    """Equations in order, calls inlined; loops and branches are equations of their own.

    Attributes:
        equations: what is computed.
        inputs: the variables that the arguments set.
        outputs: what is returned.
        constants: values of variables that nothing sets.
    """

    equations: tuple[Equation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[Atom, ...]
    constants: dict[int, Any]

    def dependencies(self, sources: Sequence[frozenset[str]]) -> dict[int, frozenset[str]]:
        """What each variable depends on, given what the inputs stand for."""
        known: dict[Any, frozenset[str]] = dict(zip(self.inputs, sources, strict=True))
        for equation in self.equations:
            found = frozenset[str]().union(*(known.get(atom, ()) for atom in equation.inputs if _is_variable(atom)))
            known.update(dict.fromkeys(equation.outputs, found))
        return known

    def sites(self) -> list[Site]:
        """Every place where a computed index enters an axis."""
        made = {output: equation for equation in self.equations for output in equation.outputs}
        read: dict[Any, list[Equation]] = {}
        for equation in self.equations:
            for atom in filter(_is_variable, equation.inputs):
                read.setdefault(atom, []).append(equation)
        found = []
        for equation in self.equations:
            site = _wrapping(equation, made)
            reader = site and _indexed_by(equation.outputs[0], read)
            if site and reader and not _fills(reader):
                found.append(Site(*site, reader.inputs[0]))
        return found

    def only(self, wanted: Iterable[Atom]) -> "Program":
        """What computes ``wanted``, and nothing else."""
        outputs = tuple(wanted)
        needed, kept = set(filter(_is_variable, outputs)), []
        for equation in reversed(self.equations):
            if needed.intersection(equation.outputs):
                kept.append(equation)
                needed.update(filter(_is_variable, equation.inputs))
        return Program(tuple(reversed(kept)), self.inputs, outputs, self.constants)

    def evaluate(self, arguments: Sequence[Any], change: Callable[[int, Any, Callable[[Atom], Any]], Any]) -> list[Any]:
        """The outputs.

        Args:
            arguments: for the inputs.
            change: of the number of a variable, its value, and a function that looks up earlier ones: the value to go on with.
        """
        values = {**self.constants, **dict(zip(self.inputs, arguments, strict=True))}
        look_up = lambda atom: values[atom] if _is_variable(atom) else atom.val
        for equation in self.equations:
            out = equation.primitive.bind(*map(look_up, equation.inputs), **equation.params)
            for variable, value in zip(
                equation.outputs, out if equation.primitive.multiple_results else [out], strict=True
            ):
                values[variable] = change(variable, value, look_up)
        return [look_up(atom) for atom in self.outputs]


def flatten(program: ClosedJaxpr) -> Program:
    """A traced function, its calls inlined."""
    fresh, equations, constants = count(), [], {}

    def walk(jaxpr: Jaxpr, consts: Sequence[Any], given: Sequence[Atom]) -> list[Atom]:
        numbers: dict[Any, Atom] = dict(zip(jaxpr.invars, given, strict=True))
        for variable, value in zip(jaxpr.constvars, consts, strict=True):
            numbers[variable] = next(fresh)
            constants[numbers[variable]] = value
        look_up = lambda atom: atom if isinstance(atom, Literal) else numbers[atom]
        for equation in jaxpr.eqns:
            inputs = tuple(map(look_up, equation.invars))
            if equation.primitive.name in CALLS:
                inner: Any = equation.params.get("jaxpr") or equation.params["call_jaxpr"]
                closed = isinstance(inner, ClosedJaxpr)
                outputs = walk(inner.jaxpr if closed else inner, inner.consts if closed else (), inputs)
            else:
                outputs = [next(fresh) for _ in equation.outvars]
                equations.append(Equation(equation.primitive, equation.params, inputs, tuple(outputs)))
            numbers.update(zip(equation.outvars, outputs, strict=True))
        return [look_up(atom) for atom in jaxpr.outvars]

    inputs = [next(fresh) for _ in program.jaxpr.invars]
    outputs = walk(program.jaxpr, program.consts, inputs)
    return Program(tuple(equations), tuple(inputs), tuple(outputs), constants)


def _is_variable(atom: Atom) -> bool:
    return isinstance(atom, int)


def _wrapping(equation: Equation, made: dict[Any, Equation]) -> tuple[Atom, int, int] | None:
    """``(i, wrapped, length)`` if ``equation`` selects ``i + length`` where ``i < 0``, and ``i`` elsewhere."""
    if equation.primitive.name != "select_n" or len(equation.inputs) != 3:
        return None
    below, index, shifted = equation.inputs
    if not all(_is_variable(atom) and atom in made for atom in (below, shifted)) or not _is_variable(index):
        return None
    test, sum_ = made[below], made[shifted]
    if test.primitive.name != "lt" or sum_.primitive.name != "add":
        return None
    (tested, zero), (added, length) = test.inputs, sum_.inputs
    same = _unconverted(tested, made) == _unconverted(added, made) == _unconverted(index, made)
    if not same or not isinstance(zero, Literal) or not isinstance(length, Literal) or zero.val != 0:
        return None
    return index, equation.outputs[0], int(length.val)


def _unconverted(atom: Atom, made: dict[Any, Equation]) -> Atom:
    while _is_variable(atom) and atom in made and made[atom].primitive.name == "convert_element_type":
        atom = made[atom].inputs[0]
    return atom


def _indexed_by(variable: int, read: dict[Any, list[Equation]]) -> Equation | None:
    """The gather or slice that a variable is an index of, directly or moved around."""
    for equation in read.get(variable, ()):
        if equation.primitive.name in ("gather", "dynamic_slice"):
            if equation.inputs[0] != variable:
                return equation
        elif equation.primitive.name in _MOVES:
            found = _indexed_by(equation.outputs[0], read)
            if found:
                return found
    return None


def _fills(equation: Equation) -> bool:
    """Whether a gather was told what to return out of range."""
    fill = equation.params.get("fill_value")
    return fill is not None and not np.isnan(fill)
