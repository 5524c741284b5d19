"""What an engine is: settings, and pure functions for one lane of one dataset.

`jaxlatent.execute` holds the one driver loop. It calls ``step`` on every lane until the lane has *emitted* as many records as the
stage asks for, or is ``done``; between stages it calls ``adapt`` on the lanes of a dataset together. A step may be less than a
draw (NUTS: one leapfrog step), so that no lane waits for another inside a stage.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import wraps
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar, cast, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.errors import InputError, did_you_mean, require
from jaxlatent.model.pickling import ByValue
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key, Params, Position, PyTree


class Stage(NamedTuple):
    """One leg of a run; all lanes of a dataset meet at its end. On the device its fields are traced integers.

    Attributes:
        steps: records each lane emits.
        kind: the engine's own code (NUTS: which part of the warm-up).
        limit: the engine's own bound (NUTS: largest tree depth).
        keep: whether the records belong to the result.
    """

    steps: int
    kind: int
    limit: int
    keep: bool


class Outputs(NamedTuple):
    """What records, or a lane at its end, have for the result.

    Attributes:
        statistics: by ArviZ's names; "objective" is the trace of an optimisation.
        positions: ``(draw, dim)`` of draws, ``(dim,)`` of a point; None where there is none to tell.
        params: named values of a point, where they may lie on the border that positions cannot reach.
    """

    statistics: dict[str, Array]
    positions: Array | None = None
    params: Params | None = None


class Final(NamedTuple):
    """What a lane hands over in the end.

    Attributes:
        outputs: what its records did not tell.
        objective: scalar; what the lane maximised (log density, ELBO).
        status: a `jaxlatent.status.Status` code.
    """

    outputs: Outputs
    objective: Array
    status: Array

    def with_statistics(self, **more: Array) -> "Final":
        """The same with more statistics."""
        return self._replace(outputs=self.outputs._replace(statistics={**self.outputs.statistics, **more}))


class Engine(Protocol):
    """An inference algorithm and its settings: a frozen, hashable dataclass.

    Each method is handed a key that no other one sees (`jaxlatent.keys.Purpose`); that of `step` is the same at every step of a lane.

    Attributes:
        kind: "chains", whose draws follow each other and mix with those of the other lanes; "draws", of an approximation that each lane has
            of its own; or "point".
        crosses: whether lanes adapt together: `cross_lanes` is then called after every step, with all lanes of a dataset.
        by_rows: whether rows of the data are drawn or held out by their numbers: none are then appended to share programs.
    """

    kind: ClassVar[str]
    crosses: ClassVar[bool]

    @property
    def by_rows(self) -> bool:
        """See above."""
        ...

    @property
    def lanes(self) -> int:
        """Independent runs for each dataset."""
        ...

    def compile_key(self) -> "Engine":
        """This engine with the numbers of lanes and steps set to one: what its compiled programs depend on, and so are keyed by."""
        ...

    def schedule(self, segment: int) -> tuple[Stage, ...]:
        """The stages of a run, none longer than ``segment`` unless it must be."""
        ...

    def shared(self, posterior: Posterior, key: Key) -> PyTree:
        """What the lanes of one dataset share at the start (NUTS: metric and step size)."""
        ...

    def init(self, posterior: Posterior, key: Key, position: Position, shared: PyTree) -> PyTree:
        """The state of a lane at its start; must not evaluate the gradient (each site costs compile time)."""
        ...

    def step(
        self, posterior: Posterior, key: Key, state: PyTree, shared: PyTree, stage: Stage
    ) -> tuple[PyTree, PyTree, Array]:
        """One step: the next state, the record as of now, and whether the record is complete."""
        ...

    def done(self, state: PyTree) -> Array:
        """Whether the lane needs no further steps."""
        ...

    def adapt(
        self, state: PyTree, shared: PyTree, records: PyTree, counts: Array, stage: Stage
    ) -> tuple[PyTree, PyTree]:
        """At the end of a stage, for all lanes of one dataset (leading axis): new states and new shared values."""
        ...

    def cross_lanes(self, states: PyTree, shared: PyTree, stage: Stage) -> tuple[PyTree, PyTree]:
        """After a step of all lanes of one dataset (leading axis), of an engine that ``crosses``: new states and shared values."""
        ...

    def outputs(self, records: PyTree) -> Outputs:
        """What kept records have for the result, whatever axes they lead with."""
        ...

    def finish(self, posterior: Posterior, key: Key, state: PyTree) -> Final:
        """The outcome of a lane."""
        ...

    def review(
        self, positions: np.ndarray, statistics: Mapping[str, np.ndarray], status: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """On the host, when all is done: what only lanes together can tell of how they ended, and warnings.

        Args:
            positions: ``(dataset, lane, draw?, dim)``.
            statistics: leading with ``(dataset, lane)``.
            status: ``(dataset, lane)``.

        Returns:
            The status, and sentences to warn with.
        """
        ...


class Search:
    """What engines have in common whose lanes share nothing: at most ``max_iter`` steps, each recording the objective."""

    max_iter: int
    restarts: int
    by_rows: ClassVar[bool] = False
    crosses: ClassVar[bool] = False

    @property
    def lanes(self) -> int:
        """Restarts per dataset."""
        return self.restarts

    def compile_key(self) -> Self:
        """With one restart of one step."""
        return replace(cast(Any, self), restarts=1, max_iter=1)

    def schedule(self, segment: int) -> tuple[Stage, ...]:
        """Legs of iterations."""
        return tuple(Stage(steps, 0, 0, True) for steps in legs(self.max_iter, segment))

    def shared(self, posterior: Posterior, key: Key) -> PyTree:
        """Lanes share nothing."""
        return ()

    def adapt(
        self, state: PyTree, shared: PyTree, records: PyTree, counts: Array, stage: Stage
    ) -> tuple[PyTree, PyTree]:
        """Lanes share nothing."""
        return state, shared

    def cross_lanes(self, states: PyTree, shared: PyTree, stage: Stage) -> tuple[PyTree, PyTree]:
        """Lanes share nothing."""
        return states, shared

    def outputs(self, records: Any) -> Outputs:
        """The trace of the objective."""
        return Outputs({"objective": records.objective})

    def review(
        self, positions: np.ndarray, statistics: Mapping[str, np.ndarray], status: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Lanes tell nothing of each other."""
        return status, []


