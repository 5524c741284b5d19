"""The interface of an engine: settings, and pure functions for one lane of one dataset.

The driver loop in `jaxlatent.execute` calls ``step`` on every lane until the lane has *emitted* the records of the stage or is
``done``; between stages it calls ``adapt`` on all lanes of a dataset. A step may be less than a draw (NUTS: one leapfrog step), so
no lane waits for another inside a stage.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import wraps
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar, cast, dataclass_transform, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.errors import InputError, did_you_mean, require
from jaxlatent.masks import select
from jaxlatent.model.pickling import ByValue
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status
from jaxlatent.typing import Array, Key, Params, Position, PyTree, SamePyTree


class Stage(NamedTuple):
    """A part of a run, at whose end all lanes of a dataset synchronise. On the device its fields are traced integers.

    Attributes:
        steps: records each lane emits.
        kind: engine-specific code (NUTS: the phase of the warm-up).
        limit: engine-specific bound (NUTS: maximum tree depth).
        keep: whether the records belong to the result.
    """

    steps: int
    kind: int
    limit: int
    keep: bool


class Outputs(NamedTuple):
    """What records, or a finished lane, contribute to the result.

    Attributes:
        statistics: under ArviZ's names; "objective" is the trace of an optimisation.
        positions: ``(draw, dim)`` for draws, ``(dim,)`` for a point estimate; None without positions.
        params: named values of a point estimate, which may lie on the boundary of the support where no finite position does.
    """

    statistics: dict[str, Array]
    positions: Array | None = None
    params: Params | None = None


class Final(NamedTuple):
    """The outcome of a finished lane.

    Attributes:
        outputs: what its records do not hold.
        objective: scalar that the lane maximised (log density, ELBO).
        status: a `jaxlatent.status.Status` code.
    """

    outputs: Outputs
    objective: Array
    status: Array

    def with_statistics(self, **more: Array) -> "Final":
        """A copy with more statistics."""
        return self._replace(outputs=self.outputs._replace(statistics={**self.outputs.statistics, **more}))


@runtime_checkable
class Engine(Protocol):
    """An inference algorithm and its settings: a frozen, hashable dataclass.

    Each method gets a key of its own (`jaxlatent.keys.Purpose`); `step` gets the same key at every step of a lane.

    Attributes:
        kind: "chains" (Markov chains with one common target), "draws" (independent draws from an approximation per lane) or "point".
        crosses: whether `cross_lanes` is called after every step, with all lanes of a dataset.
        by_rows: whether rows of the data are subsampled or held out by index; the data are then never padded to share programs.
    """

    kind: ClassVar[str]
    crosses: ClassVar[bool]

    @property
    def by_rows(self) -> bool:
        """Whether rows are subsampled or held out by index."""
        ...

    @property
    def lanes(self) -> int:
        """Independent runs for each dataset."""
        ...

    def compile_key(self) -> "Engine":
        """This engine with one lane and one step: the cache key of its compiled programs, which do not depend on either number."""
        ...

    def schedule(self, segment: int) -> tuple[Stage, ...]:
        """The stages of a run, at most ``segment`` steps each where the algorithm allows it."""
        ...

    def shared(self, posterior: Posterior, key: Key) -> PyTree:
        """The initial shared state of the lanes of one dataset (NUTS: metric and step size)."""
        ...

    def init(self, posterior: Posterior, key: Key, position: Position, shared: PyTree) -> PyTree:
        """The initial state of a lane; must not evaluate the gradient (each call site costs compile time)."""
        ...

    def step(
        self, posterior: Posterior, key: Key, state: PyTree, shared: PyTree, stage: Stage
    ) -> tuple[PyTree, PyTree, Array]:
        """One step: the next state, the current record, and whether the record is complete."""
        ...

    def step_where(
        self, live: Array, posterior: Posterior, key: Key, state: PyTree, shared: PyTree, stage: Stage
    ) -> tuple[PyTree, PyTree, Array]:
        """`step` of a lane that runs (``live``). The state of an idle lane stays, but for what its next step does not read."""
        ...

    def done(self, state: PyTree) -> Array:
        """Whether the lane needs no further steps."""
        ...

    def adapt(
        self, state: PyTree, shared: PyTree, records: PyTree, counts: Array, stage: Stage
    ) -> tuple[PyTree, PyTree]:
        """At the end of a stage, for all lanes of one dataset (leading axis): new states and shared state."""
        ...

    def cross_lanes(self, states: PyTree, shared: PyTree, stage: Stage) -> tuple[PyTree, PyTree]:
        """If ``crosses``, after each step of all lanes of one dataset (leading axis): new states and shared state."""
        ...

    def outputs(self, records: PyTree) -> Outputs:
        """What kept records, with any leading axes, contribute to the result."""
        ...

    def finish(self, posterior: Posterior, key: Key, state: PyTree) -> Final:
        """The outcome of a lane."""
        ...

    def review(
        self, positions: np.ndarray, statistics: Mapping[str, np.ndarray], status: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Check all lanes together on the host, after the run.

        Args:
            positions: ``(dataset, lane, draw?, dim)``.
            statistics: leading with ``(dataset, lane)``.
            status: ``(dataset, lane)``.

        Returns:
            The status and the texts of warnings.
        """
        ...

    def choices(self, statistics: Mapping[str, np.ndarray]) -> dict[str, str]:
        """What it chose by itself, and why, in words, for provenance; statistics lead with ``(dataset, lane)``."""
        ...


