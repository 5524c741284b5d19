"""The stages of a Hamiltonian sampler: warm-up windows that double in length, a last stage for the step size, and the kept draws."""

from jaxlatent.engines.base import Stage, split_steps

#: ``Stage.kind``, in this order: the metric is learned at the end, and chains may begin anew; it is learned; the step size is frozen at
#: the end; no adaptation.
SEARCH, WINDOW, LAST, SAMPLE = 0, 1, 2, 3

_FIRST_WINDOW = 20
_LONGEST_WINDOW = 250
#: Of the windows, so many at most are SEARCH, and so many at least are not.
_SEARCHES, _SETTLED_WINDOWS = 4, 2


def warmup_stages(warmup: int, limit: int, early_limit: int) -> tuple[Stage, ...]:
    """Windows that double from 20 transitions, then equal ones of at most 250, then a last stage that tunes the step size alone.

    Args:
        warmup: transitions in all.
        limit: ``Stage.limit``.
        early_limit: the same in the first two windows, while the metric is still rough.
    """
    if warmup == 0:
        return ()
    last = min(max(warmup // 10, 1), 100)
    rest, length = warmup - last, _FIRST_WINDOW
    stages: list[Stage] = []
    while rest > 0:
        # The last window teaches the final metric: absorb a remainder too short for one of its own.
        take = rest if rest < 2 * length and rest <= _LONGEST_WINDOW else min(length, rest)
        if length > _LONGEST_WINDOW:
            take = -(-rest // -(-rest // _LONGEST_WINDOW))
        stages.append(Stage(take, WINDOW, early_limit if len(stages) < 2 else limit, False))
        rest, length = rest - take, 2 * length
    for i in range(min(_SEARCHES, len(stages) - _SETTLED_WINDOWS)):
        stages[i] = stages[i]._replace(kind=SEARCH)
    return (*stages, Stage(last, LAST, limit, False))


def sampler_stages(warmup: int, draws: int, segment: int, limit: int = 0, early_limit: int = 0) -> tuple[Stage, ...]:
    """The stages of `warmup_stages`, then segments of kept draws."""
    sampling = (Stage(steps, SAMPLE, limit, True) for steps in split_steps(draws, segment))
    return (*warmup_stages(warmup, limit, early_limit), *sampling)
