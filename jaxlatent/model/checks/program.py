"""The functions of a model as flat programs (jaxprs with calls inlined), and the dependencies of their values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jax.extend.core.primitives import copy_p

from jaxlatent._compat import control
from jaxlatent.graph.tracing import CALLS

#: A value of a program: the number of a variable, or a literal.
Atom: TypeAlias = Any
#: The names of the inputs that a value depends on.
Sources: TypeAlias = frozenset[str]

NOTHING: Sources = frozenset()

#: Primitives that rearrange values without changing them.
MOVES = frozenset(["broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "copy", "stop_gradient"])

#: The inputs of a primitive that are indices.
INDICES = {
    "gather": slice(1, 2),
    "dynamic_slice": slice(1, None),
    "dynamic_update_slice": slice(2, None),
    **dict.fromkeys(
        ("scatter", "scatter-add", "scatter-sub", "scatter-mul", "scatter-min", "scatter-max", "scatter_add"),
        slice(1, 2),
    ),
}


class Equation(NamedTuple):
    """One operation.

    Attributes:
        primitive: of JAX.
        params: its static parameters.
        inputs, outputs: the atoms it reads, and the numbers of the variables it sets.
        avals: shapes and dtypes of the inputs.
        inner: the programs of a loop or of branches.
    """

    primitive: Any
    params: dict[str, Any]
    inputs: tuple[Atom, ...]
    outputs: tuple[int, ...]
    avals: tuple[Any, ...]
    inner: "Scan | While | Branches | None" = None


@dataclass(frozen=True, eq=False)
class Program:
    """Equations in order, calls inlined.

    Every index is copied right before its use, so that it can be changed there and nowhere else.

    Attributes:
        equations: in order.
        inputs: variables of the arguments.
        outputs: atoms that are returned.
        constants: values of constant variables.
    """

    equations: tuple[Equation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[Atom, ...]
    constants: dict[int, Any]

    def dependencies(self, sources: Sequence[Sources]) -> dict[int, Sources]:
        """The sources of each variable, also inside loops and branches, given those of the inputs."""
        known: dict[int, Sources] = dict(zip(self.inputs, sources, strict=True))
        for equation in self.equations:
            given = [known.get(atom, NOTHING) if is_variable(atom) else NOTHING for atom in equation.inputs]
            if equation.inner is None:
                known.update(dict.fromkeys(equation.outputs, NOTHING.union(*given)))
            else:
                outputs, inside = equation.inner.dependencies(given)
                known.update(inside)
                known.update(zip(equation.outputs, outputs, strict=True))
        return known

    def copies(self) -> dict[int, int]:
        """The input of each variable that is a rearranged copy of a whole input, also inside scans."""
        known = {variable: variable for variable in self.inputs}
        look_up: Callable[[Atom], int | None] = lambda atom: known.get(atom) if is_variable(atom) else None
        for equation in self.equations:
            loop, name = equation.inner, equation.primitive.name
            wider = name == "convert_element_type" and _is_wider(equation)
            if name in MOVES or wider:
                if (source := look_up(equation.inputs[0])) is not None:
                    known[equation.outputs[0]] = source
            elif isinstance(loop, Scan) and loop.length:
                constants, _, scanned = loop.split(list(zip(loop.body.inputs, equation.inputs, strict=True)))
                outer = {inside: look_up(atom) for inside, atom in [*constants, *scanned]}
                within = {variable: outer.get(source) for variable, source in loop.body.copies().items()}
                known.update((variable, source) for variable, source in within.items() if source is not None)
        return known

    def only(self, wanted: Iterable[Atom]) -> "Program":
        """The part of the program that computes ``wanted``, here or inside loops and branches."""
        needed, kept = set(filter(is_variable, wanted)), []
        for equation in reversed(self.equations):
            if needed.intersection(equation.outputs) or needed.intersection(_variables_within(equation)):
                kept.append(equation)
                needed.update(filter(is_variable, equation.inputs))
        return Program(tuple(reversed(kept)), self.inputs, (), self.constants)

    def variables(self) -> Iterator[int]:
        """All variables that equations set, also inside loops and branches."""
        for equation in self.equations:
            yield from equation.outputs
            yield from _variables_within(equation)


def _variables_within(equation: Equation) -> Iterator[int]:
    for program in equation.inner.programs if equation.inner else ():
        yield from program.variables()


def _is_wider(conversion: Equation) -> bool:
    before, after = conversion.avals[0].dtype, conversion.params["new_dtype"]
    return before.kind in "biu" and np.can_cast(before, after)


def is_variable(atom: Atom) -> bool:
    """Whether ``atom`` is the number of a variable, not a literal."""
    return isinstance(atom, int)


def _of_outputs(program: Program, known: dict[int, Sources]) -> list[Sources]:
    return [known.get(atom, NOTHING) if is_variable(atom) else NOTHING for atom in program.outputs]


@dataclass(frozen=True, eq=False)
class Scan:
    """A loop of known length; see `jaxlatent._compat.control`."""

    body: Program
    constants: int
    carry: int
    length: int
    reverse: bool

    @property
    def programs(self) -> tuple[Program, ...]:
        """All that is inside."""
        return (self.body,)

    def split(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Split inputs into constants, carry and scanned arrays."""
        start = self.constants + self.carry
        return list(inputs[: self.constants]), list(inputs[self.constants : start]), list(inputs[start:])

    def dependencies(self, given: Sequence[Sources]) -> tuple[list[Sources], dict[int, Sources]]:
        """The sources of the outputs, and of the variables inside."""
        constants, carry, scanned = self.split(given)
        while True:
            inside = self.body.dependencies([*constants, *carry, *scanned])
            outputs = _of_outputs(self.body, inside)
            grown = [before | after for before, after in zip(carry, outputs[: self.carry], strict=True)]
            if grown == carry:
                return [*carry, *outputs[self.carry :]], inside
            carry = grown