EngineClass = TypeVar("EngineClass", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def engine(cls: EngineClass) -> EngineClass:
    """A frozen dataclass of keyword settings whose unknown options are named, with the nearest known one."""
    made: Any = dataclass(frozen=True, kw_only=True)(cls)
    make, types = made.__init__, {option.name: option.type for option in fields(made)}

    def __init__(self, **settings: Any) -> None:
        for name in settings:
            if name not in types:
                raise InputError(
                    f"{cls.__name__}({name}=...)",
                    got=f"an unknown option {name!r}",
                    expected=f"one of {', '.join(types)}",
                    remedy=did_you_mean(name, types),
                )
            _check_number(f"{cls.__name__}({name}=...)", settings[name], types[name])
        make(self, **settings)

    made.__init__ = wraps(make)(__init__)
    # Optimisers of Optax are closures.
    made.__reduce__ = ByValue.__reduce__
    return made


_NUMBERS: dict[Any, tuple[type, str]] = {int: (Integral, "an integer"), float: (Real, "a number")}


def _check_number(what: str, value: Any, annotation: Any) -> None:
    """Settings annotated as a bare int or float hold one."""
    if annotation in _NUMBERS:
        kind, expected = _NUMBERS[annotation]
        require(isinstance(value, kind) and not isinstance(value, bool), what, got=value, expected=expected)


def when(condition: Array, update: Callable[[PyTree], PyTree], state: PyTree) -> PyTree:
    """``update(state)`` if ``condition``, else ``state``, skipped at no cost where no lane needs it.

    Under ``vmap`` a ``cond`` becomes a select and always pays; a ``while_loop`` of at most one turn runs only if the
    condition holds in some lane.
    """
    return jax.lax.while_loop(lambda c: c[0], lambda c: (jnp.zeros_like(c[0]), update(c[1])), (condition, state))[1]


def legs(steps: int, longest: int) -> list[int]:
    """``steps`` cut into legs of at most ``longest``."""
    whole, rest = divmod(steps, longest)
    return [longest] * whole + ([rest] if rest else [])


def settings(engine: Engine) -> dict[str, Any]:
    """An engine's settings by name, for provenance."""
    return {option.name: getattr(engine, option.name) for option in fields(cast(Any, engine))}
