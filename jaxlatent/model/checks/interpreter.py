"""An interpreter of programs that records the lowest and highest index at each site, over all iterations of loops."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.lax import GatherScatterMode

from jaxlatent.masks import select
from jaxlatent.model.checks.program import Atom, Branches, Equation, Program, Scan, While, is_variable
from jaxlatent.model.checks.sites import Site
from jaxlatent.typing import Array

#: The lowest and the highest index by the number of the site; the lowest is above the highest where the site was not reached.
Ranges: TypeAlias = dict[int, tuple[Array, Array]]


class Interpreter:
    """Runs a program and everything inside it.

    Args:
        sites: to record.
        unknown: variables that are not computed; their value is None.
        redirect: function of a site, its index and the used index, to another index to use; values read out of range are then one.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        unknown: frozenset[int] = frozenset(),
        redirect: Callable[[Site, Array, Array], Array] | None = None,
    ) -> None:
        self.sites = sites
        self.unknown = unknown
        self.redirect = redirect
        self.filled = {site.result for site in sites if redirect and site.use == "read"}
        self.at: dict[int, list[int]] = {}
        for number, site in enumerate(sites):
            if site.given not in unknown:
                self.at.setdefault(site.used, []).append(number)

    def run(self, program: Program, arguments: Sequence[Any]) -> tuple[list[Any], Ranges]:
        """The outputs of ``program``, and the recorded ranges."""
        values: dict[int, Any] = {**program.constants, **dict(zip(program.inputs, arguments, strict=True))}
        ranges: Ranges = {}
        look_up: Callable[[Atom], Any] = lambda atom: values[atom] if is_variable(atom) else atom.val
        for equation in program.equations:
            outputs, inside = self._run(equation, [look_up(atom) for atom in equation.inputs])
            ranges.update(inside)
            for variable, value in zip(equation.outputs, outputs, strict=True):
                values[variable] = value
                for number in self.at.get(variable, ()):
                    site = self.sites[number]
                    index = look_up(site.given)
                    ranges[number] = _range(index if site.column is None else index[..., site.column])
                    if self.redirect:
                        values[variable] = self.redirect(site, index, values[variable])
        array = lambda atom: values[atom] if is_variable(atom) else jnp.asarray(atom.val, atom.aval.dtype)
        return list(map(array, program.outputs)), ranges

    def _run(self, equation: Equation, inputs: list[Any]) -> tuple[Sequence[Any], Ranges]:
        inner = equation.inner
        has_sites = inner is not None and bool(self._numbers(*inner.programs))
        if not has_sites and all(variable in self.unknown for variable in equation.outputs):
            return [None] * len(equation.outputs), {}
        if inner is None or not (has_sites or any(value is None for value in inputs)):
            if not self.filled.isdisjoint(equation.outputs):
                return [_filled(equation, inputs)], {}
            found = equation.primitive.bind(*inputs, **equation.params)
            return (found if equation.primitive.multiple_results else [found]), {}
        given = zip(inputs, equation.avals, strict=True)
        inputs = [value if value is None else jnp.asarray(value, aval.dtype) for value, aval in given]
        match inner:
            case Scan():
                return self._scan(inner, inputs)
            case While():
                return self._while(inner, inputs)
            case Branches():
                return self._branches(inner, inputs)

    def _numbers(self, *programs: Program) -> list[int]:
        """The numbers of the sites inside."""
        return [n for program in programs for variable in program.variables() for n in self.at.get(variable, ())]

    def _known(self, atoms: Sequence[Atom], values: Sequence[Any]) -> list[Any]:
        return [None if self._is_unknown(atom) else value for atom, value in zip(atoms, values, strict=True)]

    def _is_unknown(self, atom: Atom) -> bool:
        return is_variable(atom) and atom in self.unknown

    def _scan(self, loop: Scan, inputs: list[Any]) -> tuple[list[Any], Ranges]:
        carried = loop.split(loop.body.inputs)[1]
        constants, start, scanned = loop.split(self._known(loop.body.inputs, inputs))

        def step(carry: list[Any], now: list[Any]) -> tuple[list[Any], Any]:
            outputs, ranges = self.run(loop.body, [*constants, *carry, *now])
            return self._known(carried, outputs[: loop.carry]), (outputs[loop.carry :], ranges)

        carry, (stacked, each) = jax.lax.scan(step, start, scanned, loop.length, loop.reverse)
        lowest, highest = _unreached()
        ranges = {n: (low.min(initial=lowest), high.max(initial=highest)) for n, (low, high) in each.items()}
        return [*carry, *stacked], ranges

    def _while(self, loop: While, inputs: list[Any]) -> tuple[list[Any], Ranges]:
        for_test, for_body, start = loop.split(inputs)
        start = self._known(loop.carried, start)
        test: Callable[[list[Any]], tuple[list[Any], Ranges]] = lambda carry: self.run(loop.test, [*for_test, *carry])

        def step(carry: list[Any]) -> tuple[list[Any], Ranges]:
            (goes_on,), in_test = test(carry)
            outputs, in_body = self.run(loop.body, [*for_body, *carry])
            after = self._known(loop.carried, outputs)
            return [_where(goes_on, *each) for each in zip(after, carry, strict=True)], {**in_test, **in_body}

        if self._is_unknown(loop.test.outputs[0]):
            # Known values of the carry do not change between iterations.
            return start, step(start)[1]
        unreached = dict.fromkeys(self._numbers(*loop.programs), _unreached())

        def further(state: Any) -> Any:
            carry, ranges = step(state[0])
            return carry, _joined(state[1], ranges)

        carry, ranges = jax.lax.while_loop(lambda state: jnp.any(test(state[0])[0][0]), further, (start, unreached))
        return carry, _joined(ranges, {**unreached, **test(carry)[1]})

    def _branches(self, choice: Branches, inputs: list[Any]) -> tuple[list[Any], Ranges]:
        which, *rest = inputs
        unreached = dict.fromkeys(self._numbers(*choice.programs), _unreached())
        partly = [
            any(map(self._is_unknown, atoms)) for atoms in zip(*(p.outputs for p in choice.programs), strict=True)
        ]

        def branch(program: Program) -> tuple[list[Any], Ranges]:
            outputs, ranges = self.run(program, rest)
            return [None if no else value for no, value in zip(partly, outputs, strict=True)], {**unreached, **ranges}

        if which is None:
            # Any branch may be taken.
            ranges = unreached
            for program in choice.programs:
                ranges = _joined(ranges, branch(program)[1])
            return [None] * len(partly), ranges
        taken: tuple[list[Any], Ranges] = jax.lax.switch(
            which, [lambda program=program: branch(program) for program in choice.programs]
        )
        return taken


