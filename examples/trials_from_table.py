"""From a table of trials, as it comes from the laboratory, to a GLM-HMM of every animal, and back to the rows of the table.

    python examples/trials_from_table.py

Three animals choose left or right by a stimulus while they are engaged, and repeat their last choice while they are not. The rows of the
table are shuffled, sessions have unequal lengths, and a few choices are missing.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import jaxlatent as jl
from jaxlatent import plots

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/trials_from_table.png")
TRIALS = Path("runs/examples/trials.csv")


def simulate(seed=0):
    """A table with a row a trial: animal, session, trial, stimulus, choice, rewarded; and whether the animal was engaged."""
    rng = np.random.default_rng(seed)
    rows = []
    for animal in ("Ada", "Bo", "Cleo"):
        for session in range(8):
            engaged, before = 1, 0.0
            for trial in range(rng.integers(120, 200)):
                engaged = engaged if rng.random() < 0.97 else 1 - engaged
                stimulus = rng.choice([-1.0, -0.5, -0.25, 0.25, 0.5, 1.0])
                logit = 5 * stimulus if engaged else 0.5 * stimulus + 2 * before
                right = rng.random() < 1 / (1 + np.exp(-logit))
                before = 1.0 if right else -1.0
                choice, rewarded = ("right" if right else "left"), right == (stimulus > 0)
                lost = rng.random() < 0.02
                rows.append((animal, f"day {session}", trial, stimulus, None if lost else choice, rewarded, engaged))
    columns = ["animal", "session", "trial", "stimulus", "choice", "rewarded", "engaged"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=seed, ignore_index=True)


def main():
    """Read the table, fit all animals in one program, and write the states next to the trials."""
    frame = simulate()
    TRIALS.parent.mkdir(parents=True, exist_ok=True)
    frame.drop(columns="engaged").to_csv(TRIALS, index=False)  # for examples/study.toml

    data = jl.sequences(
        frame,
        dataset="animal",
        sequence="session",
        order="trial",
        y="choice",  # left and right become 0 and 1; missing choices are masked
        x=["stimulus", jl.lag("choice"), jl.win_stay_lose_switch("choice", "rewarded")],
    )
    print(f"{len(data)} animals; inputs {data.coords['input']}; choices {data.coords['choice']}")
    model = jl.models.hmm(2, jl.models.emissions.BernoulliRegression(3), jl.models.Stationary(stickiness=10.0))
    em = jl.fit(model, data, jl.EM(restarts=10), seed=0).best()

    # The engaged state is the one that weighs the stimulus more; each animal has its own order of states.
    first = em.params["weights"][:, :, 0].argmax(1)
    probabilities = data.in_rows(em.smooth()["y"])  # (rows, state), in the order of the table
    state = pd.Series(first, list(data.names))[frame["animal"]].to_numpy()
    frame["p_engaged"] = probabilities[np.arange(len(frame)), state]

    right = ((frame["p_engaged"] > 0.5) == (frame["engaged"] == 1)).groupby(frame["animal"]).mean()
    print(right.rename("trials whose state is found").round(3).to_string())
    draws = jl.fit(model, data, jl.NUTS(chains=2, warmup=200, draws=200), seed=1, init=em)
    print(draws["Ada"].summary(["weights"]))

    one = frame[(frame["animal"] == "Ada") & (frame["session"] == "day 0")].sort_values("trial")
    with plots.style():
        figure, axes = plt.subplots(figsize=(9, 2.6), layout="constrained")
        axes.fill_between(one["trial"], one["engaged"], step="mid", color="0.85", lw=0, label="engaged")
        axes.plot(one["trial"], one["p_engaged"], label="probability of being engaged")
        axes.set(xlabel="trial", ylabel="P(engaged)", ylim=(-0.05, 1.05), title="Ada, day 0")
        figure.legend(loc="outside upper right", ncols=2)
    plots.save(figure, FIGURE)
    assert right.min() > 0.8


if __name__ == "__main__":
    main()
