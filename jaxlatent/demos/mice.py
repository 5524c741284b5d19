"""A study of decisions by GLM-HMMs (Ashwood et al. 2022): from a table of trials to a number of states and to fits of each animal.

1. All animals pooled: for each number of states all sessions, and all but each fold of them, from many random starts.
2. Each animal by itself, with folds of its own sessions, from the pooled fit with as many states. The start knows the held-out sessions,
   as in the paper; the fits do not. Where animals are fitted with several numbers of states, the choice is theirs: that animals differ
   looks like more states when they are pooled, the more clearly the more trials there are.
3. The states of each animal in the order of those of the pooled fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import jaxlatent as jl
from jaxlatent.datasets import INPUTS

#: Priors of the paper: Dirichlet of concentration 2 on transitions, normal with standard deviation 2 on weights.
CONCENTRATION, SCALE = 2.0, 2.0


def glm_hmm(num_states: int) -> jl.Model:
    """The model of choices: logistic regressions on four inputs, of which one is constant."""
    emissions = jl.models.emissions.BernoulliRegression(len(INPUTS), prior_scale=SCALE, bias=False)
    return jl.models.hmm(num_states, emissions, jl.models.Stationary(concentration=CONCENTRATION))


def read(table: Any, dataset: str | None = None) -> Any:
    """Data of a table of trials as `jaxlatent.datasets.mice` makes it: all animals as one dataset, or each as its own, by their column."""
    stimulus, _, last, stay = INPUTS
    inputs: list[Any] = [
        stimulus,
        "1",
        jl.lag("choice", name=last),
        jl.win_stay_lose_switch("choice", "rewarded", name=stay),
    ]
    return jl.sequences(table, sequence="session", dataset=dataset, order="trial", y="choice", x=inputs)


@dataclass(frozen=True)
class Study:
    """The three stages.

    Attributes:
        each: the data of each animal.
        pooled: the choice of the number of states from all animals.
        animals: each animal by itself, for all numbers of states that were asked for; its choice is that of the study.
        group: the pooled fit of the chosen number of states.
        own: those of each animal, its states in the order of ``group``.
        seconds: by stage.
    """

    each: Any
    pooled: jl.Selection
    animals: jl.Selection
    group: jl.Result
    own: jl.Result
    seconds: dict[str, float]

    @property
    def chosen(self) -> int:
        """The number of states."""
        return int(self.animals.chosen)


def study(
    table: Any,
    candidates: Sequence[int],
    restarts: int,
    seed: int,
    store: Path | None = None,
    alone: Callable[[int], Sequence[int]] = lambda chosen: (chosen,),
    max_iter: int = 300,
    folds: int = 5,
) -> Study:
    """Run the stages.

    Args:
        table: of trials, see `jaxlatent.datasets.mice`.
        candidates: numbers of states.
        restarts: random starts of each pooled fit.
        seed: of folds and starts.
        store: a folder; with one, a run that was interrupted goes on where it was.
        alone: of the chosen number of states, those with which each animal is fitted by itself.
        max_iter: most iterations of EM.
        folds: of the sessions.
    """
    begun = perf_counter()
    trials, each = read(table), read(table, "animal")
    seconds = {"data": perf_counter() - begun}

    def options(name: str) -> dict[str, Any]:
        labels = {"coords": {"input": INPUTS}}
        return labels if store is None else {**labels, "store": str(store / name), "resume": True}

    begun = perf_counter()
    engine = jl.EM(restarts=restarts, max_iter=max_iter)
    pooled = jl.select(glm_hmm, candidates, trials, engine, seed, folds=folds, **options("pooled"))
    seconds["pooled"] = perf_counter() - begun
    begun = perf_counter()
    engine = jl.EM(restarts=1, max_iter=max_iter)
    start: Callable[[int], jl.Result] = lambda num_states: pooled.whole(num_states).best()
    numbers = alone(int(pooled.chosen))
    animals = jl.select(glm_hmm, numbers, each, engine, seed, folds=folds, init=start, **options("animals"))
    seconds["animals"] = perf_counter() - begun
    begun = perf_counter()
    group = pooled.whole(animals.chosen).best()
    own = animals.whole(animals.chosen).align(to=group)
    seconds["alignment"] = perf_counter() - begun
    return Study(each, pooled, animals, group, own, seconds)
