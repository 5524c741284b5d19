"""A GLM-HMM whose weights vary between animals around a population, by EM and by NUTS, beside pooled and separate fits.

    python examples/hierarchical_glm_hmm.py

Twelve animals of two to five sessions each. Some have a few hundred trials, too few for a fit of their own; pooled, all animals are taken
to be alike. The hierarchical model lets each borrow from the others as much as the data ask for, and predicts an animal not seen before.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.models import emissions, hierarchical, hmm

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/hierarchical_glm_hmm.png")
POPULATION = np.array([[4.0, 0.0], [0.5, 2.0]])  # weights of stimulus and previous choice: engaged, and repeating
ANIMALS, SPREAD = 12, 0.7


def simulate(seed=0):
    """A table with a row a trial, and the true weights ``(animal, state, input)``."""
    rng = np.random.default_rng(seed)
    weights = POPULATION + SPREAD * rng.normal(size=(ANIMALS, 2, 2))
    rows = []
    for animal in range(ANIMALS):
        for session in range(rng.integers(2, 6)):
            state, before = 0, 0.0
            for trial in range(rng.integers(60, 120)):
                state = state if rng.random() < 0.96 else 1 - state
                stimulus = rng.normal()
                right = rng.random() < 1 / (1 + np.exp(-weights[animal, state] @ [stimulus, before]))
                before = 1.0 if right else -1.0
                rows.append((f"mouse {animal}", session, trial, stimulus, "right" if right else "left"))
    return pd.DataFrame(rows, columns=["animal", "session", "trial", "stimulus", "choice"]), weights


def main():
    """Fit the three ways, compare their predictions of held-out sessions, and draw the weights of every animal."""
    frame, truth = simulate()
    columns = {"sequence": "session", "order": "trial", "y": "choice", "x": ["stimulus", jl.lag("choice")]}
    trials = jl.sequences(frame, group="animal", **columns)
    alike = hmm(2, emissions.BernoulliRegression(2))
    model = hierarchical(alike, over="animal", num_groups=len(trials.coords["animal"]))

    engine = jl.EM(restarts=10)
    pooled = {name: value for name, value in trials.items() if name != "animal"}
    by_animal = jl.sequences(frame, dataset="animal", **columns)
    # A fold is one session of every mouse: EM learns of each mouse from its other sessions.
    folds = np.concatenate([np.arange(sessions) for sessions in np.bincount(trials["animal"])])
    scores = {
        "pooled": jl.cross_validate(alike, pooled, engine, 0, folds=folds),
        "separate": jl.cross_validate(alike, by_animal, engine, 0, folds=2),
        "hierarchical": jl.cross_validate(model, trials, engine, 0, folds=folds),
    }
    for name, score in scores.items():
        print(f"{name:12s} {score.bits:.3f} bits for each held-out trial, standard error {score.bits_se:.3f}")

    em = jl.fit(model, trials, engine, seed=0)
    print(em)
    draws = jl.fit(model, trials, jl.NUTS(chains=2, warmup=300, draws=300), seed=1, init=em)
    print(draws.summary(["weights", "weights_scale"]))

    # A mouse that nobody has seen: each draw takes its weights from the population.
    x = np.stack([np.full(200, 1.0), np.zeros(200)], 1)
    new = draws.predict(2, {"x": x[None], "animal": np.array([ANIMALS])}, new_levels=True)["y"]
    print(f"a new mouse goes right at stimulus 1 in {new.mean():.0%} of trials; 90 % of mice in")
    print(np.quantile(new.mean((-1, -2)), [0.05, 0.95]).round(2))

    best = em.best().params
    engaged = best["weights"][:, 0].argmax()
    alone = jl.fit(alike, by_animal, engine, seed=0).best().params["weights"][:, :, 0].max(1)
    own = draws.params["animal_weights"][..., engaged, 0].reshape(-1, ANIMALS)
    sessions = frame.groupby("animal", sort=False).size().to_numpy()
    order = np.argsort(sessions)
    with plots.style():
        figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
        place = np.arange(ANIMALS)
        low, middle, high = np.quantile(own[:, order], [0.05, 0.5, 0.95], 0)
        axes.vlines(place, low, high, color="C0", lw=4, alpha=0.4, label="hierarchical, 90 % of the posterior")
        axes.plot(place, middle, "o", color="C0")
        axes.plot(
            place + 0.15, best["animal_weights"][order, engaged, 0], "s", color="C2", ms=5, label="hierarchical, EM"
        )
        axes.plot(place - 0.15, alone[order], "x", color="C1", label="separate")
        axes.plot(place, truth[order, 0, 0], "_", color="black", ms=16, mew=2, label="truth")
        axes.axhline(best["weights"][engaged, 0], color="0.5", lw=1, ls="--", label="population")
        axes.set_xticks(place, [f"{sessions[i]}" for i in order])
        axes.set(xlabel="trials of the animal", ylabel="weight of the stimulus when engaged", ylim=(0, None))
        figure.legend(loc="outside upper center", ncols=3)
    plots.save(figure, FIGURE)
    assert scores["hierarchical"].bits > max(scores["pooled"].bits, scores["separate"].bits)


if __name__ == "__main__":
    main()