@dataclass(frozen=True, eq=False)
class While:
    """A loop of unknown length; see `jaxlatent._compat.control`."""

    test: Program
    body: Program
    test_constants: int
    body_constants: int

    @property
    def programs(self) -> tuple[Program, ...]:
        """All that is inside."""
        return (self.test, self.body)

    def split(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Split inputs into constants of the test, constants of the body, and the carry."""
        start = self.test_constants + self.body_constants
        return list(inputs[: self.test_constants]), list(inputs[self.test_constants : start]), list(inputs[start:])

    def dependencies(self, given: Sequence[Sources]) -> tuple[list[Sources], dict[int, Sources]]:
        """The sources of the outputs, and of the variables inside; a carry that changes also depends on the test."""
        of_test, of_body, carry = self.split(given)
        varies = [before != after for before, after in zip(self.carried, self.body.outputs, strict=True)]
        while True:
            test, body = self.test.dependencies([*of_test, *carry]), self.body.dependencies([*of_body, *carry])
            (often,) = _of_outputs(self.test, test)
            grown = [
                before | after | often if changes else before
                for before, after, changes in zip(carry, _of_outputs(self.body, body), varies, strict=True)
            ]
            if grown == carry:
                return carry, {**test, **body}
            carry = grown

    @property
    def carried(self) -> tuple[int, ...]:
        """The variables of the body that hold the carry."""
        return self.body.inputs[self.body_constants :]


@dataclass(frozen=True, eq=False)
class Branches:
    """One of several programs; see `jaxlatent._compat.control`."""

    programs: tuple[Program, ...]

    def dependencies(self, given: Sequence[Sources]) -> tuple[list[Sources], dict[int, Sources]]:
        """The sources of the outputs, and of the variables inside."""
        which, *rest = given
        inside = [program.dependencies(rest) for program in self.programs]
        outputs = zip(*map(_of_outputs, self.programs, inside), strict=True)
        return [which.union(*each) for each in outputs], {k: v for known in inside for k, v in known.items()}


def flatten(program: ClosedJaxpr) -> Program:
    """Inline the calls of a traced function."""
    return _flatten(program, count())


def _flatten(program: ClosedJaxpr, fresh: Iterator[int]) -> Program:
    equations: list[Equation] = []
    constants: dict[int, Any] = {}

    def walk(jaxpr: Jaxpr, consts: Sequence[Any], given: Sequence[Atom]) -> list[Atom]:
        numbers: dict[Any, Atom] = dict(zip(jaxpr.invars, given, strict=True))
        for variable, value in zip(jaxpr.constvars, consts, strict=True):
            numbers[variable] = next(fresh)
            constants[numbers[variable]] = value
        look_up: Callable[[Any], Atom] = lambda atom: atom if isinstance(atom, Literal) else numbers[atom]
        for equation in jaxpr.eqns:
            name, inputs = equation.primitive.name, [look_up(atom) for atom in equation.invars]
            avals = tuple(atom.aval for atom in equation.invars)
            if name in CALLS:
                inner: Any = equation.params.get("jaxpr") or equation.params["call_jaxpr"]
                closed = isinstance(inner, ClosedJaxpr)
                outputs = walk(inner.jaxpr if closed else inner, inner.consts if closed else (), inputs)
            else:
                for i in range(len(inputs))[INDICES.get(name, slice(0))]:
                    if is_variable(inputs[i]):
                        copied = next(fresh)
                        equations.append(Equation(copy_p, {}, (inputs[i],), (copied,), (avals[i],)))
                        inputs[i] = copied
                outputs = [next(fresh) for _ in equation.outvars]
                loop = _inner(control.control_of(name, equation.params), lambda part: _flatten(part, fresh))
                equations.append(
                    Equation(equation.primitive, equation.params, tuple(inputs), tuple(outputs), avals, loop)
                )
            numbers.update(zip(equation.outvars, outputs, strict=True))
        return [look_up(atom) for atom in jaxpr.outvars]

    inputs = [next(fresh) for _ in program.jaxpr.invars]
    outputs = walk(program.jaxpr, program.consts, inputs)
    return Program(tuple(equations), tuple(inputs), tuple(outputs), constants)


def _inner(parts: control.Control | None, flat: Callable[[ClosedJaxpr], Program]) -> Scan | While | Branches | None:
    match parts:
        case control.Scan():
            return Scan(flat(parts.body), *parts[1:])
        case control.While():
            return While(flat(parts.test), flat(parts.body), *parts[2:])
        case control.Branches():
            return Branches(tuple(map(flat, parts.branches)))
    return None
