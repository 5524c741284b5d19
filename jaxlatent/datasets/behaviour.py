"""Simulated decisions of mice whose strategy changes, as many as in a published study of them."""

from typing import Any, NamedTuple

import numpy as np

from jaxlatent.errors import require

#: The inputs of the choices, in the order of the weights.
INPUTS = ("stimulus", "bias", "previous choice", "win-stay-lose-switch")
#: What drives a choice to the right in each state, ``(state, input)``: the stimulus, or a side.
_WEIGHTS = np.array([[5.0, 0.0, 0.2, 0.1], [1.5, -2.2, 0.7, 0.4], [1.5, 2.2, 0.7, 0.4]])
_TRANSITIONS = np.array([[0.97, 0.015, 0.015], [0.03, 0.95, 0.02], [0.03, 0.02, 0.95]])
_INITIAL = np.array([0.6, 0.2, 0.2])
_CONTRASTS = np.array([-100.0, -25.0, -12.5, -6.25, 0.0, 6.25, 12.5, 25.0, 100.0])


class Mice(NamedTuple):
    """A table of trials, and what it was drawn from.

    Attributes:
        table: a row a trial; see `mice`.
        states: of each trial, ``(N,)``.
        params: by the names of `jaxlatent.models.hmm`: ``initial_probs`` ``(K,)``, ``transition_matrix`` ``(K, K)``, and ``weights``
            ``(K, 4)`` of the population.
        weights: of each animal, ``(animal, K, 4)``.
    """

    table: dict[str, np.ndarray]
    states: np.ndarray
    params: dict[str, np.ndarray]
    weights: np.ndarray


def mice(animals: int = 37, sessions: int = 44, missing: float = 0.02, spread: float = 0.2, seed: int = 0) -> Mice:
    """Choices between left and right by a Bernoulli GLM-HMM of three states: engaged, and biased to the left and to the right.

    By default of the size of the study of Ashwood et al. (2022), Nature Neuroscience 25, of mice of the International Brain Laboratory: 37
    animals, some 1,630 sessions and 171,000 trials. A choice depends on the stimulus, a bias, the previous choice, and win-stay-lose-switch
    (see `jaxlatent.win_stay_lose_switch`), with weights of the state and of the animal.

    Args:
        animals: number of animals.
        sessions: of an animal, on average; between four fifths and six fifths of this, of 60 to 150 trials each.
        missing: the fraction of trials without a choice.
        spread: standard deviation of the weights of animals about those of the population.
        seed: of everything that is drawn.

    Returns:
        `Mice`; its table has columns ``animal`` ("mouse 01"), ``session`` ("mouse 01, 1"), ``trial``, ``contrast`` (percent, negative to
        the left), ``stimulus`` (the contrast divided by its standard deviation), ``choice`` ("left", "right", None where missing) and
        ``rewarded``. A trial without a choice has no reward, and on the next one the inputs that look back are 0.
    """
    for name, value in (("animals", animals), ("sessions", sessions)):
        require(value >= 1, f"mice({name}=...)", got=value, expected="at least 1")
    require(0 <= missing < 1, "mice(missing=...)", got=missing, expected="at least 0 and below 1")
    require(spread >= 0, "mice(spread=...)", got=spread, expected="at least 0")
    rng = np.random.default_rng(seed)
    weights = _WEIGHTS + spread * rng.normal(size=(animals, *_WEIGHTS.shape))
    counts = rng.integers(-(-4 * sessions // 5), 6 * sessions // 5 + 1, animals)
    animal = np.repeat(np.arange(animals), counts)
    lengths = rng.integers(60, 151, len(animal))
    trials = _simulate(rng, weights[animal], int(lengths.max()), missing)
    live = np.arange(lengths.max()) < lengths[:, None]
    width = len(str(animals))
    names = [f"mouse {i + 1:0{width}d}" for i in range(animals)]
    labels = [f"{name}, {j + 1}" for name, count in zip(names, counts, strict=True) for j in range(count)]
    table: dict[str, Any] = {
        "animal": np.array(names)[np.repeat(animal, lengths)],
        "session": np.repeat(labels, lengths),
        "trial": np.nonzero(live)[1],
        **{name: values[live] for name, values in trials.items() if name != "state"},
    }
    params = {"initial_probs": _INITIAL, "transition_matrix": _TRANSITIONS, "weights": _WEIGHTS}
    return Mice(table, trials["state"][live], {name: value.copy() for name, value in params.items()}, weights)


def _simulate(rng: np.random.Generator, weights: np.ndarray, steps: int, missing: float) -> dict[str, np.ndarray]:
    """Columns ``(session, step)`` of sessions with weights ``(session, K, 4)``."""
    count, states = weights.shape[:2]
    contrast = _CONTRASTS[rng.integers(len(_CONTRASTS), size=(count, steps))]
    stimulus = contrast / float(_CONTRASTS.std())
    side = np.where(contrast == 0, rng.choice([-1, 1], (count, steps)), np.sign(contrast))
    chosen = np.where(rng.random((count, steps)) < missing, 0, 1)
    state = np.asarray(rng.choice(states, count, p=_INITIAL))
    last = stay = np.zeros(count)
    path = np.zeros((count, steps), int)
    for t in range(steps):
        if t:
            state = (rng.random((count, 1)) > np.cumsum(_TRANSITIONS, 1)[state][:, :-1]).sum(1)
        inputs = np.stack([stimulus[:, t], np.ones(count), last, stay], 1)
        logits = np.einsum("si,si->s", inputs, weights[np.arange(count), state])
        last = chosen[:, t] * np.where(rng.random(count) < 1 / (1 + np.exp(-logits)), 1, -1)
        stay = last * np.where(last == side[:, t], 1, -1)
        chosen[:, t], path[:, t] = last, state
    return {
        "contrast": contrast,
        "stimulus": stimulus,
        "choice": np.array(["left", None, "right"], object)[chosen + 1],
        "rewarded": chosen == side,
        "state": path,
    }