def _filled(equation: Equation, inputs: list[Any]) -> Array:
    """The result of a gather or slice, with one where out of range."""
    primitive, params, operand = equation.primitive, equation.params, equation.avals[0]
    found: Array
    if jnp.issubdtype(operand.dtype, jax.dtypes.extended):
        found = primitive.bind(*inputs, **params)
        return found
    if primitive.name == "gather":
        found = primitive.bind(*inputs, **{**params, "mode": GatherScatterMode.FILL_OR_DROP, "fill_value": 1})
        return found
    ends = zip(inputs[1:], params["slice_sizes"], operand.shape, strict=True)
    outside = jnp.any(jnp.stack([jnp.asarray(start) + size > length for start, size, length in ends]))
    found = primitive.bind(*inputs, **params)
    return jnp.where(outside, jnp.ones_like(found), found)


def _where(goes_on: Array | None, after: Any, before: Any) -> Any:
    """The carry ``after`` for the loops of a vmapped ``while_loop`` that go on, ``before`` for the others."""
    if after is None or goes_on is None or not goes_on.ndim:
        return after
    return select(goes_on, after, before)


def _range(index: Array) -> tuple[Array, Array]:
    lowest, highest = _unreached()
    wide = jnp.asarray(index).astype(lowest.dtype)
    return wide.min(initial=lowest), wide.max(initial=highest)


def _unreached() -> tuple[Array, Array]:
    info = jnp.iinfo(jnp.result_type(int))
    return jnp.asarray(info.max), jnp.asarray(info.min)


def _joined(one: Ranges, other: Ranges) -> Ranges:
    return {n: (jnp.minimum(one[n][0], low), jnp.maximum(one[n][1], high)) for n, (low, high) in other.items()}
