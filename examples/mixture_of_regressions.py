"""A mixture of two regression lines by NUTS: label switching detected, and undone.

    python examples/mixture_of_regressions.py

300 points about 0.8 x + 1 with deviation 1, 700 about -0.5 x - 1 with deviation 2. Nothing in the model tells the lines apart, so
each chain calls them as it likes: R-hat is large until the labels are put in the same order.
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.diagnostics import match_parameters, permute, relabel, rhat

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/mixture_of_regressions.png")
TRUTH = {
    "share": np.array([0.3, 0.7]),
    "slope": np.array([0.8, -0.5]),
    "intercept": np.array([1.0, -1.0]),
    "sigma": np.array([1.0, 2.0]),
}
AXES = dict.fromkeys(TRUTH, (0,))  # the label is the first axis of every parameter


def likelihood(p, d):
    """Points about one line or the other."""
    lines = dist.Normal(p.slope * d.x[:, None] + p.intercept, p.sigma)
    return {"y": dist.MixtureSameFamily(dist.Categorical(jnp.broadcast_to(p.share, lines.batch_shape)), lines)}


model = jl.Model(
    prior={
        "share": dist.Dirichlet(jnp.ones(2)),
        "slope": dist.Normal(0.0, 1.0).expand([2]).to_event(1),
        "intercept": dist.Normal(0.0, 2.0).expand([2]).to_event(1),
        "sigma": dist.HalfNormal(2.0).expand([2]).to_event(1),
    },
    likelihood=likelihood,
    name="two lines",
)


def simulate(seed):
    """Points and the line of each."""
    rng = np.random.default_rng(seed)
    line, x = np.repeat([0, 1], [300, 700]), rng.uniform(-5, 5, 1000)
    return x, rng.normal(TRUTH["slope"][line] * x + TRUTH["intercept"][line], TRUTH["sigma"][line])


@plots.style()
def show(x, y, belongs, before, after):
    """Points coloured by line, and the slopes of all chains before and after."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", width_ratios=[1.2, 1, 1])
    points = axes[0].scatter(x, y, s=6, c=belongs, cmap="coolwarm", vmin=0, vmax=1)
    figure.colorbar(points, ax=axes[0], label="probability of line 1")
    ends = np.array([-5.0, 5.0])
    for k, colour in enumerate(("#3B4CC0", "#B40426")):
        axes[0].plot(ends, after["slope"][..., k].mean() * ends + after["intercept"][..., k].mean(), color=colour)
    axes[0].set(xlabel="x", ylabel="y")
    for ax, draws, title in zip(axes[1:], (before, after), ("as sampled", "labels in order"), strict=True):
        for k, colour in enumerate(("#3B4CC0", "#B40426")):
            slopes = draws["slope"][..., k]
            at = np.arange(slopes.size).reshape(slopes.shape)
            for chain, one in enumerate(
                slopes
            ):  # a line each, or strokes would join the end of one to the start of the next
                ax.plot(at[chain], one, color=colour, lw=0.5, label=f"label {k}" if chain == 0 else None)
            ax.axhline(TRUTH["slope"][k], color="k", lw=0.8, ls="--", label="truth" if k == 1 else None)
        ax.set(title=f"slopes, {title}", xlabel="draw, chain after chain", ylim=(-0.8, 1.2))
    axes[1].set_ylabel("slope")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    plots.save(figure, FIGURE)


def main():
    """Sample, detect that labels switched, put them in order."""
    x, y = simulate(seed=0)
    result = jl.fit(model, {"x": x, "y": y}, jl.NUTS(chains=4, warmup=500, draws=500), seed=1)
    worst = lambda draws: max(float(np.max(rhat(draws[name]))) for name in AXES)

    # Draws are aligned with each other first, then all of them together with the truth.
    aligned = relabel(result.params, AXES)
    order = match_parameters({name: value.mean((0, 1)) for name, value in aligned.params.items()}, TRUTH, AXES)
    draws = permute(aligned.params, order[None, None], AXES)
    labels = aligned.permutations[..., order]
    belongs = np.take_along_axis(result.smooth()["y"], labels[:, :, None], -1)[..., 1].mean((0, 1))

    print(f"{'':14} {'truth':>8} {'mean':>8} {'sd':>8}")
    for name in AXES:
        for k in range(2):
            value = draws[name][..., k]
            print(f"{name + f'[{k}]':14} {TRUTH[name][k]:8.3f} {value.mean():8.3f} {value.std():8.3f}")
    swapped = [sorted({str(order) for order in chain}) for chain in labels]
    print(f"orders of labels, chain by chain: {swapped}")
    print(f"largest R-hat: {worst(result.params):.3f} as sampled, {worst(draws):.4f} with labels in order")

    assert worst(result.params) > 1.1 and worst(draws) < 1.01
    off = [np.abs(draws[n].mean((0, 1)) - TRUTH[n]) / draws[n].std((0, 1)) for n in AXES]
    assert np.max(off) < 4, "further than 4 posterior standard deviations from the truth"
    show(x, y, belongs, result.params, draws)


if __name__ == "__main__":
    main()
