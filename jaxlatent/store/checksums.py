"""Checksums of arrays and of functions, equal in any process.

The text of a jaxpr will not do: which inner functions it shares, and which of two equal static arguments it shows, ``0`` or
``np.int64(0)``, depend on what the process traced before, and the precision of its products on what was imported: dynamax sets JAX's
default. Here calls are inlined, parameters are written in one way, and products have JAX's own default.
"""

import re
import zlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from numbers import Number
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from jaxlatent.model.checks.program import Equation, Program, flatten

#: What a function's checksum depends on besides the function.
TRACED_BY = f"the operations of jax {version('jax')}"


def array_checksum(leaf: Any) -> list[Any]:
    """Shape, dtype and checksum of an array, as JSON keeps them."""
    array = np.asarray(leaf)
    return [list(array.shape), str(array.dtype), zlib.crc32(np.ascontiguousarray(array).tobytes())]


def function_checksum(function: Callable[..., Any], *arguments: Any) -> int:
    """The checksum of the operations that JAX traces a function to, constants included.

    It is that of values: of functions inside with derivatives of their own (`jax.custom_jvp`), the derivatives do not count.
    """
    with jax.default_matmul_precision(None):
        traced = jax.make_jaxpr(function)(*arguments)
    return zlib.crc32(repr(_program(flatten(traced))).encode())


def _program(program: Program) -> Any:
    constants = [(number, array_checksum(value)) for number, value in program.constants.items()]
    return [constants, program.inputs, list(map(_equation, program.equations)), list(map(_atom, program.outputs))]


def _equation(equation: Equation) -> Any:
    # The parameters hold the programs inside, too.
    return [
        equation.primitive.name,
        _parameter(equation.params),
        list(map(_atom, equation.inputs)),
        list(map(str, equation.avals)),
        equation.outputs,
    ]


def _atom(atom: Any) -> Any:
    if not isinstance(atom, Literal):
        return atom
    kind: Any = atom.aval
    return array_checksum(np.asarray(atom.val, kind.dtype))


def _parameter(value: Any) -> Any:
    match value:
        case ClosedJaxpr():
            return _program(flatten(value))
        case Jaxpr():
            return _program(flatten(ClosedJaxpr(value, ())))
        case Mapping():
            return sorted((str(name), _parameter(each)) for name, each in value.items())
        case tuple() | list():
            return [_parameter(each) for each in value]
        case np.dtype():  # of data from a disk it may name its byte order, "<i4", which is int32 all the same
            return repr(value.newbyteorder("="))
        case np.ndarray() | jax.Array() if value.ndim:
            return array_checksum(value)
        case set() | frozenset():
            return sorted(repr(_parameter(each)) for each in value)
        case Number():
            return _number(value)
        case _ if callable(value) and hasattr(value, "__qualname__"):
            return value.__qualname__
    return re.sub(r" at 0x\w+", "", repr(value))


def _number(value: Any) -> Any:
    """One form of numbers that are equal, and so are the same to JAX's caches."""
    plain = np.asarray(value).item()
    return int(plain) if isinstance(plain, bool) or (isinstance(plain, float) and plain.is_integer()) else plain