class Record(NamedTuple):
    """The objective that a step found: a log joint (EM: of the parameters before the step) or a bound on the evidence."""

    objective: Array


class Independent:
    """Base of engines, with what those need not say whose lanes depend on each other at the end of a stage at most."""

    by_rows: ClassVar[bool] = False
    crosses: ClassVar[bool] = False

    def step_where(
        self: Any, live: Array, posterior: Posterior, key: Key, state: PyTree, shared: PyTree, stage: Stage
    ) -> tuple[PyTree, PyTree, Array]:
        """`step`, with the state before where the lane is idle."""
        stepped, record, complete = self.step(posterior, key, state, shared, stage)
        return select(live, stepped, state), record, complete

    def cross_lanes(self, states: PyTree, shared: PyTree, stage: Stage) -> tuple[PyTree, PyTree]:
        """Lanes change nothing of each other."""
        return states, shared

    def choices(self, statistics: Mapping[str, np.ndarray]) -> dict[str, str]:
        """Nothing that the settings do not say."""
        return {}


class Search(Independent):
    """Base of the engines with independent lanes: at most ``max_iter`` steps, each recording the objective.

    The state of a lane has a ``status``, or a ``search`` that has one, which is OK while the lane runs.
    """

    max_iter: int
    restarts: int

    @property
    def lanes(self) -> int:
        """Restarts per dataset."""
        return self.restarts

    def compile_key(self) -> Self:
        """One restart of one step."""
        smallest: Self = replace(cast(Any, self), restarts=1, max_iter=1)
        return smallest

    def schedule(self, segment: int) -> tuple[Stage, ...]:
        """``max_iter`` steps in segments."""
        return tuple(Stage(steps, 0, 0, True) for steps in split_steps(self.max_iter, segment))

    def shared(self, posterior: Posterior, key: Key) -> PyTree:
        """Lanes share nothing."""
        return ()

    def done(self, state: PyTree) -> Array:
        """Whether the lane converged or failed."""
        search: Any = getattr(state, "search", state)
        ended: Array = search.status != Status.OK
        return ended

    def adapt(
        self, state: PyTree, shared: PyTree, records: PyTree, counts: Array, stage: Stage
    ) -> tuple[PyTree, PyTree]:
        """Lanes share nothing."""
        return state, shared

    def outputs(self, records: PyTree) -> Outputs:
        """The trace of the objective."""
        return Outputs({"objective": records.objective})

    def review(
        self, positions: np.ndarray, statistics: Mapping[str, np.ndarray], status: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Nothing to check across lanes."""
        return status, []


EngineClass = TypeVar("EngineClass", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def engine(cls: EngineClass) -> EngineClass:
    """Make a frozen, keyword-only dataclass whose error for an unknown option suggests the nearest known one."""
    made: Any = dataclass(frozen=True, kw_only=True)(cls)
    make, types = made.__init__, {option.name: option.type for option in fields(made)}

    def __init__(self: Any, **settings: Any) -> None:
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
    # Optax optimisers are closures, which plain pickle rejects.
    made.__reduce__ = ByValue.__reduce__
    finished: EngineClass = made
    return finished


_NUMBERS: dict[Any, tuple[type, str]] = {int: (Integral, "an integer"), float: (Real, "a number")}


def at_least(engine: Any, **smallest: float) -> None:
    """Raise `InputError` for a setting of ``engine`` below its smallest value."""
    for name, least in smallest.items():
        got = getattr(engine, name)
        require(got >= least, f"{type(engine).__name__}({name}=...)", got=got, expected=f"at least {least}")


def _check_number(what: str, value: Any, annotation: Any) -> None:
    """Raise `InputError` where a setting annotated as ``int`` or ``float`` is not a number."""
    if annotation in _NUMBERS:
        kind, expected = _NUMBERS[annotation]
        require(isinstance(value, kind) and not isinstance(value, bool), what, got=value, expected=expected)


def when(condition: Array, update: Callable[[SamePyTree], SamePyTree], state: SamePyTree) -> SamePyTree:
    """Return ``update(state)`` if ``condition``, else ``state``; under ``vmap`` the update is skipped if no lane needs it.

    ``vmap`` turns a ``cond`` into a select that always evaluates both branches; a ``while_loop`` of at most one iteration runs only
    if the condition holds in some lane.
    """
    once: Callable[[tuple[Array, SamePyTree]], tuple[Array, SamePyTree]] = lambda c: (
        jnp.zeros_like(c[0]),
        update(c[1]),
    )
    updated: SamePyTree = jax.lax.while_loop(lambda c: c[0], once, (condition, state))[1]
    return updated


def split_steps(steps: int, longest: int) -> list[int]:
    """Split ``steps`` into segments of at most ``longest``."""
    whole, rest = divmod(steps, longest)
    return [longest] * whole + ([rest] if rest else [])


def settings(engine: Engine) -> dict[str, Any]:
    """The settings of an engine by name, for provenance."""
    return {option.name: getattr(engine, option.name) for option in fields(cast(Any, engine))}
